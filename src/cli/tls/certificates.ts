/**
 * Certificates and their keys, checked before anything is served with them.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from '../../guard.ts';
import { systemTime } from '../../loop/clock.ts';
import type { PemFiles } from '../pem-files.ts';

/** A file, and its name in messages: `tls-cert`, `tls.certificates[0].cert`. */
export interface NamedFile {
  readonly path: string;
  readonly at: string;
}

/** A certificate, with its chain, and its key. */
export interface Pair {
  readonly path: string;
  readonly cert: string;
  readonly key: string;
  /** The names that it is for, in lower case; wildcards as `*.example.com`. */
  readonly names: readonly string[];
  /** `ec`, `rsa` and the like: clients choose among the kinds for one name. */
  readonly keyType: string;
  readonly fingerprint: string;
  /** When it expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Where problems go, and what is only worth a line in the log. */
export interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
}

/** Reads and checks a pair. If something is wrong, returns undefined. */
export async function readPair(
  certFile: NamedFile, keyFile: NamedFile, files: PemFiles, { problems, warnings }: Findings,
): Promise<Pair | undefined> {
  const cert = await files.read(certFile.path, certFile.at, problems);
  const key = await files.read(keyFile.path, keyFile.at, problems);
  const chain = cert === undefined ? undefined : certificatesOf(cert, certFile, problems);
  const secret = key === undefined ? undefined : keyOf(key, keyFile, problems);
  const leaf = chain?.[0];
  if (cert === undefined || key === undefined || leaf === undefined || secret === undefined) return undefined;
  if (!leaf.checkPrivateKey(secret)) {
    const isLater = chain?.some((each) => each.checkPrivateKey(secret)) === true;
    problems.push(isLater
      ? `${certFile.at}: ${certFile.path} has the certificate of ${keyFile.path} behind its issuers; put it first`
      : `${keyFile.at}: ${keyFile.path} is not the key of ${certFile.path}; name the key that was made with it`);
    return undefined;
  }
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const now = systemTime.epoch();
  if (to < now) warnings.push(`${certFile.at}: ${certFile.path} has expired, on ${day(to)}; renew it`);
  if (from > now) warnings.push(`${certFile.at}: ${certFile.path} is not valid before ${day(from)}`);
  return {
    path: certFile.path, cert, key, names: namesOf(leaf), keyType: secret.asymmetricKeyType ?? '',
    fingerprint: leaf.fingerprint256, expiresAt: to,
  };
}

/** The authorities of a file. If there are none, returns undefined. */
export async function readAuthorities(
  file: NamedFile, files: PemFiles, { problems }: Findings,
): Promise<string | undefined> {
  const pem = await files.read(file.path, file.at, problems);
  if (pem === undefined) return undefined;
  return certificatesOf(pem, file, problems) === undefined ? undefined : pem;
}

/** A day as logs show it. */
export function day(ms: number): string {
  return Number.isNaN(ms) ? 'an unknown day' : new Date(ms).toISOString().slice(0, 10);
}

/** All certificates of a PEM file. */
function certificatesOf(pem: string, { path, at }: NamedFile, problems: string[]): X509Certificate[] | undefined {
  const blocks = pem.match(CERTIFICATES) ?? [];
  if (blocks.length === 0) {
    const instead = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)
      ? 'it is a private key; is it swapped with its certificate?'
      : 'it must be in PEM, with a line -----BEGIN CERTIFICATE-----';
    problems.push(`${at}: ${path} contains no certificate: ${instead}`);
    return undefined;
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    problems.push(`${at}: ${path} contains a malformed certificate: ${reasonOf(error)}`);
    return undefined;
  }
}

function keyOf(pem: string, { path, at }: NamedFile, problems: string[]): KeyObject | undefined {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    const instead = /-----BEGIN [A-Z ]*CERTIFICATE-----/.test(pem)
      ? 'it is a certificate; is it swapped with its key?'
      : 'it must be in PEM, with a line -----BEGIN PRIVATE KEY-----';
    problems.push(`${at}: ${path} contains no private key: ${instead}`);
    return undefined;
  }
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(pem)) {
    problems.push(`${at}: ${path} is encrypted, and nobody can type its passphrase here; decrypt it with ` +
      `openssl pkey -in ${path}`);
    return undefined;
  }
  try {
    return createPrivateKey(pem);
  } catch (error) {
    problems.push(`${at}: ${path} contains a malformed private key: ${reasonOf(error)}`);
    return undefined;
  }
}

/** The DNS names of its Subject Alternative Name; without one, its Common Name. */
function namesOf(certificate: X509Certificate): string[] {
  const { subjectAltName, subject } = certificate;
  const names = subjectAltName === undefined
    ? [/^CN=(.*)$/m.exec(subject)?.[1] ?? '']
    : [...subjectAltName.matchAll(/(?:^|, )DNS:([^",]+)(?=, |$)/g)].map(([, name = '']) => name);
  return [...new Set(names.map((name) => name.toLowerCase()).filter((name) => NAME.test(name)))];
}

/** What OpenSSL says, without its numbers. */
export function reasonOf(error: unknown): string {
  const { reason } = error as { readonly reason?: unknown };
  return typeof reason === 'string' ? reason : messageOf(error).replace(/^error:[0-9A-F]*:/, '');
}

const CERTIFICATES =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^]*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const NAME = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;
