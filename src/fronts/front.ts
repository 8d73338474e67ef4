/**
 * What all ways in share: the parts of the balancer that they use, its downstreams, and spare exchanges.
 */
import type { BalancerError } from '../errors.ts';
import type { Events } from '../events.ts';
import type { Affinities } from '../exchange/affinity.ts';
import type { DownstreamSocket } from '../exchange/downstream-socket.ts';
import { Exchange } from '../exchange/exchange.ts';
import type { ExchangeServices } from '../exchange/services.ts';
import type { BodyLimits, HeadLimits } from '../http1/grammar.ts';
import type { Clock } from '../loop/clock.ts';
import type { Turn } from '../loop/turn.ts';
import type { Settings } from '../options/parse.ts';
import type { Pool } from '../pools/pool.ts';
import { Downstreams } from './downstreams.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { type Carried, ServerConnections } from './server-connections.ts';

/** The settings that the ways in use. */
export type FrontRules = HeadLimits & BodyLimits & Pick<Settings,
  | 'headTimeoutMs' | 'idleTimeoutMs' | 'keepAliveTimeoutMs' | 'trusts' | 'maxConnections' | 'maxRequestsPerConnection'
  | 'maxHeldBytes'>;

export class Front {
  readonly rules: FrontRules;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly events: Events;
  readonly affinities: Affinities;
  readonly downstreams: Downstreams;
  readonly sessions: Http2Sessions;
  /** Connections of our own among the downstreams. */
  connections = 0;
  /** What connections have carried so far; of those of http servers, while there is a meter. */
  readonly carried: Carried = { connections: 0, received: 0, sent: 0 };
  readonly serverConnections = new ServerConnections(this.carried);
  /**
   * Connections of http servers that close behind an answer of ours. node:http still hands over what was pipelined
   * behind that request: it is not served, since nothing could be sent for it.
   */
  readonly ending = new WeakSet<DownstreamSocket>();
  /** Streams that `handle` was given as bodies: each is that of one request. */
  readonly givenBodies = new WeakSet<object>();
  /** Whether the balancer is closing; responses then say `Connection: close`. */
  closing = false;
  readonly #services: ExchangeServices;
  readonly #spare: Exchange[] = [];

  /** `onEmpty` is called each time the last downstream has left. */
  constructor(services: ExchangeServices, rules: FrontRules, onEmpty: () => void) {
    this.#services = services;
    this.rules = rules;
    this.clock = services.clock;
    this.turn = services.turn;
    this.events = services.events;
    this.affinities = services.affinities;
    this.downstreams = new Downstreams((error) => {
      this.report(error);
    }, onEmpty);
    this.sessions = new Http2Sessions(this);
  }

  /** Where requests go without routes. */
  get pool(): Pool {
    return this.#services.topology.first;
  }

  /** Reports a failure that did not involve an upstream. */
  report(error: BalancerError): void {
    this.#services.report(error, undefined);
  }

  /** An exchange for one request. Idle connections hold none: of ten thousand connections most are idle. */
  borrow(): Exchange {
    return this.#spare.pop() ?? this.newExchange();
  }

  newExchange(): Exchange {
    return new Exchange(this.#services, this.pool);
  }

  /** Takes back an exchange that has ended. */
  giveBack(exchange: Exchange): void {
    if (this.#spare.length < MAX_SPARE) this.#spare.push(exchange);
  }
}

/** About as many as are in flight at once on a busy core; half a kilobyte each. */
const MAX_SPARE = 1_024;
