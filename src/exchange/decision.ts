/**
 * Why an exchange went where it went: what each pick saw, what it picked, and how the attempt ended. Noted for the
 * event `decided`, and for requests that ask by the header `X-Equipoise-Why`; otherwise nothing is noted.
 */
import type { DecidedAttempt, SeenCandidate } from '../events.ts';
import type { RequestHead } from '../http1/request.ts';
import { ResponseHead } from '../http1/response.ts';
import { isSameSecret } from '../options/secret.ts';
import type { Upstream } from '../strategy.ts';

/** The header by which a request asks, in lower case. */
export const WHY_FIELD = 'x-equipoise-why';

/** The notes of one exchange. */
export class Decision {
  readonly attempts: Noted[] = [];
  /** Whether the response tells it. */
  readonly isAsked: boolean;
  #strategy = '';
  #pool = '';

  constructor(isAsked: boolean) {
    this.isAsked = isAsked;
  }

  /** It is served by this pool from now on. */
  entered(pool: string, strategy: string): void {
    this.#pool = pool;
    this.#strategy = strategy;
  }

  get strategy(): string {
    return this.#strategy;
  }

  /** A pick saw `candidates`, and went to `upstream`; `bound`: without a choice, by an authenticated connection. */
  picked(candidates: readonly Upstream[], upstream: Upstream, bound: boolean): Noted {
    const shown = bound ? [] : candidates.slice(0, MAX_CANDIDATES);
    if (!bound && !shown.includes(upstream)) shown.splice(MAX_CANDIDATES - 1, 1, upstream);
    const noted = new Noted(shown.map(seen), bound ? 0 : candidates.length, upstream.origin);
    this.attempts.push(noted);
    return noted;
  }

  /**
   * The field line that tells it; `status` is that of the response. What it quotes is ASCII, since JSON can escape the
   * rest.
   */
  line(status: number): string {
    const attempts = this.attempts.slice(-MAX_TOLD).map(({ upstream, candidates, of, status: own, code }) => {
      const others = candidates.slice(0, MAX_TOLD).map(({ origin, weight, inFlight, latencyMs }) => (
        [origin, rounded(weight), rounded(inFlight), rounded(latencyMs)]));
      return { upstream, ...(code === undefined ? { status: own ?? status } : { code }), of, candidates: others };
    });
    const told = { pool: this.#pool, strategy: this.#strategy, attempts };
    const text = JSON.stringify(told).replace(/[^\x20-\x7e]/g, (char) => (
      `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`));
    return `${NAME}: ${text}\r\n`;
  }
}

/** One attempt, under way or ended. */
export class Noted implements DecidedAttempt {
  readonly candidates: readonly SeenCandidate[];
  readonly of: number;
  readonly upstream: string;
  status: number | undefined;
  code: string | undefined;
  durationMs = 0;

  constructor(candidates: readonly SeenCandidate[], of: number, upstream: string) {
    this.candidates = candidates;
    this.of = of;
    this.upstream = upstream;
  }

  settled(status: number | undefined, code: string | undefined, durationMs: number): void {
    this.status = status;
    this.code = code;
    this.durationMs = durationMs;
  }
}

/** Whether a request may see why: it brings the `token`. */
export function asksWhy(head: RequestHead, token: string): boolean {
  const given = head.header(WHY_FIELD);
  return given !== undefined && isSameSecret(given, token);
}

/** A copy of `head` with one more field line: heads of our own answers are shared. */
export function withLine(head: ResponseHead, line: string): ResponseHead {
  const copy = new ResponseHead();
  const { status, reason, fields, hasDate, framing, contentLength } = head;
  copy.answer({ status, reason, fields: `${fields}${line}`, hasDate }, 'HEAD', false);
  copy.framing = framing;
  copy.contentLength = contentLength;
  return copy;
}

/**
 * Samples the exchanges: about 200 a second, spread evenly by the rate of the second before. Watching a busy balancer
 * then costs little.
 */
export class Sampler {
  #second = 0;
  #seen = 0;
  #taken = 0;
  #stride = 1;

  /** Whether to take the exchange that begins at `now`. */
  takes(now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#stride = Math.max(1, Math.ceil(this.#seen / SAMPLES_PER_SECOND));
      this.#second = second;
      this.#seen = this.#taken = 0;
    }
    if (this.#seen++ % this.#stride !== 0 || this.#taken >= SAMPLES_PER_SECOND) return false;
    this.#taken++;
    return true;
  }
}

function seen({ origin, weight, inFlight, latencyMs }: Upstream): SeenCandidate {
  return { origin, weight, inFlight, latencyMs };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

const NAME = 'X-Equipoise-Why';
const SAMPLES_PER_SECOND = 200;
/** Of thousands of candidates, a few are enough to see what the pick was like. */
const MAX_CANDIDATES = 16;
/** In a header, fewer are told: clients limit the size of heads. */
const MAX_TOLD = 8;
