/** The certificate of servers that speak TLS, made anew for each run. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { directory } from './processes.mjs';

/** Makes it. Returns the paths of certificate, key, and both in one file, as HAProxy wants them. */
export function makeCertificate() {
  const [cert, key, both] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => path.join(directory, name));
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' });
  writeFileSync(both, readFileSync(cert, 'latin1') + readFileSync(key, 'latin1'));
  return { cert, key, both };
}

/** As options of a server in a process of its own, which is given the folder. */
export function certificateIn(folder) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(path.join(folder, name)));
  return { cert, key };
}
