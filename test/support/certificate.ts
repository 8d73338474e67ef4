/**
 * Self-signed certificates for this machine, created for each run.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/**
 * A new certificate for these names, or undefined without openssl. With `-1` days it has expired.
 */
export function makeCertificate(names = 'DNS:localhost,IP:127.0.0.1', days = 1): Certificate | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'equipoise-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore', cwd: directory });
  };
  try {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key);
    openssl('req', '-new', '-key', key, '-subj', '/CN=localhost', '-addext', `subjectAltName=${names}`, '-out', 'csr');
    openssl('x509', '-req', '-in', 'csr', '-signkey', key, '-copy_extensions', 'copyall', '-days', String(days),
      '-out', cert);
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } catch {
    return undefined;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Why tests that need a certificate are skipped without one. */
export const NO_OPENSSL = 'needs the openssl command, which is not installed';
