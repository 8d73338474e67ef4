/**
 * The error code of a failed connect, by the error of the system, the resolver or OpenSSL.
 */
import type { ErrorCode } from '../errors.ts';

interface Failure {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly port?: unknown;
  readonly syscall?: unknown;
  /** The errors of an AggregateError: one for each address that was tried. */
  readonly errors?: unknown;
}

/**
 * The code of a connect that failed with `error`. `untrusted` means that TLS did not accept the upstream's certificate,
 * whatever the error says.
 */
export function connectFailure(error: unknown, untrusted: boolean): ErrorCode {
  if (untrusted) return 'TLS_CERTIFICATE_INVALID';
  const failure = failureOf(error);
  if (!Array.isArray(failure.errors)) return codeOf(failure);
  if (lacksResources(error)) return 'RESOURCES_EXHAUSTED';
  // The most specific one: many machines have no route to IPv6 addresses, or no IPv6 address of their own.
  const codes = failure.errors.map((each) => codeOf(failureOf(each)));
  const telling = codes.find((code) => code !== 'CONNECT_UNREACHABLE' && code !== 'RESOURCES_EXHAUSTED');
  return telling ?? 'CONNECT_UNREACHABLE';
}

/**
 * Whether an error says that this machine or process has run out of a resource, which is not the upstream's fault. With
 * several addresses, one such error is enough, unless it is about a local address: IPv6 may be disabled.
 */
export function lacksResources(error: unknown): boolean {
  const failure = failureOf(error);
  if (!Array.isArray(failure.errors)) return codeOf(failure) === 'RESOURCES_EXHAUSTED';
  const lacking = failure.errors.map(failureOf).filter((each) => codeOf(each) === 'RESOURCES_EXHAUSTED');
  return lacking.length === failure.errors.length || lacking.some(({ code }) => code !== 'EADDRNOTAVAIL');
}

/** Whether an error is an alert from the other side: OpenSSL adds its number. */
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
  // connect(2): no free port or routing cache entry; for a Unix socket, a full accept queue.
  if (code === 'EAGAIN') return typeof failure.port === 'number' ? 'RESOURCES_EXHAUSTED' : 'CONNECT_REFUSED';
  if (code.startsWith('EAI_') || failure.syscall === 'getaddrinfo') return 'DNS_FAILED';
  if (isAlert(failure)) return 'TLS_ALERT_RECEIVED';
  if (CERTIFICATE.test(code)) return 'TLS_CERTIFICATE_INVALID';
  return code === 'EPROTO' || /^ERR_(?:SSL|TLS)_/.test(code) ? 'TLS_HANDSHAKE_FAILED' : 'CONNECT_FAILED';
}

const CODES: ReadonlyMap<string, ErrorCode> = new Map([
  ['ECONNREFUSED', 'CONNECT_REFUSED'],
  // A Unix socket that is not there.
  ['ENOENT', 'CONNECT_REFUSED'],
  ['ECONNRESET', 'CONNECT_CLOSED'],
  ['ECONNABORTED', 'CONNECT_CLOSED'],
  ['EPIPE', 'CONNECT_CLOSED'],
  ['ETIMEDOUT', 'CONNECT_TIMEOUT'],
  ['EHOSTUNREACH', 'CONNECT_UNREACHABLE'],
  ['EHOSTDOWN', 'CONNECT_UNREACHABLE'],
  ['ENETUNREACH', 'CONNECT_UNREACHABLE'],
  ['ENETDOWN', 'CONNECT_UNREACHABLE'],
  ['ENOTFOUND', 'DNS_FAILED'],
  // From the resolvers of node:dns, which a `connect` may use.
  ['ENODATA', 'DNS_FAILED'],
  ['ESERVFAIL', 'DNS_FAILED'],
  ['EREFUSED', 'DNS_FAILED'],
  ['ETIMEOUT', 'DNS_TIMEOUT'],
  // Our own shortage.
  ['EMFILE', 'RESOURCES_EXHAUSTED'],
  ['ENFILE', 'RESOURCES_EXHAUSTED'],
  ['EADDRNOTAVAIL', 'RESOURCES_EXHAUSTED'],
  ['ENOBUFS', 'RESOURCES_EXHAUSTED'],
  ['ENOMEM', 'RESOURCES_EXHAUSTED'],
  ['EAI_MEMORY', 'RESOURCES_EXHAUSTED'],
] satisfies [string, ErrorCode][]);

/** Codes of Node and OpenSSL for rejected certificates (X509_V_ERR_*). */
const CERTIFICATE = /CERT|_CRL|_ISSUER|^(?:INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)$/;
