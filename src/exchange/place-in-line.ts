/**
 * Where an exchange waits: in the queue of its pool, or behind the requests ahead of it on an authenticated connection.
 */
import type { Pool } from '../pools/pool.ts';
import type { Waiting } from '../pools/queue.ts';
import type { Affinity } from './affinity.ts';
import type { Picks } from './picks.ts';

/** The exchange that waits. */
interface Queued {
  readonly pool: Pool;
  /** The upstream connection that it has to use, if there is one. */
  readonly bound: Affinity | undefined;
  /** Its turn has come. */
  proceed(): void;
}

export class PlaceInLine implements Waiting {
  ahead: Waiting | undefined;
  behind: Waiting | undefined;
  readonly #exchange: Queued;
  readonly #picks: Picks;
  /** Whose turn comes before: undefined in the queue of the pool. */
  #awaited: Affinity | undefined;

  constructor(exchange: Queued, picks: Picks) {
    this.#exchange = exchange;
    this.#picks = picks;
  }

  get ready(): boolean {
    const { bound, pool } = this.#exchange;
    return bound === undefined ? this.#picks.any : bound.hasRoom && !pool.upstreams.full;
  }

  get particular(): boolean {
    return this.#picks.particular || this.#exchange.bound !== undefined;
  }

  /** Waits in the queue. Returns false where the queue is full. */
  enterQueue(): boolean {
    return this.#exchange.pool.queue.enter(this);
  }

  /** Waits for the exchanges ahead on an authenticated connection. */
  follow(bound: Affinity): void {
    bound.follow(this);
    this.#awaited = bound;
  }

  /** Stops waiting. */
  leave(): void {
    if (this.#awaited === undefined) this.#exchange.pool.queue.leave(this);
    else this.#awaited.leave(this);
    this.#awaited = undefined;
  }

  proceed(): void {
    this.#awaited = undefined;
    this.#exchange.proceed();
  }
}
