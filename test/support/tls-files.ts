/**
 * Certificates in files, for the binary.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export interface Pem {
  readonly cert: string;
  readonly key: string;
}

type KeyType = 'ec' | 'rsa';

/** Runs openssl in a directory that is removed afterwards, and returns what `take` reads there. */
function inDirectory<T>(take: (openssl: (...args: string[]) => void, file: (name: string) => string) => T): T {
  const cwd = mkdtempSync(join(tmpdir(), 'equipoise-'));
  try {
    return take(
      (...args) => void execFileSync('openssl', args, { stdio: 'ignore', cwd }),
      (name) => readFileSync(join(cwd, name), 'utf8'));
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

const KEYS: Readonly<Record<KeyType, readonly string[]>> = {
  ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], rsa: ['rsa:2048'],
};

/** A self-signed certificate for these names. */
export function selfSigned(cn: string, names: readonly string[], key: KeyType = 'ec'): Pem {
  return inDirectory((openssl, file) => {
    openssl('req', '-x509', '-newkey', ...KEYS[key], '-nodes', '-keyout', 'k', '-out', 'c', '-days', '2',
      '-subj', `/CN=${cn}`, '-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join()}`);
    return { cert: file('c'), key: file('k') };
  });
}

/** An authority, and a certificate of it for a client. */
export function clientPair(cn: string): { readonly ca: string } & Pem {
  return inDirectory((openssl, file) => {
    openssl('req', '-x509', '-newkey', ...KEYS.ec, '-nodes', '-keyout', 'ak', '-out', 'ac', '-days', '2',
      '-subj', '/CN=authority');
    openssl('req', '-newkey', ...KEYS.ec, '-nodes', '-keyout', 'k', '-out', 'r', '-subj', `/CN=${cn}`);
    openssl('x509', '-req', '-in', 'r', '-CA', 'ac', '-CAkey', 'ak', '-set_serial', '7', '-days', '2', '-out', 'c');
    return { ca: file('ac'), cert: file('c'), key: file('k') };
  });
}

/** The key, encrypted. */
export function encrypted(key: string): string {
  return String(execFileSync('openssl', ['pkey', '-aes128', '-passout', 'pass:x'], { input: key }));
}
