/**
 * What a failed connect means: the code of its error, told from what the system, the resolver or OpenSSL says.
 */
import type { ErrorCode } from '../errors.ts';

interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly port?: unknown;
  readonly syscall?: unknown;
  /** Of an AggregateError: one for each address that was tried. */
  readonly errors?: unknown;
}

/**
 * The code of a connect that failed with `error`. `untrusted`: TLS did not accept the certificate of the other side,
 * whatever the error is.
 */
export function connectFailure(error: unknown, untrusted: boolean): ErrorCode {
  if (untrusted) return 'TLS_CERTIFICATE_INVALID';
  const failure = failureOf(error);
  if (!Array.isArray(failure.errors)) return codeOf(failure);
  if (lacksResources(error)) return 'RESOURCES_EXHAUSTED';
  // The most telling one: many a machine has no route to IPv6 addresses, or none of its own.
  const codes = failure.errors.map((each) => codeOf(failureOf(each)));
  const telling = codes.find((code) => code !== 'CONNECT_UNREACHABLE' && code !== 'RESOURCES_EXHAUSTED');
  return telling ?? 'CONNECT_UNREACHABLE';
}

/**
 * Whether an error says that this machine or process has run out of something: no fault of the other side. Of several
 * addresses one that says so is enough, but for want of a local address or port: IPv6 may be off.
 */
export function lacksResources(error: unknown): boolean {
  const failure = failureOf(error);
  if (!Array.isArray(failure.errors)) return codeOf(failure) === 'RESOURCES_EXHAUSTED';
  const lacking = failure.errors.map(failureOf).filter((each) => codeOf(each) === 'RESOURCES_EXHAUSTED');
  return lacking.length === failure.errors.length || lacking.some(({ code }) => code !== 'EADDRNOTAVAIL');
}

/** Whether an error is an alert that the other side has sent: OpenSSL adds its number. */
export function isAlert(error: unknown): boolean {
  return /SSL alert number \d/.test(String(failureOf(error).message));
}

function failureOf(error: unknown): Failure {
  return typeof error === 'object' && error !== null ? error : {};
}

function codeOf(failure: Failure): ErrorCode {
  const code = typeof failure.code === 'string' ? failure.code : '';
  const known = CODES.get(code);
  if (known !== undefined) return known;
  // connect(2): no free port, or no room in the tables; to a Unix socket that its listener's queue is full.
  if (code === 'EAGAIN') return typeof failure.port === 'number' ? 'RESOURCES_EXHAUSTED' : 'CONNECT_REFUSED';
  if (code.startsWith('EAI_') || failure.syscall === 'getaddrinfo') return 'DNS_FAILED';
  if (isAlert(failure)) return 'TLS_ALERT_RECEIVED';
  if (CERTIFICATE.test(code)) return 'TLS_CERTIFICATE_INVALID';
  return code === 'EPROTO' || /^ERR_(?:SSL|TLS)_/.test(code) ? 'TLS_HANDSHAKE_FAILED' : 'CONNECT_FAILED';
}

const CODES: ReadonlyMap<string, ErrorCode> = new Map([
  ['ECONNREFUSED', 'CONNECT_REFUSED'],
  ['ECONNRESET', 'CONNECT_CLOSED'],
  ['ECONNABORTED', 'CONNECT_CLOSED'],
  ['EPIPE', 'CONNECT_CLOSED'],
  ['ETIMEDOUT', 'CONNECT_TIMEOUT'],
  ['EHOSTUNREACH', 'CONNECT_UNREACHABLE'],
  ['EHOSTDOWN', 'CONNECT_UNREACHABLE'],
  ['ENETUNREACH', 'CONNECT_UNREACHABLE'],
  ['ENETDOWN', 'CONNECT_UNREACHABLE'],
  ['ENOTFOUND', 'DNS_FAILED'],
  // Of the resolvers of node:dns, which a `connect` may use.
  ['ENODATA', 'DNS_FAILED'],
  ['ESERVFAIL', 'DNS_FAILED'],
  ['EREFUSED', 'DNS_FAILED'],
  ['ETIMEOUT', 'DNS_TIMEOUT'],
  // What is lacking is ours.
  ['EMFILE', 'RESOURCES_EXHAUSTED'],
  ['ENFILE', 'RESOURCES_EXHAUSTED'],
  ['EADDRNOTAVAIL', 'RESOURCES_EXHAUSTED'],
  ['ENOBUFS', 'RESOURCES_EXHAUSTED'],
  ['ENOMEM', 'RESOURCES_EXHAUSTED'],
  ['EAI_MEMORY', 'RESOURCES_EXHAUSTED'],
] satisfies [string, ErrorCode][]);

/** Codes of Node and OpenSSL for certificates that are not accepted (X509_V_ERR_*). */
const CERTIFICATE = /CERT|_CRL|_ISSUER|^(?:INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)$/;
