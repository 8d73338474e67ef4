/**
 * The settings of `tls:` listeners, from the command line and the configuration file.
 */
import type { SecureVersion } from 'node:tls';
import { flag, integers, isRecord, onlyKnown, shown } from '../../options/checks.ts';
import type { PemFiles } from '../pem-files.ts';
import { type Findings, type NamedFile, type Pair, readAuthorities, readPair, reasonOf } from './certificates.ts';
import { Contexts } from './contexts.ts';

export interface TlsSettings {
  readonly pairs: readonly Pair[];
  readonly contexts: Contexts;
  readonly minVersion: SecureVersion | undefined;
  readonly maxVersion: SecureVersion | undefined;
  readonly ciphers: string | undefined;
  /** The files of the authorities of client certificates; empty if no certificate is asked for. */
  readonly clientCa: readonly string[];
  /** Whether clients without a certificate are served. */
  readonly clientOptional: boolean;
  /** Whether HTTP/2 is offered. */
  readonly http2: boolean;
  readonly handshakeTimeoutMs: number;
  readonly maxHandshakes: number;
  readonly ticketRotationMs: number;
}

/** What the command line says about TLS. */
export interface TlsFlags {
  readonly tlsCert: readonly string[];
  readonly tlsKey: readonly string[];
  readonly tlsClientCa: string | undefined;
  readonly tlsClientOptional: boolean;
}

/** The option `tls` of a configuration file, and how its paths are resolved. */
export interface TlsOfFile {
  readonly value: unknown;
  readonly resolve: (path: string) => string;
}

interface Source {
  readonly pairs: readonly (readonly [cert: NamedFile, key: NamedFile])[];
  readonly clientCa: readonly NamedFile[];
  readonly clientOptional: boolean;
}

/** Reads the settings, and the certificates. Returns undefined if they are wrong, or incomplete but not `needed`. */
export async function readTls(
  flags: TlsFlags, file: TlsOfFile, needed: boolean, files: PemFiles, findings: Findings,
): Promise<TlsSettings | undefined> {
  const { problems } = findings;
  const before = problems.length;
  const given = isRecord(file.value) ? file.value : {};
  if (file.value !== undefined && !isRecord(file.value)) {
    problems.push('tls: must be an object, e.g. { "certificates": [{ "cert": "a.pem", "key": "a.key" }] } ' +
      `(got ${shown(file.value)})`);
  }
  onlyKnown(given, 'tls.', KNOWN, problems);
  const { pairs, clientCa, clientOptional } = sources(flags, given, file, needed, problems);
  const minVersion = version(given['minVersion'], 'tls.minVersion', problems);
  const maxVersion = version(given['maxVersion'], 'tls.maxVersion', problems);
  if (minVersion !== undefined && maxVersion !== undefined && minVersion > maxVersion) {
    problems.push(`tls.maxVersion: must not be below tls.minVersion, ${minVersion} (got ${shown(maxVersion)})`);
  }
  const { ciphers } = given;
  if (ciphers !== undefined && !(typeof ciphers === 'string' && ciphers !== '')) {
    problems.push(`tls.ciphers: must be a list of OpenSSL, e.g. "ECDHE+AESGCM:ECDHE+CHACHA20" (got ${shown(ciphers)})`);
  }
  const { handshakeTimeout, maxHandshakes, ticketRotation } = integers(given, 'tls.', TLS_NUMBERS, problems);
  const http2 = given['http2'] === undefined || flag(given['http2'], 'tls.http2', problems);
  const read: Pair[] = [];
  for (const [cert, key] of pairs) {
    const pair = await readPair(cert, key, files, findings);
    if (pair !== undefined) read.push(pair);
  }
  const authorities: string[] = [];
  for (const one of clientCa) authorities.push(await readAuthorities(one, files, findings) ?? '');
  if (problems.length > before || read.length === 0) return undefined;
  const protocol = {
    minVersion, maxVersion, ciphers: ciphers as string | undefined,
    clientCa: authorities.length === 0 ? undefined : authorities.join('\n'),
  };
  try {
    return {
      pairs: read, contexts: new Contexts(read, protocol), ...protocol, clientCa: clientCa.map(({ path }) => path),
      clientOptional, http2, handshakeTimeoutMs: handshakeTimeout * 1_000, maxHandshakes,
      ticketRotationMs: ticketRotation * 1_000,
    };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const why = reasonOf(error);
    problems.push(/cipher/i.test(`${code} ${why}`) && ciphers !== undefined
      ? `tls.ciphers: OpenSSL knows none of ${shown(ciphers)}: ${why}`
      : `tls: OpenSSL refuses the certificates or settings: ${why}`);
    return undefined;
  }
}

/** Which files to read: those of the command line, else those of the configuration file. */
function sources(
  flags: TlsFlags, given: Given, { resolve }: TlsOfFile, needed: boolean, problems: string[],
): Source {
  const { tlsCert, tlsKey, tlsClientCa, tlsClientOptional } = flags;
  let pairs: Source['pairs'];
  if (tlsCert.length > 0 || tlsKey.length > 0) {
    if (tlsCert.length !== tlsKey.length) {
      problems.push(`tls-cert: must be given in pairs with --tls-key ` +
        `(got ${tlsCert.length} certificates, ${tlsKey.length} keys)`);
    }
    pairs = tlsCert.slice(0, tlsKey.length).map((path, i) => (
      [{ path, at: 'tls-cert' }, { path: tlsKey[i] ?? '', at: 'tls-key' }]));
  } else if (given['certificates'] === undefined && !needed) pairs = [];
  else pairs = pairsOf(given['certificates'], resolve, problems);
  const ca = given['clientCa'];
  const clientCa = tlsClientCa !== undefined ? [{ path: tlsClientCa, at: 'tls-client-ca' }]
    : ca === undefined ? []
    : isPath(ca) ? [{ path: resolve(ca), at: 'tls.clientCa' }]
    : Array.isArray(ca) && ca.length > 0 && ca.every(isPath)
      ? ca.map((path, i) => ({ path: resolve(path), at: `tls.clientCa[${i}]` }))
    : undefined;
  if (clientCa === undefined) {
    problems.push(`tls.clientCa: must be a file with certificates in PEM, or a list of such files (got ${shown(ca)})`);
  }
  const optional = flag(given['clientOptional'], 'tls.clientOptional', problems);
  if ((optional || tlsClientOptional) && clientCa?.length === 0) {
    const what = tlsClientOptional
      ? 'tls-client-optional: needs --tls-client-ca' : 'tls.clientOptional: needs tls.clientCa';
    problems.push(`${what}, the authorities of the certificates to ask for`);
  }
  return { pairs, clientCa: clientCa ?? [], clientOptional: optional || tlsClientOptional };
}

function pairsOf(given: unknown, resolve: (path: string) => string, problems: string[]): Source['pairs'] {
  if (!Array.isArray(given) || given.length === 0) {
    problems.push(given === undefined
      ? 'tls: needs a certificate; add --tls-cert and --tls-key, or tls.certificates to the file'
      : `tls.certificates: must be a list of at least one { "cert": "a.pem", "key": "a.key" } (got ${shown(given)})`);
    return [];
  }
  return given.flatMap((pair: unknown, i) => {
    const at = `tls.certificates[${i}]`;
    if (!isRecord(pair)) {
      problems.push(`${at}: must be an object, e.g. { "cert": "a.pem", "key": "a.key" } (got ${shown(pair)})`);
      return [];
    }
    onlyKnown(pair, `${at}.`, PAIR, problems);
    const [cert, key] = ['cert', 'key'].map((name) => {
      const path = pair[name];
      if (isPath(path)) return { path: resolve(path), at: `${at}.${name}` };
      problems.push(`${at}.${name}: must be the path of a file in PEM (got ${shown(path)})`);
      return undefined;
    });
    return cert === undefined || key === undefined ? [] : [[cert, key] as const];
  });
}

function version(value: unknown, at: string, problems: string[]): SecureVersion | undefined {
  if (value === undefined) return undefined;
  if ((VERSIONS as readonly unknown[]).includes(value)) return value as SecureVersion;
  problems.push(`${at}: must be ${VERSIONS.join(', ')} (got ${shown(value)})`);
  return undefined;
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

type Given = Readonly<Record<string, unknown>>;

/** Numbers of the option `tls`: times in seconds, as those of the command line. */
export const TLS_NUMBERS = {
  handshakeTimeout: { fallback: 10, min: 1, max: 600 },
  maxHandshakes: { fallback: 1_024, min: 1, max: 1_000_000 },
  ticketRotation: { fallback: 43_200, min: 1, max: 604_800 },
} as const;
const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const PAIR: ReadonlySet<string> = new Set(['cert', 'key']);
const KNOWN: ReadonlySet<string> = new Set([
  'certificates', 'clientCa', 'clientOptional', 'minVersion', 'maxVersion', 'ciphers', 'http2',
  ...Object.keys(TLS_NUMBERS),
]);
