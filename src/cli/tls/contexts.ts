/**
 * Which certificate a client gets: by the name that it asks for (SNI), exact names before wildcards.
 */
import { constants, createHash } from 'node:crypto';
import tls, { type SecureContext, type SecureContextOptions } from 'node:tls';
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
  /** Of a client that asks for no name, or for one that no certificate has. */
  readonly fallback: SecureContextOptions;
  readonly #exact = new Map<string, SecureContext>();
  /** By what follows the asterisk and its dot. */
  readonly #wildcard = new Map<string, SecureContext>();

  /** Throws what OpenSSL says of the ciphers, versions or certificates. `pairs` has at least one. */
  constructor(pairs: readonly Pair[], protocol: Protocol) {
    const common = commonOptions(pairs, protocol);
    const made = new Map<string, SecureContext>();
    const contextOf = (name: string): SecureContext => {
      const own = kinds(pairs.filter(({ names }) => names.includes(name)));
      const id = own.map((pair) => pairs.indexOf(pair)).join();
      const context = made.get(id) ?? tls.createSecureContext({ ...common, ...certificates(own) });
      made.set(id, context);
      return context;
    };
    for (const name of new Set(pairs.flatMap(({ names }) => names))) {
      if (name.startsWith('*.')) this.#wildcard.set(name.slice(2), contextOf(name));
      else this.#exact.set(name, contextOf(name));
    }
    const [first] = pairs;
    const alike = pairs.filter((pair) => pair === first || first?.names.some((name) => pair.names.includes(name)));
    this.fallback = { ...common, ...certificates(kinds(alike)) };
    tls.createSecureContext(this.fallback);
  }

  /** The context for a name; undefined for the default. */
  find(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase().replace(/\.$/, '');
    return this.#exact.get(name) ?? this.#wildcard.get(name.slice(name.indexOf('.') + 1));
  }
}

/** The first pair of each kind of key: a client may know only RSA, and prefer EC if it knows that too. */
function kinds(pairs: readonly Pair[]): Pair[] {
  return pairs.filter((pair, i) => pairs.findIndex(({ keyType }) => keyType === pair.keyType) === i);
}

function certificates(pairs: readonly Pair[]): SecureContextOptions {
  return { cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) };
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
