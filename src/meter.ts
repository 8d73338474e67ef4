/**
 * How a balancer is measured. Events tell of one exchange in an object each; a meter is called with plain values, so
 * that counting every exchange allocates nothing.
 */
import type { OnFault } from './guard.ts';
import type { Upstream } from './strategy.ts';

/** Counts what passes. Its methods are called for every exchange: they must be quick. */
export interface Meter {
  /** An exchange is over. `pool` is `''` where no route matched; `status` is 499 if the downstream left first. */
  exchange(pool: string, method: string, status: number, durationMs: number): void;
  /** An upstream has sent the head of a response, `latencyMs` after the pick. */
  answered(pool: string, upstream: Upstream, latencyMs: number): void;
  /** An attempt has settled: with a `status`, or with the code of the `error` that ended it. */
  attempt(pool: string, upstream: Upstream, status: number | undefined, error: string | undefined): void;
  /**
   * The strategy in the option `shadow` was asked, and would have picked `upstream`: undefined if it declined, or could
   * not be asked. `agreed`: so did the live strategy.
   */
  shadowPick?(pool: string, strategy: string, upstream: Upstream | undefined, agreed: boolean): void;
  /** It did something wrong. */
  shadowFault?(pool: string, strategy: string): void;
}

/** What the strategy in the option `shadow` would have done, since the pool has it. */
export interface ShadowFigures {
  /** Its name. */
  readonly strategy: string;
  /** Picks of the live strategy, after each of which it was asked: `agreed + differed + declined`, and faulty ones. */
  readonly picks: number;
  readonly agreed: number;
  readonly differed: number;
  /** Where it would have picked nothing. */
  readonly declined: number;
  /** Throws, promises, and picks that are not candidates, in all of its methods. */
  readonly faults: number;
  /** An estimate of what its picks would have cost. */
  readonly estimate: ShadowEstimate;
  /** What each upstream got, and what it would have got. */
  readonly upstreams: readonly { readonly origin: string; readonly live: number; readonly shadow: number }[];
}

/**
 * Mean times from the pick to the response head, in milliseconds. Measured for the live picks; where the shadow
 * differed, an estimate from the upstream that it would have picked, as the live traffic finds it: the load that its
 * own picks would have moved is not in it. 0 while there is nothing to compare.
 */
export interface ShadowEstimate {
  /** The answered attempts that are compared: those with a figure on both sides. */
  readonly requests: number;
  /** What they took. */
  readonly liveMs: number;
  /** By the `latencyMs` of the upstreams that the shadow picked. */
  readonly shadowMs: number;
  /**
   * The same in proportion to what they had in flight at the pick, relative to what they usually have at a live pick:
   * right for upstreams that serve one request after the other.
   */
  readonly shadowByLoadMs: number;
}

/** What a balancer has carried since it was created, and what it holds now. */
export interface Traffic {
  readonly openConnections: number;
  readonly connections: number;
  /** Octets read from downstream connections, heads and framing included; of TLS, what it carries. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** How many requests wait for room, by the names of the pools. */
  readonly queued: Readonly<Record<string, number>>;
}

/** A meter at work. */
export interface Metering {
  /** Unlike `balancer.pools`, this does not complete an update in progress. */
  traffic(): Traffic;
  stop(): void;
}

/** The meters of one balancer. */
export class Meters {
  /** What counts; undefined if nothing does. */
  current: Meter | undefined;
  readonly #onFault: OnFault;
  #all: readonly Meter[] = [];

  /** `onFault` receives what a meter throws. */
  constructor(onFault: OnFault) {
    this.#onFault = onFault;
  }

  /** Has `meter` count from now on. Returns how to stop that. */
  add(meter: Meter): () => void {
    const own = new GuardedMeter(meter, this.#onFault);
    this.#set([...this.#all, own]);
    return () => {
      this.#set(this.#all.filter((other) => other !== own));
    };
  }

  #set(all: readonly Meter[]): void {
    this.#all = all;
    this.current = all.length > 1 ? new SeveralMeters(all) : all[0];
  }
}

/** A meter may be foreign code: what it throws must not interrupt the exchange that it counts. */
class GuardedMeter implements Meter {
  readonly #meter: Meter;
  readonly #onFault: OnFault;

  constructor(meter: Meter, onFault: OnFault) {
    this.#meter = meter;
    this.#onFault = onFault;
  }

  exchange(pool: string, method: string, status: number, durationMs: number): void {
    try {
      this.#meter.exchange(pool, method, status, durationMs);
    } catch (cause) {
      this.#onFault('threw', cause);
    }
  }

  answered(pool: string, upstream: Upstream, latencyMs: number): void {
    try {
      this.#meter.answered(pool, upstream, latencyMs);
    } catch (cause) {
      this.#onFault('threw', cause);
    }
  }

  attempt(pool: string, upstream: Upstream, status: number | undefined, error: string | undefined): void {
    try {
      this.#meter.attempt(pool, upstream, status, error);
    } catch (cause) {
      this.#onFault('threw', cause);
    }
  }

  shadowPick(pool: string, strategy: string, upstream: Upstream | undefined, agreed: boolean): void {
    try {
      this.#meter.shadowPick?.(pool, strategy, upstream, agreed);
    } catch (cause) {
      this.#onFault('threw', cause);
    }
  }

  shadowFault(pool: string, strategy: string): void {
    try {
      this.#meter.shadowFault?.(pool, strategy);
    } catch (cause) {
      this.#onFault('threw', cause);
    }
  }
}

class SeveralMeters implements Meter {
  readonly #meters: readonly Meter[];

  constructor(meters: readonly Meter[]) {
    this.#meters = meters;
  }

  exchange(pool: string, method: string, status: number, durationMs: number): void {
    for (const meter of this.#meters) meter.exchange(pool, method, status, durationMs);
  }

  answered(pool: string, upstream: Upstream, latencyMs: number): void {
    for (const meter of this.#meters) meter.answered(pool, upstream, latencyMs);
  }

  attempt(pool: string, upstream: Upstream, status: number | undefined, error: string | undefined): void {
    for (const meter of this.#meters) meter.attempt(pool, upstream, status, error);
  }

  shadowPick(pool: string, strategy: string, upstream: Upstream | undefined, agreed: boolean): void {
    for (const meter of this.#meters) meter.shadowPick?.(pool, strategy, upstream, agreed);
  }

  shadowFault(pool: string, strategy: string): void {
    for (const meter of this.#meters) meter.shadowFault?.(pool, strategy);
  }
}
