/**
 * What a balancer tells those who want to know. Where nobody listens, nothing is made and nothing is called.
 */
import { guarded } from './guard.ts';
import type { Outcome, Upstream } from './strategy.ts';

/** The events of a balancer, each with what it tells. */
export interface BalancerEvents {
  /**
   * An upstream is out of the candidates, for `forMs` (Infinity: until a probe finds it well): by its `attempts`, by
   * `probes`, or by `peers` that have ejected it.
   */
  ejected: { readonly upstream: Upstream; readonly forMs: number; readonly by: Witness };
  /** An ejected upstream is back among the candidates. */
  readmitted: { readonly upstream: Upstream; readonly by: Witness };
  /** An attempt on `upstream` came to nothing, for the error `code` or by its `status`, and another one follows. */
  retried: {
    readonly upstream: Upstream; readonly attempt: number;
    readonly code: string | undefined; readonly status: number | undefined;
  };
  /** An attempt has settled. */
  settled: { readonly upstream: Upstream; readonly outcome: Outcome };
  /** An upstream was added. */
  added: { readonly upstream: Upstream };
  /** An upstream gets nothing new: it was removed, and finishes what it has in flight. */
  draining: { readonly upstream: Upstream };
  /** A removed upstream has nothing in flight any more. */
  removed: { readonly upstream: Upstream };
  /** A request waits for an upstream to have room; `waiting` counts it. */
  queued: { readonly waiting: number };
  /** A request was answered by the balancer itself. */
  refused: { readonly status: number; readonly code: string };
}

/** Who found out how an upstream fares. */
export type Witness = 'attempts' | 'probes' | 'peers';

type Name = keyof BalancerEvents;

/** The names of all events. */
export const EVENT_NAMES = Object.keys({
  ejected: 0, readmitted: 0, retried: 0, settled: 0, added: 0, draining: 0, removed: 0, queued: 0, refused: 0,
} satisfies Record<Name, 0>) as readonly Name[];

/** Hears of one kind of event. What it returns is of no matter; a promise is not waited for. */
export type Listener<N extends Name> = (event: BalancerEvents[N]) => unknown;

/** Who listens to what. */
export class Events {
  readonly #listeners = new Map<Name, readonly Listener<Name>[]>();
  readonly #onFault: (event: string, what: string, cause: unknown) => void;

  /** `onFault` hears what a listener did wrong: it must not break off what it was told of. */
  constructor(onFault: (event: string, what: string, cause: unknown) => void) {
    this.#onFault = onFault;
  }

  on<N extends Name>(name: N, listener: Listener<N>): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener as Listener<Name>]);
  }

  /** Takes a listener away again, as often as it was added. */
  off<N extends Name>(name: N, listener: Listener<N>): void {
    const left = this.#listeners.get(name)?.filter((other) => other !== listener) ?? [];
    if (left.length > 0) this.#listeners.set(name, left);
    else this.#listeners.delete(name);
  }

  /** Whether anybody listens at all, to this: to be asked before an event is made. */
  heard(name: Name): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(name);
  }

  /** Tells those who listen now: whom one of them takes away, or adds, is so from the next event on. */
  tell<N extends Name>(name: N, event: BalancerEvents[N]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      guarded(() => listener(event), (what, cause) => {
        this.#onFault(name, what, cause);
      });
    }
  }
}
