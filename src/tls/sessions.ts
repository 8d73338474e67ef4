/**
 * TLS sessions to resume, by the upstream that issued them. A resumed handshake saves both sides the certificate and
 * its verification, and one round trip with TLS 1.2.
 */

/** A session of a connection whose handshake was completed and accepted. */
export interface Session {
  readonly data: Buffer;
  /** When the certificate behind it was last verified. */
  readonly verifiedAt: number;
  /** TLS 1.3 tickets are used once, so that connections cannot be linked by them (RFC 8446 appendix C.4). */
  readonly once: boolean;
}

export class Sessions {
  readonly #now: () => number;
  /** The least recently extended origin comes first. */
  readonly #origins = new Map<string, Session[]>();

  /** `now` gives monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A session to resume with this upstream: the newest, if there is one that is not too old. */
  take(origin: string): Session | undefined {
    const kept = this.#origins.get(origin);
    const newest = kept?.at(-1);
    if (kept === undefined || newest === undefined) return undefined;
    if (this.#now() - newest.verifiedAt >= MAX_AGE_MS) {
      // The others are older.
      this.#origins.delete(origin);
      return undefined;
    }
    if (newest.once) kept.pop();
    return newest;
  }

  add(origin: string, session: Session): void {
    const kept = this.#origins.get(origin) ?? [];
    // One of TLS 1.2 may be used many times: the newest is enough.
    if (!session.once) kept.length = 0;
    kept.push(session);
    // In the order of their verification: a ticket of a resumed connection is as old as what it was resumed with.
    kept.sort((a, b) => a.verifiedAt - b.verifiedAt);
    if (kept.length > MAX_PER_ORIGIN) kept.shift();
    this.#origins.delete(origin);
    this.#origins.set(origin, kept);
    for (const oldest of this.#origins.keys()) {
      if (this.#origins.size <= MAX_ORIGINS) break;
      this.#origins.delete(oldest);
    }
  }

  /** Forgets the sessions of an upstream: after a failed handshake, the next one must not depend on them. */
  forget(origin: string): void {
    this.#origins.delete(origin);
  }
}

/**
 * How long a certificate counts as verified. A resumed handshake verifies nothing, and each brings new tickets: without
 * a limit, the certificate of an upstream would be verified once.
 */
const MAX_AGE_MS = 3_600_000;
/** OpenSSL sends two tickets per connection. A session takes 1 to 3 KB: in total at most some 12 MB. */
const MAX_PER_ORIGIN = 4;
const MAX_ORIGINS = 1_024;
