/**
 * The decisions of this worker: recorded only while somebody looks, since each costs some memory and time.
 */
import type { BalancerEvents } from '../../events.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import { isRecord } from '../../options/checks.ts';
import type { Observed } from '../access-log-options.ts';

/** A decision, as JSON has it. `at` is the end of its exchange, in milliseconds since 1970. */
export type Recorded = BalancerEvents['decided'] & { readonly at: number; readonly pid: number };

/** Which decisions are asked for. */
export interface Filter {
  readonly pool?: string;
  /** The origin of an upstream that was a candidate or was picked. */
  readonly upstream?: string;
  /** What the target begins with. */
  readonly path?: string;
  /** Of the response: `503`, or a class such as `5xx`. */
  readonly status?: string;
  readonly id?: string;
  readonly limit: number;
}

/** What the decisions of a minute say of one upstream. */
export interface Evidence {
  readonly pool: string;
  readonly origin: string;
  /** How many first attempts could have gone there, and how many did. */
  readonly seen: number;
  readonly picked: number;
  /** How many attempts went there, and how many of them failed. */
  readonly attempts: number;
  readonly failed: number;
  /** Sums over the decisions that passed it over: what it had in flight, and what the one had that was picked. */
  readonly ownInFlight: number;
  readonly otherInFlight: number;
}

export class Decisions {
  readonly #balancer: Observed;
  readonly #time: TimeSource;
  readonly #ring: Recorded[] = [];
  /** When nobody looks any more. */
  #until = -Infinity;
  #stop: (() => void) | undefined;

  constructor(balancer: Observed, time: TimeSource) {
    this.#balancer = balancer;
    this.#time = time;
  }

  /** Whether decisions are recorded. */
  get recording(): boolean {
    return this.#stop !== undefined;
  }

  /** Somebody looks: records for `ms` from now on. */
  record(ms: number): void {
    this.#until = Math.max(this.#until, this.#time.now() + ms);
    if (this.#stop !== undefined) return;
    this.#balancer.on('decided', this.#onDecided);
    this.#stop = this.#time.every(CHECK_MS, () => {
      if (this.#time.now() >= this.#until) this.close();
    });
  }

  /** Those that `filter` lets pass, the latest first. */
  find(filter: Filter): readonly Recorded[] {
    const found: Recorded[] = [];
    for (let i = this.#ring.length - 1; i >= 0 && found.length < filter.limit; i--) {
      const decision = this.#ring[i];
      if (decision !== undefined && passes(decision, filter)) found.push(decision);
    }
    return found;
  }

  /** What the decisions of the last minute say of each upstream. */
  get evidence(): readonly Evidence[] {
    const all = new Map<string, Tally>();
    const since = this.#time.epoch() - EVIDENCE_MS;
    for (const decision of this.#ring) if (decision.at >= since) tally(decision, all);
    return [...all.values()];
  }

  close(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#balancer.off('decided', this.#onDecided);
    this.#ring.length = 0;
  }

  readonly #onDecided = (decision: BalancerEvents['decided']): void => {
    this.#ring.push({ at: this.#time.epoch(), pid: process.pid, ...decision });
    if (this.#ring.length > MAX_DECISIONS) this.#ring.splice(0, this.#ring.length - MAX_DECISIONS + SLACK);
  };
}

type Tally = { -readonly [N in keyof Evidence]: Evidence[N] };

function tally({ pool, attempts }: Recorded, all: Map<string, Tally>): void {
  const of = (origin: string): Tally => {
    const key = `${pool} ${origin}`;
    let one = all.get(key);
    if (one === undefined) {
      one = { pool, origin, seen: 0, picked: 0, attempts: 0, failed: 0, ownInFlight: 0, otherInFlight: 0 };
      all.set(key, one);
    }
    return one;
  };
  for (const { upstream, code, status } of attempts) {
    const one = of(upstream);
    one.attempts++;
    if (code !== undefined || (status !== undefined && status >= 500)) one.failed++;
  }
  const [first] = attempts;
  if (first === undefined) return;
  const picked = first.candidates.find(({ origin }) => origin === first.upstream);
  for (const { origin, inFlight } of first.candidates) {
    const one = of(origin);
    one.seen++;
    if (origin === first.upstream) one.picked++;
    else {
      one.ownInFlight += inFlight;
      one.otherInFlight += picked?.inFlight ?? 0;
    }
  }
}

function passes(decision: Recorded, { pool, upstream, path, status, id }: Filter): boolean {
  if (pool !== undefined && decision.pool !== pool) return false;
  if (id !== undefined && decision.id !== id) return false;
  if (path !== undefined && !decision.target.startsWith(path)) return false;
  if (status !== undefined && status !== String(decision.status) &&
    status.toLowerCase() !== `${String(decision.status).slice(0, 1)}xx`) return false;
  return upstream === undefined || decision.attempts.some((attempt) => (
    attempt.upstream === upstream || attempt.candidates.some(({ origin }) => origin === upstream)));
}

/** Decisions, or what they say, from another worker: what is not understood is left out. */
export function recordedIn(value: unknown): readonly Recorded[] {
  return recordsIn(value).filter((one) => typeof one['at'] === 'number' && Array.isArray(one['attempts'])) as
    unknown as readonly Recorded[];
}

/** The records in a list that comes from another worker. */
export function recordsIn(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

const CHECK_MS = 1_000;
const EVIDENCE_MS = 60_000;
const MAX_DECISIONS = 2_048;
/** Dropped together with the oldest, so that the array is not moved for each decision. */
const SLACK = 128;
