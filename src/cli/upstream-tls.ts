/**
 * The setting `upstreamTls` of the binary: whom to trust for `https:` upstreams, and what to show them. Its files are
 * read and checked here, at the start and at each reload.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { messageOf } from '../guard.ts';
import { flag, isRecord, onlyKnown, record, shown } from '../options/checks.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { serverName } from '../tls/tls-connect.ts';
import type { PemFiles } from './pem-files.ts';

/** The TLS of a pool's upstreams. */
export interface UpstreamTls {
  /** Authorities besides Node's own. */
  readonly ca: readonly PemFile[];
  readonly cert: PemFile | undefined;
  readonly key: PemFile | undefined;
  readonly servername: string | undefined;
  /** Whether certificates are not verified. */
  readonly insecure: boolean;
}

/** Where nothing is set. */
export const USUAL_TLS: UpstreamTls = {
  ca: [], cert: undefined, key: undefined, servername: undefined, insecure: false,
};

export interface PemFile {
  readonly path: string;
  readonly pem: string;
}

/** What an `upstreamTls` is read from. */
export interface UpstreamTlsSources {
  /** The flags `--ca` and `--insecure-upstreams`. */
  readonly ca: readonly string[];
  readonly insecure: boolean;
  /** The content of the configuration file, and what paths in it are relative to. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly resolve: (path: string) => string;
}

/**
 * Reads the settings for the pool `default` and each of the file's pools. A pool's own `upstreamTls` takes precedence
 * over that of the top level, key by key; a certificate and its key count as one.
 */
export async function readUpstreamTls(
  { ca, insecure, values, resolve }: UpstreamTlsSources, files: PemFiles, problems: string[],
): Promise<ReadonlyMap<string, UpstreamTls>> {
  const reader = new Reader(files, problems);
  const flags: Partial<UpstreamTls> = {
    ...(ca.length === 0 ? {} : { ca: await reader.certificates(ca, 'ca') }), ...(insecure ? { insecure } : {}),
  };
  const top = { ...await reader.settings(values['upstreamTls'], 'upstreamTls', resolve), ...flags };
  const pools = new Map([[DEFAULT_POOL, { ...USUAL_TLS, ...top }]]);
  const named = values['pools'];
  for (const [name, pool] of Object.entries(isRecord(named) ? named : {})) {
    if (!isRecord(pool)) continue;
    const own = await reader.settings(pool['upstreamTls'], `pools.${name}.upstreamTls`, resolve);
    pools.set(name, { ...USUAL_TLS, ...top, ...own });
  }
  return pools;
}

/** One line about pools with `https:` upstreams whose certificates are not verified. */
export function insecureWarning(
  pools: ReadonlyMap<string, UpstreamTls>, originsOf: (pool: string) => readonly string[],
): readonly string[] {
  const names = [...pools].filter(([name, { insecure }]) => (
    insecure && originsOf(name).some((origin) => origin.startsWith('https:')))).map(([name]) => name);
  if (names.length === 0) return [];
  return [`upstreamTls: certificates of https: upstreams are NOT VERIFIED in the ${
    names.length === 1 ? 'pool' : 'pools'} ${names.join(', ')}: anybody on the way can read and change what is sent`];
}

/** Reads settings and their files, and says what is wrong with them. */
class Reader {
  readonly #files: PemFiles;
  readonly #problems: string[];

  constructor(files: PemFiles, problems: string[]) {
    this.#files = files;
    this.#problems = problems;
  }

  /** An object `upstreamTls`: what it sets. */
  async settings(value: unknown, at: string, resolve: (path: string) => string): Promise<Partial<UpstreamTls>> {
    if (value === undefined) return {};
    const problems = this.#problems;
    const given = record(value, at, problems);
    onlyKnown(given, `${at}.`, KNOWN, problems);
    const { ca, cert, key, servername, insecure } = given;
    if (servername !== undefined) serverName(servername, `${at}.servername`, problems);
    if (cert !== undefined && key === undefined) problems.push(`${at}.key: is missing: cert needs the key of its own`);
    if (key !== undefined && cert === undefined) problems.push(`${at}.cert: is missing: key needs its certificate`);
    return {
      ...(ca === undefined ? {} : { ca: await this.certificates(pathsOf(ca), `${at}.ca`, resolve, ca) }),
      ...(cert === undefined && key === undefined ? {} : await this.#pair(cert, key, at, resolve)),
      ...(servername === undefined ? {} : { servername: servername as string }),
      ...(insecure === undefined ? {} : { insecure: flag(insecure, `${at}.insecure`, problems) }),
    };
  }

  /** Files of certificates; `given` is what a message shows where it does not name files. */
  async certificates(
    paths: readonly string[] | undefined, at: string, resolve = (path: string) => path, given: unknown = paths,
  ): Promise<readonly PemFile[]> {
    const read: PemFile[] = [];
    if (paths === undefined) {
      this.#problems.push(`${at}: must be the path of a PEM file, or a list of such paths (got ${shown(given)})`);
    }
    for (const path of paths ?? []) {
      const file = await this.#read(resolve(path), at);
      if (file !== undefined && this.#holdsCertificates(file, at)) read.push(file);
    }
    return read;
  }

  /** A certificate and its key. */
  async #pair(
    cert: unknown, key: unknown, at: string, resolve: (path: string) => string,
  ): Promise<Pick<UpstreamTls, 'cert' | 'key'>> {
    const [certificate, own] = [
      await this.#one(cert, `${at}.cert`, resolve), await this.#one(key, `${at}.key`, resolve),
    ];
    const isCertificate = certificate !== undefined && this.#holdsCertificates(certificate, `${at}.cert`);
    const privateKey = own && this.#privateKey(own, `${at}.key`);
    const isPair = !isCertificate || privateKey === undefined ||
      new X509Certificate(certificate.pem).checkPrivateKey(privateKey);
    if (!isPair) {
      this.#problems.push(`${at}.key: ${own?.path ?? ''} is not the key of the certificate in ${certificate.path}`);
    }
    return { cert: certificate, key: own };
  }

  async #one(value: unknown, at: string, resolve: (path: string) => string): Promise<PemFile | undefined> {
    if (value === undefined) return undefined;
    if (typeof value === 'string' && value !== '') return this.#read(resolve(value), at);
    this.#problems.push(`${at}: must be the path of a PEM file (got ${shown(value)})`);
    return undefined;
  }

  async #read(path: string, at: string): Promise<PemFile | undefined> {
    const pem = await this.#files.read(path, at, this.#problems);
    return pem === undefined ? undefined : { path, pem };
  }

  #holdsCertificates({ path, pem }: PemFile, at: string): boolean {
    const certificates = pem.match(CERTIFICATE) ?? [];
    if (certificates.length === 0) {
      // DER begins with a sequence, whose tag is 0x30.
      const der = pem.startsWith('0') ? `; if it is DER, run openssl x509 -inform der -in ${path} -out FILE` : '';
      this.#problems.push(`${at}: ${path} must hold a certificate in PEM (-----BEGIN CERTIFICATE-----)${der}`);
      return false;
    }
    for (const [i, certificate] of certificates.entries()) {
      try {
        new X509Certificate(certificate);
      } catch (error) {
        const which = certificates.length === 1 ? 'its certificate' : `certificate ${i + 1} of ${certificates.length}`;
        this.#problems.push(`${at}: ${path}: ${which} cannot be read: ${messageOf(error)}`);
        return false;
      }
    }
    return true;
  }

  #privateKey({ path, pem }: PemFile, at: string): ReturnType<typeof createPrivateKey> | undefined {
    if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
      this.#problems.push(`${at}: ${path} is encrypted; decrypt it by openssl pkey -in ${path} -out FILE`);
      return undefined;
    }
    if (!/^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/m.test(pem)) {
      this.#problems.push(`${at}: ${path} must hold a private key in PEM (-----BEGIN PRIVATE KEY-----)`);
      return undefined;
    }
    try {
      return createPrivateKey(pem);
    } catch (error) {
      this.#problems.push(`${at}: ${path}: the private key cannot be read: ${messageOf(error)}`);
      return undefined;
    }
  }
}

/** One path or a list of them; undefined for anything else. */
function pathsOf(value: unknown): readonly string[] | undefined {
  const paths: readonly unknown[] = Array.isArray(value) ? value : [value];
  return paths.every((path) => typeof path === 'string' && path !== '') ? paths as readonly string[] : undefined;
}

const KNOWN: ReadonlySet<string> = new Set(['ca', 'cert', 'key', 'servername', 'insecure']);
const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/g;
