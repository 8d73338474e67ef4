/**
 * What all connections of a layer 4 balancer share.
 */
import { type BalancerError, type ErrorCode, meaningOf } from '../errors.ts';
import type { ExchangeServices } from '../exchange/services.ts';
import { Downstreams } from '../fronts/downstreams.ts';
import type { FrontSettings } from '../options/front.ts';
import type { Pool } from '../pools/pool.ts';
import type { Routes } from '../pools/routes.ts';
import type { Services } from '../pools/services.ts';
import type { Strategy } from '../strategy.ts';

/** Where connections may go. Never changes: `configure` replaces it. */
export interface TcpTopology {
  /** Where connections go without routes. */
  readonly first: Pool;
  readonly pools: ReadonlyMap<string, Pool>;
  /** By the server name, in place of a host. Undefined without routes. */
  readonly routes: Routes | undefined;
  /** Whether a route goes by a server name. */
  readonly needsNames: boolean;
}

export class TcpFront {
  readonly services: Services & Pick<ExchangeServices, 'affinities'>;
  readonly rules: FrontSettings;
  readonly downstreams: Downstreams;
  /** For connections that begin now. */
  topology: TcpTopology;
  /** Open ones, and all so far. */
  connections = 0;
  accepted = 0;
  /** Octets that were relayed from downstreams, and to them. */
  received = 0;
  sent = 0;
  /** Whether the balancer is closing. */
  closing = false;
  /** Strategies that have asked for the server name. */
  readonly #asking = new WeakSet<Strategy>();

  /** `onEmpty` is called each time the last connection has left. */
  constructor(services: TcpFront['services'], rules: FrontSettings, topology: TcpTopology, onEmpty: () => void) {
    this.services = services;
    this.rules = rules;
    this.topology = topology;
    this.downstreams = new Downstreams((error) => {
      this.report(error);
    }, onEmpty);
  }

  /** Reports a failure that did not involve an upstream. */
  report(error: BalancerError): void {
    this.services.report(error, undefined);
  }

  /** Whether a connection has to wait for the server name before it is routed and picked for. */
  get needsName(): boolean {
    const { needsNames, routes, first } = this.topology;
    return needsNames || (routes === undefined && this.#asking.has(first.strategy));
  }

  /** The strategy of `pool` has asked for the server name: later connections to it wait for theirs first. */
  asked({ strategy }: Pool): void {
    this.#asking.add(strategy);
  }

  /** The pool of a connection to `serverName`, by the current routes; undefined where none matches. */
  poolFor(serverName: string): Pool | undefined {
    const { first, pools, routes } = this.topology;
    if (routes === undefined) return first;
    const route = routes.match('', serverName, '/');
    return typeof route === 'string' || route.action.kind !== 'pool' ? undefined : pools.get(route.action.pool);
  }

  /** A connection is reset for `code`. Emits `refused`, and `unread` where nothing else will tell of it. */
  refused(code: ErrorCode, remoteAddress: string, unread: boolean): void {
    const { events, clock } = this.services;
    const { status } = meaningOf(code);
    if (events.heard('refused')) events.tell('refused', { status, code, remoteAddress });
    if (!unread || !events.heard('unread')) return;
    events.tell('unread', { status, code, remoteAddress, startedAt: clock.source.epoch() });
  }
}
