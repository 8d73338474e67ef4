/**
 * Situations that strategies are compared in: those that are built in, and those of files.
 */
import { isRecord, onlyKnown, shown } from '../options/checks.ts';
import { checked } from '../options/problems.ts';
import { closedLoop, constant } from './arrivals.ts';
import type { Fault } from './faults.ts';
import { readSimulation, type SimulateOptions } from './options.ts';
import { empirical, exponential, gaussian, lognormal } from './service.ts';
import { readArrivals, readService } from './spec.ts';

export interface Scenario {
  readonly name: string;
  /** What goes wrong, what to look for, and where it is from. */
  readonly about: string;
  /** What times are in: 1 is a millisecond, or the mean service time. */
  readonly unit: 'ms' | 'service times';
  /** Each is a run of its own. `key` says what differs. */
  readonly variants: readonly ScenarioVariant[];
}

export interface ScenarioVariant {
  readonly key?: Readonly<Record<string, number>>;
  readonly options: Omit<SimulateOptions, 'strategy'>;
}

/**
 * Reads a scenario from a file: what its JSON holds, or a module exports as default. `from` is the file, for messages,
 * and names a scenario that has no name. Throws OPTIONS_INVALID, listing every problem with its path.
 */
export function readScenario(value: unknown, from: string): Scenario {
  return checked((problems) => {
    const found: string[] = [];
    const scenario = parseScenario(value, from, found);
    problems.push(...found.map((line) => `${from}: ${line}`));
    return scenario;
  });
}

function parseScenario(value: unknown, from: string, problems: string[]): Scenario {
  if (!isRecord(value)) problems.push(`must be an object with about and variants (got ${shown(value)})`);
  const given = isRecord(value) ? value : {};
  const { name = from, about = '', unit = 'ms', variants } = given;
  onlyKnown(given, '', new Set(['name', 'about', 'unit', 'variants']), problems);
  if (typeof name !== 'string') problems.push(`name: must be a text (got ${shown(name)})`);
  if (typeof about !== 'string') problems.push(`about: must be a text (got ${shown(about)})`);
  if (unit !== 'ms' && unit !== 'service times') {
    problems.push(`unit: must be ms or service times (got ${shown(unit)})`);
  }
  const isList = Array.isArray(variants) && variants.length > 0;
  if (!isList && isRecord(value)) {
    problems.push(
      `variants: must be a list, such as [{ "options": { "upstreams": 10, "load": 0.7 } }] (got ${shown(variants)})`);
  }
  const list: readonly unknown[] = isList ? variants : [];
  return {
    name: String(name), about: String(about), unit: unit as Scenario['unit'],
    variants: list.map((variant, at) => readVariant(variant, `variants[${at}]`, problems)),
  };
}

function readVariant(value: unknown, path: string, problems: string[]): ScenarioVariant {
  if (!isRecord(value)) problems.push(`${path}: must be an object with options (got ${shown(value)})`);
  const { key, options, ...others } = isRecord(value) ? value : {};
  onlyKnown({ ...others }, `${path}.`, new Set(['key', 'options']), problems);
  if (key !== undefined && !(isRecord(key) && Object.values(key).every((each) => typeof each === 'number'))) {
    problems.push(`${path}.key: must be an object of numbers, such as { "board": 2 } (got ${shown(key)})`);
  }
  if (!isRecord(options)) {
    if (isRecord(value)) problems.push(`${path}.options: must be an object (got ${shown(options)})`);
    return { options: { upstreams: 1 } };
  }
  const read = readConditions(options, `${path}.options`, problems);
  return { ...(isRecord(key) && { key: key as Readonly<Record<string, number>> }), options: read };
}

function readConditions(
  given: Readonly<Record<string, unknown>>, path: string, problems: string[],
): ScenarioVariant['options'] {
  const { service, arrivals, concurrency, strategy, ...others } = given;
  if (strategy !== undefined) problems.push(`${path}.strategy: leave it out: a scenario is for any strategy`);
  const before = problems.length;
  const read = {
    ...others,
    ...(service !== undefined && { service: readService(service, `${path}.service`, problems) }),
    ...(arrivals !== undefined && { arrivals: readArrivals(arrivals, `${path}.arrivals`, problems) }),
    // JSON has no Infinity.
    ...(concurrency !== undefined && { concurrency: concurrency === 'unlimited' ? Infinity : concurrency }),
  } as ScenarioVariant['options'];
  if (problems.length === before) {
    const found: string[] = [];
    readSimulation({ ...read, strategy: () => NOBODY }, found);
    problems.push(...found.map((line) => `${path}.${line}`));
  }
  return read;
}

/** Only for the check of the options. */
const NOBODY = { name: 'nobody', pick: (): undefined => undefined };

/** The faults of each of several servers, one server after another. */
function oneAfterAnother(
  servers: number, stepMs: number, faults: (server: number, fromMs: number) => readonly Fault[], firstMs: number,
): readonly Fault[] {
  return Array.from({ length: servers }, (_, server) => faults(server, firstMs + server * stepMs)).flat();
}

const BUILT_IN: readonly Scenario[] = [
  {
    name: 'linkerd-2016',
    about: 'One of eleven servers slows down from 167 ms to 2 s for half a minute, at 1,000 requests a second; ' +
      'nothing queues, and there are neither ejections nor retries. A request has failed if it has no answer within ' +
      'a second. Look at the failed share: round robin keeps sending an eleventh of the traffic into the slow ' +
      'server, counting what is in flight avoids most of that, and measuring latency nearly all. Source: "Beyond ' +
      'Round Robin: Load Balancing for Latency", Buoyant (Linkerd), 2016.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 11, concurrency: Infinity, arrivals: constant(), ratePerSecond: 1_000, requests: 60_000,
        service: gaussian(167, 5), deadlineMs: 1_000, pool: { ejectAfter: 0, maxAttempts: 1 },
        faults: [{ server: 3, fromMs: 15_000, toMs: 45_000, kind: 'slow', factor: 2_000 / 167 }],
      },
    }],
  },
  {
    name: 'starvation',
    about: 'Five equal servers and five clients without pauses; a request takes 20 ms, 100 ms or a second, whatever ' +
      'server it goes to. A strategy that remembers latencies and never forgets mistakes an unlucky server for a ' +
      'slow one, sends it nothing more, and so never learns better. Look at the share of each server: a fifth is ' +
      'fair, and one below a hundredth is starved. Source: traefik issue 12306.',
    unit: 'ms',
    variants: [{
      options: { upstreams: 5, arrivals: closedLoop(5), service: empirical([20, 100, 1_000]), requests: 1_500 },
    }],
  },
  {
    name: 'slow-once',
    about: 'The third of five equal servers takes fifty times as long in the first second, as a process may that ' +
      'has just started, and as long as the others ever after. The same memory that starves a server by bad luck in ' +
      'the scenario starvation does so here in every run. Look at the share of each server: a fifth is fair, less ' +
      'at first is wise, and next to nothing is starved. Source: traefik issue 12306, with the luck taken out.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 5, arrivals: closedLoop(5), service: exponential(20), requests: 12_000,
        faults: [{ server: 2, fromMs: 0, toMs: 1_000, kind: 'slow', factor: 50 }],
      },
    }],
  },
  {
    name: 'stale-board',
    about: 'Ten servers at 90% load; strategies see what is in flight on a board that is renewed only every so many ' +
      'service times, as between balancers that exchange their counts now and then. Every request goes to what ' +
      'looks idle until the board changes. Look at how the mean grows with the age of the board: joining the ' +
      'shortest queue becomes worse than two choices from about one service time on, and worse than random from ' +
      'about five. Source: Mitzenmacher, "How Useful Is Old Information?", IEEE TPDS 11(1), 2000.',
    unit: 'service times',
    variants: [0, 0.5, 1, 2, 5].map((board) => ({
      key: { board },
      options: { upstreams: 10, load: 0.9, service: exponential(1), requests: 200_000, boardMs: board },
    })),
  },
  {
    name: 'full-outage',
    about: 'All six servers refuse connections for ten seconds, and come back one second after another. The balancer ' +
      'ejects them until too many are out, and then tries all in a panic. No strategy can save what comes during ' +
      'the outage. Look at the failed share beyond that, and at the latencies: the first server to return must ' +
      'not be crushed by what all of them should carry. Source: Envoy\'s panic threshold; Amazon Builders\' ' +
      'Library, "Using load shedding to avoid overload".',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 6, concurrency: 4, load: 0.5, service: exponential(20), requests: 36_000,
        faults: oneAfterAnother(6, 1_000, (server, toMs) => [{ server, fromMs: 20_000, toMs, kind: 'down' }], 30_000),
      },
    }],
  },
  {
    name: 'rolling-deploy',
    about: 'Each of six servers in turn is removed from the pool, finishes what it has, and comes back after two ' +
      'seconds as a new process: cold, eight times slower at first, and new to the strategy. Look at the slowest ' +
      'requests: a strategy that floods a newcomer because it looks idle, or that takes its silence for speed, ' +
      'pays for it six times over. Source: HAProxy\'s and nginx\'s slow start; Envoy\'s slow start mode.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 6, concurrency: 4, load: 0.5, service: lognormal(20, 1), requests: 36_000,
        faults: oneAfterAnother(6, 6_000, (server, fromMs) => [
          { server, fromMs, toMs: fromMs + 2_000, kind: 'removed' },
          { server, fromMs: fromMs + 2_000, kind: 'cold', factor: 8, warmMs: 1_000 },
        ], 10_000),
      },
    }],
  },
  {
    name: 'cold-cache',
    about: 'One of five servers starts again with an empty cache: a request takes ten times as long as elsewhere at ' +
      'first, and less with each that it has served. Look at the share of that server over time: it must get less ' +
      'while it is slow, but enough to become warm, and its full share at last. Round robin sends it what it ' +
      'cannot serve. Source: Google, "Site Reliability Engineering", chapter 22, on cold caches.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 5, concurrency: 4, load: 0.6, service: exponential(20), requests: 36_000,
        faults: [{ server: 2, fromMs: 20_000, kind: 'cold', factor: 10, warmRequests: 1_000 }],
      },
    }],
  },
  {
    name: 'one-slow',
    about: 'One of ten servers takes four times as long from 10 s to 40 s, as with a noisy neighbour, and fails ' +
      'nothing: no health check finds it. Look at the 99th percentile: a strategy that gives the slow server its ' +
      'tenth of the requests overloads it. Counting what is in flight gives it less, and so does measuring ' +
      'latency. Source: Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 10, load: 0.6, service: exponential(20), requests: 18_000,
        faults: [{ server: 3, fromMs: 10_000, toMs: 40_000, kind: 'slow', factor: 4 }],
      },
    }],
  },
  {
    name: 'gc-pauses',
    about: 'Each of six servers stands still for 300 ms every four seconds, at a time of its own, as in a major ' +
      'garbage collection. What it has waits, and so does all that it gets meanwhile. Look at the 99th ' +
      'percentile: what is in flight shows a pause at once, latencies only when it is over. Source: Dean and ' +
      'Barroso, "The Tail at Scale", CACM 56(2), 2013.',
    unit: 'ms',
    variants: [{
      options: {
        upstreams: 6, concurrency: 4, load: 0.6, service: lognormal(20, 1), requests: 43_200,
        faults: oneAfterAnother(6, 650, (server, fromMs) => [
          { server, fromMs, toMs: fromMs + 300, everyMs: 4_000, kind: 'stopped' },
        ], 1_000),
      },
    }],
  },
];

/** The built-in ones, by name. */
export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map(BUILT_IN.map((scenario) => [scenario.name, scenario]));
