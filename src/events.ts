/**
 * The events of a balancer. An event without a listener costs nothing: it is not even made.
 */
import { guarded } from './guard.ts';
import type { Outcome, Upstream } from './strategy.ts';

/**
 * Each event by its name, with what its listeners get. `pool` is the name of the pool concerned; `requestId` names the
 * request if it has an id (option `requestId`).
 */
export interface BalancerEvents {
  /**
   * An upstream was taken out of the candidates, for `forMs` (Infinity: until a probe succeeds): because of its
   * `attempts`, by `probes`, or by `peers` that ejected it. For attempts, the last one failed with the error `code` or
   * was answered with `status`.
   */
  ejected: {
    readonly pool: string; readonly upstream: Upstream; readonly forMs: number; readonly by: Witness;
    readonly code: string | undefined; readonly status: number | undefined;
  };
  /** An ejected upstream is back among the candidates. */
  readmitted: { readonly pool: string; readonly upstream: Upstream; readonly by: Witness };
  /** An attempt on `upstream` failed, with the error `code` or by its `status`, and another attempt follows. */
  retried: {
    readonly pool: string; readonly upstream: Upstream; readonly attempt: number;
    readonly code: string | undefined; readonly status: number | undefined; readonly requestId?: string;
  };
  /** An attempt has settled. */
  settled: {
    readonly pool: string; readonly upstream: Upstream; readonly outcome: Outcome; readonly requestId?: string;
  };
  /** An upstream was added. */
  added: { readonly pool: string; readonly upstream: Upstream };
  /** An upstream was removed: it gets no new work and finishes what is in flight. */
  draining: { readonly pool: string; readonly upstream: Upstream };
  /** A removed upstream has nothing left in flight. */
  removed: { readonly pool: string; readonly upstream: Upstream };
  /** A request waits for room at an upstream of the pool; `waiting` includes it. */
  queued: { readonly pool: string; readonly waiting: number };
  /** A request was answered by the balancer itself. */
  refused: { readonly status: number; readonly code: string; readonly requestId?: string };
  /**
   * A copy of a request (`exchange.mirror`) for this pool was not sent, or given up: as many as `maxMirrored` are under
   * way; its upstream lags by more than `maxMirroredBytes`; all upstreams are `unavailable`; the request is
   * `unfinished`, since it was answered or broke off before its end; the balancer is `closing`.
   */
  mirrorDropped: {
    readonly pool: string;
    readonly reason: 'maxMirrored' | 'maxMirroredBytes' | 'unavailable' | 'unfinished' | 'closing';
    readonly requestId?: string;
  };
}

/** What an ejection or readmission is based on. */
export type Witness = 'attempts' | 'probes' | 'peers';

type Name = keyof BalancerEvents;

/** The names of all events. */
export const EVENT_NAMES = Object.keys({
  ejected: 0, readmitted: 0, retried: 0, settled: 0, added: 0, draining: 0, removed: 0, queued: 0, refused: 0,
  mirrorDropped: 0,
} satisfies Record<Name, 0>) as readonly Name[];

/** A listener for one kind of event. What it returns is ignored; a promise is not awaited. */
export type Listener<N extends Name> = (event: BalancerEvents[N]) => unknown;

/** The listeners of one balancer. */
export class Events {
  readonly #listeners = new Map<Name, readonly Listener<Name>[]>();
  readonly #onFault: (event: string, what: string, cause: unknown) => void;

  /** `onFault` receives the fault of a listener, which must not interrupt what the event is about. */
  constructor(onFault: (event: string, what: string, cause: unknown) => void) {
    this.#onFault = onFault;
  }

  on<N extends Name>(name: N, listener: Listener<N>): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener as Listener<Name>]);
  }

  /** Removes a listener, however often it was added. */
  off<N extends Name>(name: N, listener: Listener<N>): void {
    const left = this.#listeners.get(name)?.filter((other) => other !== listener) ?? [];
    if (left.length > 0) this.#listeners.set(name, left);
    else this.#listeners.delete(name);
  }

  /** Whether there is a listener for this event. Ask before making the event. */
  heard(name: Name): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(name);
  }

  /** Calls the current listeners. Those that a listener adds or removes count from the next event on. */
  tell<N extends Name>(name: N, event: BalancerEvents[N]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      guarded(() => listener(event), (what, cause) => {
        this.#onFault(name, what, cause);
      });
    }
  }
}
