/**
 * The downstreams of a balancer: which are open, the sweep of their deadlines, and how they leave when it closes.
 */
import { BalancerError, type ErrorCode } from '../errors.ts';
import { type Placed, Roster } from '../loop/roster.ts';

/** A downstream while it is served: a connection of our own, or a request from an http server. */
export interface OpenDownstream extends Placed {
  /** Ends what is past its deadline. Returns whether there was anything to end. */
  sweep(now: number): boolean;
  /** Finishes what is in flight, then leaves; leaves at `deadline` if nothing is. */
  drain(deadline: number): void;
  /** Whether it would lose something if it were cut now. */
  readonly busy: boolean;
  /** Leaves at once: what is in flight ends with `code`. */
  destroy(code: ErrorCode): void;
}

export class Downstreams {
  readonly #open = new Roster<OpenDownstream>();
  readonly #report: (error: BalancerError) => void;
  readonly #onEmpty: () => void;
  /** Whether a sweep is under way: it may take several turns. */
  #sweeping = false;

  /** `onEmpty` is called each time the last downstream has left. */
  constructor(report: (error: BalancerError) => void, onEmpty: () => void) {
    this.#report = report;
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#open.entries.length;
  }

  add(downstream: OpenDownstream): void {
    this.#open.add(downstream);
  }

  /** Removes a downstream, if it is still there. */
  remove(downstream: OpenDownstream): void {
    if (this.#open.remove(downstream) && this.size === 0) this.#onEmpty();
  }

  /** Lets all finish what they have in flight and leave; idle ones leave at `deadline`. */
  drain(deadline: number): void {
    for (const downstream of this.#open.entries) downstream.drain(deadline);
  }

  /** Cuts the rest. Returns how many of them lost something. */
  cut(): number {
    let busy = 0;
    for (const downstream of [...this.#open.entries]) {
      if (downstream.busy) busy++;
      try {
        downstream.destroy('CLOSING');
      } catch (cause) {
        this.#report(new BalancerError('INTERNAL_ERROR', 'a downstream could not be cut', { cause }));
        this.remove(downstream);
      }
    }
    return busy;
  }

  /**
   * Ends what is past its deadline. At most a few are ended in one turn of the event loop, so that thousands that are
   * late together do not hold up the rest.
   */
  sweep(now: number): void {
    if (!this.#sweeping) this.#sweepBelow(this.size, now);
  }

  /** Sweeps from index `end` down to 0. When an entry leaves, the one that takes its index has been swept already. */
  #sweepBelow(end: number, now: number): void {
    let ended = 0;
    let place = end;
    while (--place >= 0) {
      const downstream = this.#open.entries[place];
      if (downstream === undefined || !this.#sweepOne(downstream, now) || ++ended < MAX_ENDED_AT_ONCE) continue;
      this.#sweeping = true;
      setImmediate(() => {
        this.#sweepBelow(place, now);
      });
      return;
    }
    this.#sweeping = false;
  }

  /** If a downstream throws, in foreign streams or middleware, the others must still be swept. */
  #sweepOne(downstream: OpenDownstream, now: number): boolean {
    try {
      return downstream.sweep(now);
    } catch (cause) {
      this.#report(new BalancerError('INTERNAL_ERROR', 'a downstream could not be ended', { cause }));
      this.#drop(downstream);
      return true;
    }
  }

  /** Removes a downstream that failed: it would fail again at each sweep. */
  #drop(downstream: OpenDownstream): void {
    try {
      downstream.destroy('INTERNAL_ERROR');
    } catch {
      // The first failure was reported.
    } finally {
      this.remove(downstream);
    }
  }
}

/** Refusing and closing one takes about 100 µs, so a sweep takes at most 1 ms of a turn. */
const MAX_ENDED_AT_ONCE = 10;
