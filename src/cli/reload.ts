/**
 * A reload of the configuration file in a process without workers: what a balancer can change at run time.
 */
import { dirname, resolve } from 'node:path';
import type { Balancer } from '../balancer.ts';
import { isRecord } from '../options/checks.ts';
import { FRONT_OPTION_NAMES, HOOK_NAMES } from '../options/front.ts';
import type { BalancerOptions, PoolOptions } from '../options/options.ts';
import { POOL_OPTION_NAMES } from '../options/pool.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { TCP_FRONT_OPTION_NAMES, TCP_POOL_OPTION_NAMES } from '../options/tcp.ts';
import type { Arguments } from './arguments.ts';
import type { Configuration } from './config.ts';
import { fileState } from './file-state.ts';

type Given = Readonly<Record<string, unknown>>;
type Pools = Readonly<Record<string, PoolOptions>>;

/** The name or file of a strategy, and which file that was. */
interface StrategySource {
  readonly name: unknown;
  readonly file: string | undefined;
}

/** Where the strategies and a way to connect came from. */
interface Source {
  readonly strategy: StrategySource;
  readonly shadow: StrategySource;
  readonly connect: unknown;
  /** What `upstreamTls` and its files say. */
  readonly tls: string;
}

/** The configuration of a balancer that runs, and the ones that follow. */
export class Reloads {
  readonly #args: Arguments;
  readonly #first: Configuration;
  /** The pools of the last configuration that was applied, and what their parts were made from. */
  #pools: Pools;
  #sources: ReadonlyMap<string, Source> = new Map();

  private constructor(args: Arguments, first: Configuration) {
    this.#args = args;
    this.#first = first;
    this.#pools = poolsOf(first);
  }

  /** `first` is what the balancer was made with. */
  static async of(args: Arguments, first: Configuration): Promise<Reloads> {
    const reloads = new Reloads(args, first);
    reloads.#sources = await reloads.#sourcesOf(first);
    return reloads;
  }

  /**
   * Has the balancer go by `next`, as far as that can be done at run time; what it removes may take `reloadTimeoutMs`
   * to finish. Resolves with the names of what cannot change and has; rejects if nothing was changed.
   */
  async apply(balancer: Balancer, next: Configuration): Promise<readonly string[]> {
    const sources = await this.#sourcesOf(next);
    const pools = this.#withKept(poolsOf(next), sources);
    const { routes = null } = next.options;
    const hooks = Object.fromEntries(HOOK_NAMES.map((name) => [name, hookOf(next.options, name)]));
    await new Promise<void>((done, refuse) => {
      const { reloadTimeoutMs: timeoutMs } = next;
      balancer.configure({ ...hooks, upstreams: null, pools, routes }, { timeoutMs }).catch(refuse);
      // Reading the pools completes the change: by the next turn it is known whether it was refused.
      if (Object.keys(balancer.pools).length > 0) setImmediate(done);
    });
    this.#pools = pools;
    this.#sources = sources;
    return this.#fixed(next);
  }

  /** The pools with the strategies and ways to connect of before where those have not changed. */
  #withKept(pools: Pools, sources: ReadonlyMap<string, Source>): Pools {
    return Object.fromEntries(Object.entries(pools).map(([name, pool]) => {
      const [before, now, last = {}] = [this.#sources.get(name), sources.get(name), this.#pools[name]];
      const { strategy, shadow, connect } = last as Partial<PoolOptions>;
      const keepsStrategy = strategy !== undefined && isSameStrategy(now?.strategy, before?.strategy);
      const keepsShadow = shadow !== undefined && isSameStrategy(now?.shadow, before?.shadow);
      const keepsConnect = connect !== undefined && now?.connect === before?.connect && now?.tls === before?.tls;
      return [name, {
        ...pool, ...(keepsStrategy && { strategy }), ...(keepsShadow && { shadow }), ...(keepsConnect && { connect }),
      }];
    }));
  }

  async #sourcesOf({ given, options, upstreamTls }: Configuration): Promise<ReadonlyMap<string, Source>> {
    const sources = new Map<string, Source>();
    const { config = '', strategy, shadow } = this.#args;
    const beside = (file: string): string => resolve(dirname(config), file);
    const tlsOf = (pool: string): string => JSON.stringify(upstreamTls.get(pool));
    if (options.upstreams !== undefined) {
      const source = await sourceOf(given, tlsOf(DEFAULT_POOL), beside);
      sources.set(DEFAULT_POOL, {
        ...source,
        ...(strategy === undefined ? {} : { strategy: await strategySource(strategy, resolve) }),
        ...(shadow === undefined ? {} : { shadow: await strategySource(shadow, resolve) }),
      });
    }
    const { pools } = given;
    for (const [name, pool] of Object.entries(isRecord(pools) ? pools : {})) {
      if (isRecord(pool)) sources.set(name, await sourceOf(pool, tlsOf(name), beside));
    }
    return sources;
  }

  /** The names of what differs from when this process was started, and cannot change. */
  #fixed(next: Configuration): readonly string[] {
    const { given, listen, workers, proxyProtocol, accessLog, admin, tcp } = this.#first;
    const hooks: readonly string[] = HOOK_NAMES;
    const ofFront: readonly string[] = tcp ? TCP_FRONT_OPTION_NAMES : FRONT_OPTION_NAMES;
    const front = ofFront.filter((name) => !hooks.includes(name) && !isSame(given[name], next.given[name]));
    return [
      ...(isSame(listen, next.listen) ? [] : ['listen']), ...(workers === next.workers ? [] : ['workers']),
      ...(isSame(accessLog, next.accessLog) ? [] : ['accessLog']), ...(isSame(admin, next.admin) ? [] : ['admin']),
      ...(isSame(proxyProtocol, next.proxyProtocol) ? [] : ['proxyProtocol']), ...(tcp === next.tcp ? [] : ['tcp']),
      ...front,
    ];
  }
}

async function sourceOf(
  { strategy, shadow, connect }: Given, tls: string, place: (file: string) => string,
): Promise<Source> {
  return { strategy: await strategySource(strategy, place), shadow: await strategySource(shadow, place), connect, tls };
}

async function strategySource(name: unknown, place: (file: string) => string): Promise<StrategySource> {
  const file = typeof name === 'string' ? await fileState(place(name)).catch(() => undefined) : undefined;
  return { name, file: file && `${file.path}?${file.version}` };
}

/** Whether it is the same as before. What is not a name or a file is a strategy, which is its own identity. */
function isSameStrategy(now: StrategySource | undefined, before: StrategySource | undefined): boolean {
  return typeof now?.name === 'string' && now.name === before?.name && now.file === before.file;
}

/** All pools of the options, each with all of its own. */
function poolsOf({ options, tcp }: Pick<Configuration, 'options' | 'tcp'>): Pools {
  const { upstreams, pools } = options;
  if (upstreams === undefined) return { ...pools };
  const names: readonly string[] = tcp ? TCP_POOL_OPTION_NAMES : POOL_OPTION_NAMES;
  const own = Object.fromEntries(names.flatMap((name) => {
    const value = options[name as keyof PoolOptions];
    return value === undefined ? [] : [[name, value]];
  }));
  return { [DEFAULT_POOL]: { ...own, upstreams }, ...pools };
}

function hookOf(options: BalancerOptions, name: typeof HOOK_NAMES[number]): unknown {
  return (options as Given)[name] ?? null;
}

/** Whether both say the same: functions only if they are one. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || (typeof one === 'object' && JSON.stringify(one) === JSON.stringify(other));
}
