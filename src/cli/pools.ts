/**
 * The pools of a configuration, completed: strategies by their names, and a way to `https:` upstreams.
 */
import type { Channel } from '../channel.ts';
import { isRecord } from '../options/checks.ts';
import type { BalancerOptions, PoolOptions } from '../options/options.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { connectBy, connectUpstream } from './connect.ts';
import { loadStrategy } from './strategies.ts';
import { USUAL_TLS, type UpstreamTls } from './upstream-tls.ts';

type Given = Readonly<Record<string, unknown>>;

/** The option `connect` of a pool. What is not a function is left to the check of the options. */
export function connectOf({ connect }: Given, tls: UpstreamTls | undefined): unknown {
  const byTls = connectUpstream(tls ?? USUAL_TLS);
  return typeof connect === 'function'
    ? connectBy(connect as NonNullable<PoolOptions['connect']>, byTls)
    : connect ?? byTls;
}

/** The option `pools`; `resolve` is what paths in it are relative to. What is no pool is left to the check. */
export async function completePools(
  pools: unknown, tls: ReadonlyMap<string, UpstreamTls>, resolve: (path: string) => string, problems: string[],
): Promise<unknown> {
  if (!isRecord(pools)) return pools;
  const completed: [name: string, pool: unknown][] = [];
  for (const [name, pool] of Object.entries(pools)) {
    completed.push([name, isRecord(pool) ? await completePool(pool, name, tls.get(name), resolve, problems) : pool]);
  }
  return Object.fromEntries(completed);
}

async function completePool(
  { strategy, shadow, ...pool }: Given, name: string, tls: UpstreamTls | undefined, resolve: (path: string) => string,
  problems: string[],
): Promise<Given> {
  const chosen = typeof strategy === 'string'
    ? await loadStrategy(strategy, `pools.${name}.strategy`, resolve, problems)
    : strategy;
  const beside = typeof shadow === 'string'
    ? await loadStrategy(shadow, `pools.${name}.shadow`, resolve, problems)
    : shadow;
  // The core knows of the connections alone.
  const options = Object.fromEntries(Object.entries(pool).filter(([option]) => option !== 'upstreamTls'));
  return { ...options, connect: connectOf(pool, tls), ...(chosen === undefined ? {} : { strategy: chosen }),
    ...(beside === undefined ? {} : { shadow: beside }) };
}

/** The options with a channel for the peers of each pool. */
export function withPeers(options: BalancerOptions, channel: (pool: string) => Channel): BalancerOptions {
  const { pools, upstreams } = options;
  const named = Object.entries(pools ?? {}).map(([name, pool]) => [name, { ...pool, peers: channel(name) }]);
  return {
    ...options,
    ...(upstreams === undefined ? {} : { peers: channel(DEFAULT_POOL) }),
    ...(pools === undefined ? {} : { pools: Object.fromEntries(named) as NonNullable<typeof pools> }),
  };
}
