/**
 * What all ways in share: the rules, who is in, and exchanges that wait to be used again.
 */
import { Exchange } from '../exchange/exchange.ts';
import type { Services } from '../exchange/services.ts';
import type { BodyLimits, HeadLimits } from '../http1/grammar.ts';
import type { Settings } from '../settings.ts';

/** What of the settings a front goes by. */
export type FrontRules = HeadLimits & BodyLimits & Pick<Settings,
  | 'headTimeoutMs' | 'keepAliveTimeoutMs' | 'trusts' | 'maxConnections' | 'maxRequestsPerConnection' | 'maxHeldBytes'>;

/** One downstream that is being served: a connection of our own, or a request of a node:http server. */
export interface Guest {
  /** Ends what is past its deadline. Returns whether there was something to end. */
  sweep(now: number): boolean;
  /** Answers what is in flight, then leaves; with nothing in flight, at `deadline`. */
  drain(deadline: number): void;
  /** Whether it has something to lose. */
  readonly busy: boolean;
  /** Leaves at once. */
  destroy(): void;
}

/** The ways into a balancer. */
export class Front {
  readonly services: Services;
  readonly rules: FrontRules;
  /** Each by what it is served on: a stream, or the response of a node:http server. */
  readonly guests = new Map<object, Guest>();
  /** Connections of our own among the guests. */
  connections = 0;
  /** Connections of node:http servers on which a head was refused: where the next one starts is not certain. */
  readonly refused = new WeakSet<object>();
  /** Whether the balancer is closing: responses say so. */
  closing = false;
  readonly #onEmpty: () => void;
  readonly #spare: Exchange[] = [];
  /** Where the sweep is that is under way. */
  #sweeping: Iterator<Guest> | undefined;

  /** `onEmpty` is called each time that the last guest has left. */
  constructor(services: Services, rules: FrontRules, onEmpty: () => void) {
    this.services = services;
    this.rules = rules;
    this.#onEmpty = onEmpty;
  }

  /** To be called when the guest goes that is served on this. Returns false if it had gone before. */
  left(servedOn: object): boolean {
    const first = this.guests.delete(servedOn);
    if (first && this.guests.size === 0) this.#onEmpty();
    return first;
  }

  /**
   * Has all guests end what is past its deadline: a few at a time, so that thousands that came together, and are late
   * together, hold up nobody else.
   */
  sweep(now: number): void {
    if (this.#sweeping !== undefined) return;
    this.#sweeping = this.guests.values();
    this.#sweepSome(this.#sweeping, now);
  }

  #sweepSome(guests: Iterator<Guest>, now: number): void {
    let ended = 0;
    for (let next = guests.next(); next.done !== true; next = guests.next()) {
      if (!next.value.sweep(now) || ++ended < MAX_ENDED_AT_ONCE) continue;
      setImmediate(() => {
        this.#sweepSome(guests, now);
      });
      return;
    }
    this.#sweeping = undefined;
  }

  /** An exchange for one request. Connections that idle hold none: most of ten thousand do. */
  borrow(): Exchange {
    return this.#spare.pop() ?? new Exchange(this.services);
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
