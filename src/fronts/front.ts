/**
 * What all ways in share.
 */
import type { Services } from '../exchange/exchange.ts';
import type { HeadLimits } from '../http1/grammar.ts';
import type { DownstreamConnection } from './connection.ts';
import type { RequestFront } from './request.ts';

/** Bounds on downstreams, and what is believed of them. */
export interface FrontRules extends HeadLimits {
  /** From the first byte of a head to its last, in milliseconds. */
  readonly headTimeoutMs: number;
  /** How long a connection may wait for its next request, in milliseconds. */
  readonly keepAliveTimeoutMs: number;
  /** Whether the hop at this address may speak of earlier hops. */
  readonly trusts: (address: string) => boolean;
}

/** A balancer's ways in: the rules, and who is in. */
export interface Front {
  readonly services: Services;
  readonly rules: FrontRules;
  readonly connections: Set<DownstreamConnection>;
  /** Exchanges that came through a node:http server. */
  readonly requests: Set<RequestFront>;
  /** Whether the balancer is closing: responses say so. */
  readonly closing: boolean;
  /** To be called when one of `connections` or `requests` has gone. */
  readonly left: () => void;
}
