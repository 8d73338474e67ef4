/**
 * What can be simulated, and the one check of it.
 */
import { integers, isRecord, onlyKnown, type Range, record, shown } from '../options/checks.ts';
import { type BalancerSettings, readOptions } from '../options/parse.ts';
import { checked } from '../options/problems.ts';
import type { PoolOptions } from '../options/options.ts';
import type { Strategy } from '../strategy.ts';
import { type Arrivals, poisson } from './arrivals.ts';
import { type Fault, faultProblems } from './faults.ts';
import type { Discipline } from './server.ts';
import { exponential, type Service } from './service.ts';
import type { ServerSettings } from './simulated-server.ts';

/** What a strategy's factory gets. */
export interface StrategyTools {
  /** The strategy's own randomness: numbers in [0, 1), the same in every run of the same seed. */
  readonly rng: () => number;
  /** Virtual time in milliseconds. */
  readonly now: () => number;
}

/** One server that differs from the others. */
export interface ServerOptions {
  /** Default 1. */
  readonly weight?: number;
  /** Work done per millisecond; default 1. */
  readonly speed?: number;
  /** How many requests it serves at a time; default that of the simulation. */
  readonly concurrency?: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** Whether it reports its load where `loadReportMs` is given; default true. */
  readonly reportsLoad?: boolean;
}

/** The options of a pool that count in a simulation; times are those of the balancer, in milliseconds. */
export type SimulatedPoolOptions = Pick<PoolOptions,
  | 'maxAttempts' | 'retryBudgetPercent' | 'minRetriesPerSecond' | 'ejectAfter' | 'ejectMs' | 'maxEjectMs'
  | 'maxEjectedPercent' | 'slowStartMs' | 'maxInFlight' | 'maxQueued' | 'queueTimeoutMs' | 'responseTimeoutMs'
  | 'retryOn'>;

export interface SimulateOptions {
  /** Makes the strategy: once for each balancer. */
  readonly strategy: (tools: StrategyTools) => Strategy;
  /** How many servers, or each of them; 1 to 100,000. */
  readonly upstreams: number | readonly ServerOptions[];
  /** The load of all servers together, above 0: 1 is all that they can do. Not for a closed loop. */
  readonly load?: number;
  /** Requests a second, in place of `load`. */
  readonly ratePerSecond?: number;
  /** Default `exponential(1)`. */
  readonly service?: Service;
  /** Default `poisson()`. */
  readonly arrivals?: Arrivals;
  /** Default `fifo`. */
  readonly discipline?: Discipline;
  /** How many requests a server serves at a time; default 1. `Infinity`: none ever waits. */
  readonly concurrency?: number;
  /** How many balancers share the requests; default 1. */
  readonly balancers?: number;
  /** If given, the balancers are peers, and messages between them take so long. */
  readonly peersDelayMs?: number;
  /** How many clients the requests come from, each with an address of its own; default 1,000. */
  readonly clients?: number;
  /** Whether clients keep the cookies that a strategy sets; default true. */
  readonly cookies?: boolean;
  /**
   * If given, responses carry a load report (`endpoint-load-metrics`): what the server measured in the last window of
   * so many milliseconds that is over.
   */
  readonly loadReportMs?: number;
  /** How many requests to simulate; default 100,000, or all recorded arrivals. */
  readonly requests?: number;
  /** Requests that were not answered within this time count as failed; default: none does. */
  readonly deadlineMs?: number;
  readonly pool?: SimulatedPoolOptions;
  readonly faults?: readonly Fault[];
  /**
   * If given and above 0, strategies see what is in flight at the candidates by a board that is renewed every so many
   * milliseconds, in place of the current counts.
   */
  readonly boardMs?: number;
  /**
   * How long the run may take by the real clock, so that a strategy that is too slow is found; default a minute, and a
   * millisecond for each request.
   */
  readonly timeLimitMs?: number;
  /** Default 1. The same seed gives the same result, to the last digit. */
  readonly seed?: number;
}

/** All of it, checked, with the defaults. */
export interface Simulation extends Readonly<Record<keyof typeof NUMBERS, number>> {
  readonly strategy: SimulateOptions['strategy'];
  readonly servers: readonly ServerSettings[];
  /** Requests per millisecond; undefined where the arrivals decide. */
  readonly rate: number | undefined;
  readonly service: Service;
  readonly arrivals: Arrivals;
  readonly cookies: boolean;
  readonly deadlineMs: number;
  readonly peersDelayMs: number | undefined;
  /** 0: there is no board. */
  readonly boardMs: number;
  readonly timeLimitMs: number;
  /** The options of each balancer, as given and as read. */
  readonly poolOptions: Readonly<Record<string, unknown>>;
  readonly settings: BalancerSettings;
  readonly faults: readonly Fault[];
}

/** Throws OPTIONS_INVALID, listing every problem with its path and what to write instead. */
export function parseSimulation(options: SimulateOptions): Simulation {
  return checked((problems) => readSimulation(options, problems));
}

/** Reads the options. Each problem is added to `problems`; with one, what is returned must not be used. */
export function readSimulation(options: SimulateOptions, problems: string[]): Simulation {
  if (!isRecord(options)) throw new TypeError(`simulate needs an object of options (got ${shown(options)})`);
  onlyKnown(options, '', KNOWN, problems);
  const { strategy, service = exponential(1), arrivals = poisson() } = options;
  const { cookies = true, deadlineMs = Infinity, peersDelayMs, boardMs = 0, timeLimitMs } = options;
  if (typeof strategy !== 'function') {
    problems.push(
      `strategy: must be a function that makes one, e.g. ({ rng }) => random({ rng }) (got ${shown(strategy)})`);
  }
  const numbers = integers(options, '', NUMBERS, problems);
  if (deadlineMs !== Infinity) positive(deadlineMs, 'deadlineMs', problems);
  if (timeLimitMs !== undefined && timeLimitMs !== Infinity) positive(timeLimitMs, 'timeLimitMs', problems);
  notNegative(peersDelayMs, 'peersDelayMs', problems);
  notNegative(boardMs, 'boardMs', problems);
  flag(cookies, 'cookies', problems);
  const list = readServers(options, problems);
  const servers = list.map(({ settings }) => settings);
  const isDrawn = isRecord(service) && typeof service.draw === 'function' && positiveNumber(service.meanMs);
  if (!isDrawn) problems.push(`service: must be a distribution, such as exponential(20) (got ${shown(service)})`);
  const comes = isRecord(arrivals) && (typeof arrivals.start === 'function' || arrivals.kind === 'closed');
  if (!comes) problems.push(`arrivals: must be a process, such as poisson() (got ${shown(arrivals)})`);
  const poolOptions = {
    ...readPool(options.pool, problems),
    upstreams: list.map(({ settings: { origin, weight }, tags }) => ({ origin, weight, ...(tags && { tags }) })),
  };
  const poolProblems: string[] = [];
  // Without servers, the line about them is enough.
  const settings = readOptions(poolOptions, servers.length === 0 ? [] : poolProblems);
  problems.push(...poolProblems.map((line) => (line.startsWith('upstreams') ? line : `pool.${line}`)));
  const asked = options.requests === undefined ? {} : { requests: numbers.requests };
  const requests = requestsOf(comes ? { ...asked, arrivals } : asked);
  if (requests === 0) problems.push('arrivals: there are none');
  const endless = isDrawn && service.meanMs > LONGEST_MEAN_MS;
  if (endless) {
    problems.push(`service: the mean must be at most ${LONGEST_MEAN_MS} ms (got ${service.meanMs})`);
  }
  const balancedServers = numbers.balancers * servers.length;
  if (balancedServers > MOST_UPSTREAMS) {
    problems.push(`balancers: each has all servers, so there may be at most ${MOST_UPSTREAMS} of balancers times ` +
      `servers (got ${numbers.balancers} times ${servers.length})`);
  }
  const rate = isDrawn && comes ? rateOf(options, arrivals, service, servers, problems) : undefined;
  if (rate !== undefined && rate > 0 && !endless && requests / rate > LONGEST_MS) {
    problems.push(`${options.load === undefined ? 'ratePerSecond' : 'load'}: so little would take ${
      requests / rate} ms of virtual time; the most is ${LONGEST_MS}`);
  }
  return {
    ...numbers, requests, strategy, servers, service, arrivals, peersDelayMs, poolOptions, settings, deadlineMs,
    boardMs, cookies,
    faults: readFaults(options.faults, servers.length, problems),
    timeLimitMs: timeLimitMs ?? 60_000 + requests,
    rate,
  };
}

function readFaults(faults: unknown, servers: number, problems: string[]): readonly Fault[] {
  if (faults === undefined) return [];
  if (!Array.isArray(faults)) {
    problems.push(`faults: must be a list (got ${shown(faults)})`);
    return [];
  }
  const list: readonly unknown[] = faults;
  for (const [at, fault] of list.entries()) problems.push(...faultProblems(fault, `faults[${at}]`, servers));
  return list as readonly Fault[];
}

function readPool(pool: unknown, problems: string[]): Readonly<Record<string, unknown>> {
  if (pool === undefined) return {};
  const given = record(pool, 'pool', problems);
  onlyKnown(given, 'pool.', POOL, problems);
  return Object.fromEntries(Object.entries(given).filter(([name]) => POOL.has(name)));
}

/** How many requests are simulated: recorded arrivals end by themselves. */
export function requestsOf({ requests, arrivals }: Pick<SimulateOptions, 'requests' | 'arrivals'>): number {
  const count = arrivals?.kind === 'open' ? arrivals.count ?? Infinity : Infinity;
  return Math.min(requests ?? (count < Infinity ? count : NUMBERS.requests.fallback), count);
}

interface ListedServer {
  readonly settings: ServerSettings;
  /** As given. */
  readonly tags: ServerOptions['tags'];
}

function readServers(
  { upstreams, concurrency = 1, discipline = 'fifo', loadReportMs }: SimulateOptions, problems: string[],
): readonly ListedServer[] {
  if (loadReportMs !== undefined) positive(loadReportMs, 'loadReportMs', problems);
  if (discipline !== 'fifo' && (discipline as unknown) !== 'ps') {
    problems.push(`discipline: must be fifo or ps (got ${shown(discipline)})`);
  }
  const few = Number.isInteger(upstreams) && (upstreams as number) >= 1 && (upstreams as number) <= MOST_SERVERS;
  const list: readonly ServerOptions[] = typeof upstreams === 'number'
    ? Array.from({ length: few ? upstreams : 0 }, () => ({}))
    : Array.isArray(upstreams) ? upstreams as readonly ServerOptions[] : [];
  if (list.length === 0 || list.length > MOST_SERVERS) {
    problems.push(
      `upstreams: must be an integer from 1 to ${MOST_SERVERS}, or a list of servers (got ${shown(upstreams)})`);
  }
  return list.map((given, at) => {
    const path = `upstreams[${at}]`;
    const server: ServerOptions = record(given, path, problems);
    onlyKnown(server, `${path}.`, SERVER, problems);
    const { weight = 1, speed = 1, tags, reportsLoad = true } = server;
    const settings = {
      origin: `http://server-${at + 1}`, weight, speed, discipline, tags: tags ?? {},
      concurrency: server.concurrency ?? concurrency,
      loadReportMs: reportsLoad ? loadReportMs : undefined,
    };
    flag(reportsLoad, `${path}.reportsLoad`, problems);
    positive(weight, `${path}.weight`, problems);
    positive(speed, `${path}.speed`, problems);
    const isWidth = Number.isInteger(settings.concurrency) && settings.concurrency >= 1;
    if (settings.concurrency !== Infinity && !(isWidth && settings.concurrency <= MOST_AT_A_TIME)) {
      const where = server.concurrency === undefined ? 'concurrency' : `${path}.concurrency`;
      const bound = isWidth ? `an integer from 1 to ${MOST_AT_A_TIME}` : 'an integer ≥ 1';
      problems.push(`${where}: must be Infinity or ${bound} (got ${shown(settings.concurrency)})`);
    }
    return { settings, tags };
  });
}

/** Requests per millisecond. */
function rateOf(
  { load, ratePerSecond }: SimulateOptions, arrivals: Arrivals, service: Service, servers: readonly ServerSettings[],
  problems: string[],
): number | undefined {
  const free = arrivals.kind === 'closed' || !arrivals.scaled;
  if (free) {
    if (load === undefined && ratePerSecond === undefined) return undefined;
    problems.push(`load: leave load and ratePerSecond out: arrivals ${arrivals.name} have a rate of their own`);
  } else if ((load === undefined) === (ratePerSecond === undefined)) {
    problems.push('load: give either load, such as 0.7, or ratePerSecond');
  } else if (load === undefined) {
    if (positive(ratePerSecond, 'ratePerSecond', problems, 1e9)) return ratePerSecond / 1_000;
  } else if (positive(load, 'load', problems, 1e6)) {
    const capacity = servers.reduce((sum, { speed, concurrency }) => sum + speed * concurrency, 0);
    if (capacity < Infinity) return load * capacity / service.meanMs;
    problems.push('load: servers with infinite concurrency have none; give ratePerSecond');
  }
  return undefined;
}

function notNegative(value: unknown, path: string, problems: string[]): void {
  if (value === undefined || (typeof value === 'number' && value >= 0 && value < Infinity)) return;
  problems.push(`${path}: must be a number ≥ 0 (got ${shown(value)})`);
}

function flag(value: unknown, path: string, problems: string[]): void {
  if (typeof value !== 'boolean') problems.push(`${path}: must be true or false (got ${shown(value)})`);
}

function positiveNumber(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < Infinity;
}

function positive(value: unknown, path: string, problems: string[], most = Number.MAX_VALUE): value is number {
  if (positiveNumber(value) && value <= most) return true;
  const bound = positiveNumber(value) ? ` and at most ${most}` : '';
  problems.push(`${path}: must be a number > 0${bound} (got ${shown(value)})`);
  return false;
}

const MOST_SERVERS = 100_000;
/** Balancers times servers: each takes a kilobyte or two. */
const MOST_UPSTREAMS = 1_000_000;
const MOST_AT_A_TIME = 1_000_000;
const LONGEST_MEAN_MS = 1e9;
/** Some thirty years. */
const LONGEST_MS = 1e12;
const NUMBERS = {
  requests: { fallback: 100_000, min: 1 },
  balancers: { fallback: 1, min: 1, max: 1_000 },
  clients: { fallback: 1_000, min: 1, max: 2 ** 24 },
  seed: { fallback: 1, min: 0, max: Number.MAX_SAFE_INTEGER },
} as const satisfies Readonly<Record<string, Range>>;
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(NUMBERS), 'strategy', 'upstreams', 'load', 'ratePerSecond', 'service', 'arrivals', 'discipline',
  'concurrency', 'cookies', 'loadReportMs', 'peersDelayMs', 'deadlineMs', 'pool', 'faults', 'boardMs', 'timeLimitMs',
]);
const SERVER: ReadonlySet<string> = new Set<keyof ServerOptions>([
  'weight', 'speed', 'concurrency', 'tags', 'reportsLoad',
]);
const POOL: ReadonlySet<string> = new Set<keyof SimulatedPoolOptions>([
  'maxAttempts', 'retryBudgetPercent', 'minRetriesPerSecond', 'ejectAfter', 'ejectMs', 'maxEjectMs',
  'maxEjectedPercent', 'slowStartMs', 'maxInFlight', 'maxQueued', 'queueTimeoutMs', 'responseTimeoutMs', 'retryOn',
]);
