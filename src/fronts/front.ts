/**
 * What all ways in share: the rules, who is in, and exchanges that wait to be used again.
 */
import { Exchange } from '../exchange/exchange.ts';
import type { Services } from '../exchange/services.ts';
import type { BodyLimits, HeadLimits } from '../http1/grammar.ts';
import type { Settings } from '../options.ts';

/** What of the settings a front goes by. */
export type FrontRules = HeadLimits & BodyLimits & Pick<Settings,
  | 'headTimeoutMs' | 'keepAliveTimeoutMs' | 'trusts' | 'maxConnections' | 'maxRequestsPerConnection' | 'maxHeldBytes'>;

/** One downstream that is being served: a connection of our own, or a request of a node:http server. */
export interface Guest {
  /** Ends what is past its deadline. */
  sweep(now: number): void;
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
  readonly guests = new Set<Guest>();
  /** Connections of our own among the guests. */
  connections = 0;
  /** Whether the balancer is closing: responses say so. */
  closing = false;
  readonly #onEmpty: () => void;
  readonly #spare: Exchange[] = [];

  /** `onEmpty` is called each time that the last guest has left. */
  constructor(services: Services, rules: FrontRules, onEmpty: () => void) {
    this.services = services;
    this.rules = rules;
    this.#onEmpty = onEmpty;
  }

  /** To be called by a guest that goes. Returns false if it had gone before. */
  left(guest: Guest): boolean {
    const first = this.guests.delete(guest);
    if (first && this.guests.size === 0) this.#onEmpty();
    return first;
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
