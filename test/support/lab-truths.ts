/**
 * Values of queueing theory and of published results, which the simulator must reproduce. The unit of time is the mean
 * service time.
 */
import { bursty, closedLoop, constant } from '../../src/lab/arrivals.ts';
import type { SimulateOptions } from '../../src/lab/options.ts';
import { bimodal, deterministic, exponential, gaussian, lognormal, pareto } from '../../src/lab/service.ts';
import type { Strategy, Upstream } from '../../src/strategy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { powerOfTwo } from '../../strategies/power-of-two.ts';
import { random } from '../../strategies/random.ts';
import { roundRobin } from '../../strategies/round-robin.ts';

export interface Truth {
  readonly name: string;
  readonly options: SimulateOptions;
  /** The mean time in the system. */
  readonly mean: number;
  /** The load of a server, as far as it decides how many requests are needed. */
  readonly load: number;
  /** The variance of what is drawn, relative to exponential work. */
  readonly spread: number;
}

const byRandom: SimulateOptions['strategy'] = ({ rng }) => random({ rng });
const byTwo: SimulateOptions['strategy'] = ({ rng }) => powerOfTwo({ rng });
const shortest: SimulateOptions['strategy'] = ({ rng }) => leastConnections({ rng });
const inTurn: SimulateOptions['strategy'] = () => roundRobin();

/** Of `d` candidates drawn one by one, the one with the fewest in flight; `again`: one may be drawn twice. */
export function choices(d: number, again: boolean): SimulateOptions['strategy'] {
  return ({ rng }): Strategy => ({
    name: `${d} choices`,
    pick(candidates) {
      let best: Upstream | undefined;
      const drawn: number[] = [];
      while (drawn.length < d) {
        const at = Math.floor(rng() * candidates.length);
        if (!again && drawn.includes(at)) continue;
        drawn.push(at);
        const one = candidates[at];
        if (best === undefined || (one !== undefined && one.inFlight < best.inFlight)) best = one;
      }
      return best;
    },
  });
}

function truth(
  name: string, strategy: SimulateOptions['strategy'], upstreams: number, load: number, mean: number,
  others: Partial<SimulateOptions> = {}, spread = 1,
): Truth {
  return {
    name: `${name}, ${upstreams} server${upstreams === 1 ? '' : 's'}, load ${load}`, load, mean, spread,
    options: { strategy, upstreams, load, service: exponential(1), ...others },
  };
}

/** M/G/1 by Pollaczek and Khinchine; `square` is the second moment of the work, whose mean is 1. */
const pollaczek = (load: number, square: number): number => 1 + load * square / (2 * (1 - load));

/** GI/M/1 with Erlang arrivals: what one of `n` servers sees of a round robin. */
export function erlang(n: number, load: number): number {
  let sigma = 0.5;
  for (let step = 0; step < 10_000; step++) sigma = (n * load / (n * load + 1 - sigma)) ** n;
  return 1 / (1 - sigma);
}

/** M/M/c by Erlang's C formula. */
export function central(servers: number, load: number): number {
  const offered = servers * load;
  let blocked = 1;
  for (let c = 1; c <= servers; c++) blocked = offered * blocked / (c + offered * blocked);
  const waits = blocked / (1 - load * (1 - blocked));
  return 1 + waits / (servers * (1 - load));
}

/**
 * What one of `servers` sees of constant arrivals: GI/M/1, by iteration. `inTurn`: D/M/1; at random: the gaps are a
 * geometric number of constants.
 */
export function constantSplit(servers: number, load: number, inTurn: boolean): number {
  let sigma = 0.5;
  for (let step = 0; step < 20_000; step++) {
    const left = 1 - sigma;
    const gap = Math.exp(-left / (servers * load));
    sigma = inTurn ? gap ** servers : gap / servers / (1 - (1 - 1 / servers) * gap);
  }
  return 1 / (1 - sigma);
}

/**
 * One of `servers` that share bursty arrivals at random: MMPP/M/1 of two states, by the matrix-geometric method (Neuts,
 * 1981). The parameters are those of `bursty`.
 */
export function burstySplit(servers: number, load: number, ratio: number, share: number, length: number): number {
  const calm = 1 / (1 - share + share * ratio);
  const rates = [load * calm, load * calm * ratio] as const;
  const leaves = [servers * load * share / (length * (1 - share)), servers * load / length] as const;
  const inner: Matrix = [-(rates[0] + leaves[0] + 1), leaves[0], leaves[1], -(rates[1] + leaves[1] + 1)];
  const edge: Matrix = [inner[0] + 1, inner[1], inner[2], inner[3] + 1];
  const back = inverse(inner.map((each) => -each) as unknown as Matrix);
  let r: Matrix = [0, 0, 0, 0];
  for (let step = 0; step < 20_000; step++) r = times(plus([rates[0], 0, 0, rates[1]], times(r, r)), back);
  const still = inverse([1 - r[0], -r[1], -r[2], 1 - r[3]]);
  // An empty server: its states are in the kernel of edge + R.
  const kernel = plus(edge, r);
  const norm = -kernel[2] * (still[0] + still[1]) + kernel[0] * (still[2] + still[3]);
  const queue = times(r, times(still, still));
  return (-kernel[2] * (queue[0] + queue[1]) + kernel[0] * (queue[2] + queue[3])) / norm / load;
}

/** Two by two, row by row. */
type Matrix = readonly [number, number, number, number];
const times = ([a, b, c, d]: Matrix, [e, f, g, h]: Matrix): Matrix => (
  [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]);
const plus = ([a, b, c, d]: Matrix, [e, f, g, h]: Matrix): Matrix => [a + e, b + f, c + g, d + h];
const inverse = ([a, b, c, d]: Matrix): Matrix => {
  const all = a * d - b * c;
  return [d / all, -b / all, -c / all, a / all];
};

/** Infinitely many servers, `d` choices (Mitzenmacher 2001). */
export function choicesLimit(d: number, load: number): number {
  let sum = 0;
  for (let i = 1; i < 40; i++) sum += load ** ((d ** i - d) / (d - 1));
  return sum;
}

/** A closed network of `clients` who think for `think` on average, and `servers` picked at random: exact MVA. */
export function closedNetwork(clients: number, servers: number, think: number): number {
  let queue = 0;
  let response = 1;
  for (let k = 1; k <= clients; k++) {
    response = 1 + queue;
    queue = k / (response + think) * response / servers;
  }
  return response;
}

/** The second moments of distributions with mean 1. */
function paretoSquare(shape: number, ratio: number): number {
  const moment = (k: number): number => shape * (1 - ratio ** (k - shape)) / ((shape - k) * (1 - ratio ** -shape));
  return moment(2) / moment(1) ** 2;
}
const bimodalSquare = (share: number, ratio: number): number => {
  return (1 - share + share * ratio ** 2) / (1 - share + share * ratio) ** 2;
};

/** Those of moderate load and spread: few requests are enough. */
export const TRUTHS: readonly Truth[] = [
  ...[0.5, 0.7, 0.8, 0.9].map((load) => truth('random', byRandom, 10, load, 1 / (1 - load))),
  truth('random', byRandom, 1, 0.5, 2),
  ...[0.5, 0.8, 0.9].map((load) => (
    truth('random, deterministic', byRandom, 10, load, pollaczek(load, 1), { service: deterministic(1) }, 0.5))),
  ...[1, 4].map((scv) => truth(`random, lognormal:${scv}`, byRandom, 10, 0.5, pollaczek(0.5, 1 + scv),
    { service: lognormal(1, scv) }, 1 + scv)),
  truth('random, bimodal:0.1,10', byRandom, 10, 0.7, pollaczek(0.7, bimodalSquare(0.1, 10)),
    { service: bimodal(1) }, bimodalSquare(0.1, 10)),
  truth('random, pareto:2.5,100', byRandom, 10, 0.5, pollaczek(0.5, paretoSquare(2.5, 100)),
    { service: pareto(1, 2.5, 100) }, 3),
  ...[deterministic(1), exponential(1), lognormal(1, 4), bimodal(1), pareto(1, 2.5, 100)].flatMap((service) => (
    [0.5, 0.8].map((load) => truth(`processor sharing, ${service.name}`, byRandom, 5, load, 1 / (1 - load),
      { service, discipline: 'ps' }, 1.5)))),
  ...[[2, 0.5], [2, 0.7], [2, 0.9], [10, 0.7], [10, 0.8], [10, 0.9]].map(([c = 1, load = 0]) => (
    truth(`a central queue of ${c}`, byRandom, 1, load, central(c, load), { concurrency: c }))),
  ...[2, 3, 5, 10].flatMap((n) => [0.5, 0.7].map((load) => truth('round robin', inTurn, n, load, erlang(n, load)))),
  truth('shortest queue', shortest, 2, 0.5, 1.42632), truth('shortest queue', shortest, 2, 0.9, 5.47491),
  truth('shortest queue', shortest, 10, 0.5, 1.024), truth('shortest queue', shortest, 10, 0.8, 1.355),
  truth('two different', byTwo, 2, 0.5, 1.42632), truth('two different', byTwo, 2, 0.9, 5.47491),
  truth('two different', byTwo, 10, 0.5, 1.286), truth('two different', byTwo, 10, 0.8, 2.072),
  truth('two with replacement', choices(2, true), 2, 0.5, 1.59656),
  truth('two with replacement', choices(2, true), 2, 0.9, 5.86468),
  truth('two with replacement', choices(2, true), 10, 0.5, 1.32),
  truth('two of many', choices(2, true), 1_000, 0.7, choicesLimit(2, 0.7)),
  truth('three of many', choices(3, true), 1_000, 0.7, choicesLimit(3, 0.7)),
  {
    name: 'random by weight, speeds 1, 1, 4', load: 0.5, mean: 1, spread: 1,
    options: {
      strategy: byRandom, ratePerSecond: 3_000,
      upstreams: [{ speed: 1, weight: 1 }, { speed: 1, weight: 1 }, { speed: 4, weight: 4 }],
    },
  },
  {
    name: 'random without weights, speeds 1, 1, 4', load: 0.5, mean: 1.4286, spread: 1,
    options: { strategy: byRandom, ratePerSecond: 1_500, upstreams: [{ speed: 1 }, { speed: 1 }, { speed: 4 }] },
  },
  ...[[1, 1, 0], [5, 1, 4], [10, 4, 0], [20, 10, 5]].map(([clients = 1, servers = 1, think = 0]) => ({
    name: `${clients} clients who think for ${think}, ${servers} servers`, load: 0.3, spread: 1,
    mean: closedNetwork(clients, servers, think),
    options: { strategy: byRandom, upstreams: servers, arrivals: closedLoop(clients, { thinkMs: think }) },
  })),
];

/** What takes a long run. */
export const LONG_TRUTHS: readonly Truth[] = [
  ...[0.5, 0.8].map((load) => (
    truth('random, lognormal:9', byRandom, 10, load, pollaczek(load, 10), { service: lognormal(1, 9) }, 12))),
  ...[2, 10].map((n) => truth('round robin', inTurn, n, 0.9, erlang(n, 0.9))),
  truth('two of many', choices(2, true), 1_000, 0.9, choicesLimit(2, 0.9)),
  truth('three of many', choices(3, true), 1_000, 0.9, choicesLimit(3, 0.9)),
  truth('two different of many', byTwo, 1_000, 0.8, choicesLimit(2, 0.8)),
  truth('two of many', choices(2, true), 500, 0.95, choicesLimit(2, 0.95)),
  ...[0.7, 0.8].map((load) => truth('round robin, constant arrivals', inTurn, 5, load, constantSplit(5, load, true),
    { arrivals: constant() })),
  truth('random, constant arrivals', byRandom, 2, 0.5, constantSplit(2, 0.5, false), { arrivals: constant() }),
  truth('random, constant arrivals', byRandom, 5, 0.8, constantSplit(5, 0.8, false), { arrivals: constant() }),
  truth('random, bursty arrivals', byRandom, 4, 0.5, burstySplit(4, 0.5, 3, 0.3, 20),
    { arrivals: bursty(3, 0.3, 20) }, 4),
  ...[exponential(1), lognormal(1, 4)].map((service) => truth(`processor sharing by 3, ${service.name}`, byRandom, 2,
    0.7, central(3, 0.7), { service, discipline: 'ps', concurrency: 3 }, 1.5)),
  truth('processor sharing, gaussian', byRandom, 4, 0.9, 10, { service: gaussian(1, 0.1), discipline: 'ps' }),
  truth('a central queue of 20', byRandom, 1, 0.9, central(20, 0.9), { concurrency: 20 }),
];

/**
 * The 95% half-width of the mean after so many requests, relative to it: the bound of M/M/1, which random splitting
 * reaches, and better strategies fall well below.
 */
export function halfWidth(load: number, requests: number, spread: number): number {
  return 1.96 * Math.sqrt(2 * (1 + load) * spread / ((1 - load) ** 2 * requests));
}
