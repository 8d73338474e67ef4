/**
 * What all ways in share: the rules, who is in, and exchanges that wait to be used again.
 */
import { BalancerError } from '../errors.ts';
import { Exchange } from '../exchange/exchange.ts';
import type { ExchangeServices } from '../exchange/services.ts';
import type { BodyLimits, HeadLimits } from '../http1/grammar.ts';
import type { Settings } from '../options/parse.ts';
import type { Pool } from '../pools/pool.ts';

/** What of the settings a front goes by. */
export type FrontRules = HeadLimits & BodyLimits & Pick<Settings,
  | 'headTimeoutMs' | 'idleTimeoutMs' | 'keepAliveTimeoutMs' | 'trusts' | 'maxConnections' | 'maxRequestsPerConnection'
  | 'maxHeldBytes'>;

/** One downstream that is being served: a connection of our own, or a request of a node:http server. */
export interface Guest {
  /** Where it stands among the {@link Guests}; -1 where it does not. Theirs to set. */
  place: number;
  /** Ends what is past its deadline. Returns whether there was something to end. */
  sweep(now: number): boolean;
  /** Answers what is in flight, then leaves; with nothing in flight, at `deadline`. */
  drain(deadline: number): void;
  /** Whether it has something to lose. */
  readonly busy: boolean;
  /** Leaves at once. */
  destroy(): void;
}

/**
 * Everybody who is being served. An array in which each knows its place, so that any of them can leave in constant
 * time: the tables of a Map or Set that churns with requests keep each other's garbage alive until the next full
 * collection (Node 24, 64 connections: scavenges of 15 ms instead of 0.4, and a quarter of all CPU time).
 */
export class Guests {
  readonly #all: Guest[] = [];

  /** In no order; the last one takes the place of one that leaves. */
  get all(): readonly Guest[] {
    return this.#all;
  }

  add(guest: Guest): void {
    guest.place = this.#all.push(guest) - 1;
  }

  /** Returns false if it had left before. */
  remove(guest: Guest): boolean {
    const { place } = guest;
    if (place < 0) return false;
    guest.place = -1;
    const last = this.#all.pop();
    if (last !== undefined && last !== guest) {
      this.#all[place] = last;
      last.place = place;
    }
    return true;
  }
}

/** The ways into a balancer. */
export class Front {
  readonly services: ExchangeServices;
  readonly pool: Pool;
  readonly rules: FrontRules;
  readonly guests = new Guests();
  /** Connections of our own among the guests. */
  connections = 0;
  /** Connections of node:http servers on which a head was refused: where the next one starts is not certain. */
  readonly refused = new WeakSet<object>();
  /** Whether the balancer is closing: responses say so. */
  closing = false;
  readonly #onEmpty: () => void;
  readonly #spare: Exchange[] = [];
  /** Whether a sweep is under way, which may take several turns. */
  #sweeping = false;

  /** `onEmpty` is called each time that the last guest has left. */
  constructor(services: ExchangeServices, pool: Pool, rules: FrontRules, onEmpty: () => void) {
    this.services = services;
    this.pool = pool;
    this.rules = rules;
    this.#onEmpty = onEmpty;
  }

  /** To be called when a guest goes. Returns false if it had gone before. */
  left(guest: Guest): boolean {
    const first = this.guests.remove(guest);
    if (first && this.guests.all.length === 0) this.#onEmpty();
    return first;
  }

  /**
   * Has all guests end what is past its deadline: a few at a time, so that thousands that came together, and are late
   * together, hold up nobody else.
   */
  sweep(now: number): void {
    if (this.#sweeping) return;
    this.#sweepBelow(this.guests.all.length, now);
  }

  /**
   * Sweeps those whose place is below `end`, from the last to the first: whoever leaves meanwhile is replaced by one
   * from behind, so none is missed.
   */
  #sweepBelow(end: number, now: number): void {
    const { all } = this.guests;
    let ended = 0;
    let place = end;
    while (--place >= 0) {
      const guest = all[place];
      if (guest === undefined || !this.#sweepOne(guest, now) || ++ended < MAX_ENDED_AT_ONCE) continue;
      this.#sweeping = true;
      setImmediate(() => {
        this.#sweepBelow(place, now);
      });
      return;
    }
    this.#sweeping = false;
  }

  /** One whose end fails, in a stream or middleware that is not ours, must not keep the others from theirs. */
  #sweepOne(guest: Guest, now: number): boolean {
    try {
      return guest.sweep(now);
    } catch (cause) {
      const error = new BalancerError('INTERNAL_ERROR', 'a downstream could not be ended', { cause });
      this.services.report(error, undefined);
      this.#cast(guest);
      return true;
    }
  }

  /** Gets rid of a guest that failed: it would fail again at each sweep. */
  #cast(guest: Guest): void {
    try {
      guest.destroy();
    } catch {
      // What it has to say was reported.
    } finally {
      this.left(guest);
    }
  }

  /** An exchange for one request. Connections that idle hold none: most of ten thousand do. */
  borrow(): Exchange {
    return this.#spare.pop() ?? new Exchange(this.services, this.pool);
  }

  /** Takes back an exchange that has ended. */
  giveBack(exchange: Exchange): void {
    if (this.#spare.length < MAX_SPARE) this.#spare.push(exchange);
  }
}

/** As many as are in flight at once on a busy core; some half a kilobyte each. */
const MAX_SPARE = 1_024;
/** To refuse and close one takes some 100 µs: 1 ms of it between two turns of the loop. */
const MAX_ENDED_AT_ONCE = 10;
