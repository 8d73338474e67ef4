/**
 * Which certificate a client gets: by the name that it asks for (SNI), exact names before wildcards.
 *
 * The name is read before the handshake, and not by Node's SNICallback: that adds a certificate to those of the
 * default, so that beside a default with an EC key nobody would get one with an RSA key.
 */
import { constants, createHash } from 'node:crypto';
import tls, { type SecureContextOptions } from 'node:tls';
import type { Pair } from './certificates.ts';

/** What holds for all certificates alike. */
export interface Protocol {
  readonly minVersion: tls.SecureVersion | undefined;
  readonly maxVersion: tls.SecureVersion | undefined;
  readonly ciphers: string | undefined;
  /** The authorities of client certificates, in PEM; undefined if none is asked for. */
  readonly clientCa: string | undefined;
}

export class Contexts {
  /** The first is for clients that ask for no name, or for one that no certificate has. */
  readonly all: readonly SecureContextOptions[];
  readonly #exact = new Map<string, number>();
  /** By what follows the asterisk and its dot. */
  readonly #wildcard = new Map<string, number>();

  /** Throws what OpenSSL says of the ciphers, versions or certificates. `pairs` has at least one. */
  constructor(pairs: readonly Pair[], protocol: Protocol) {
    const common = commonOptions(pairs, protocol);
    const [first] = pairs;
    const ofDefault = pairs.filter((pair) => pair === first || first?.names.some((name) => pair.names.includes(name)));
    const sets = [kinds(ofDefault)];
    for (const name of new Set(pairs.flatMap(({ names }) => names))) {
      const own = kinds(pairs.filter(({ names }) => names.includes(name)));
      const found = sets.findIndex((set) => set.length === own.length && set.every((pair, i) => pair === own[i]));
      const index = found < 0 ? sets.push(own) - 1 : found;
      if (name.startsWith('*.')) this.#wildcard.set(name.slice(2), index);
      else this.#exact.set(name, index);
    }
    this.all = sets.map((set) => ({ ...common, cert: set.map(({ cert }) => cert), key: set.map(({ key }) => key) }));
    for (const options of this.all) tls.createSecureContext(options);
  }

  /** The index of the context for a name in lower case. */
  find(name: string): number {
    return this.#exact.get(name) ?? this.#wildcard.get(name.slice(name.indexOf('.') + 1)) ?? 0;
  }
}

/** The first pair of each kind of key: a client may know only RSA, and prefer EC if it knows that too. */
function kinds(pairs: readonly Pair[]): Pair[] {
  return pairs.filter((pair, i) => pairs.findIndex(({ keyType }) => keyType === pair.keyType) === i);
}

function commonOptions(pairs: readonly Pair[], protocol: Protocol): SecureContextOptions {
  const { minVersion, maxVersion, ciphers, clientCa } = protocol;
  const hash = createHash('sha256');
  for (const part of [...pairs.map(({ fingerprint }) => fingerprint), clientCa ?? '']) hash.update(`${part}\0`);
  return {
    ...(minVersion && { minVersion }), ...(maxVersion && { maxVersion }), ...(ciphers && { ciphers }),
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    honorCipherOrder: true,
    // A client could make us compute a handshake again and again.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    // A ticket resumes only with the certificates and authorities that it was issued with, as in nginx: after a change,
    // clients see the new certificate, and show theirs to the new authorities.
    sessionIdContext: hash.digest('hex').slice(0, 32),
  };
}
