/**
 * Services and arrivals as JSON and the command line write them.
 */
import { isRecord, onlyKnown, shown } from '../options/checks.ts';
import { messageOf } from '../guard.ts';
import { type Arrivals, bursty, closedLoop, constant, poisson, recorded } from './arrivals.ts';
import {
  bimodal, deterministic, empirical, exponential, gaussian, lognormal, pareto, replayed, type Service,
} from './service.ts';

/** Reads a service: one that is made, a name such as `lognormal:4`, whose mean is 1 ms, or an object of parameters. */
export function readService(value: unknown, path: string, problems: string[]): Service | undefined {
  if (isRecord(value) && typeof value['draw'] === 'function') return value as unknown as Service;
  return read(value, path, SERVICES, problems);
}

/** Reads arrivals: those that are made, a name such as `bursty:5`, or an object with parameters. */
export function readArrivals(value: unknown, path: string, problems: string[]): Arrivals | undefined {
  const made = isRecord(value) && (typeof value['start'] === 'function' || value['kind'] === 'closed');
  return made ? value as unknown as Arrivals : read(value, path, ARRIVALS, problems);
}

/** How something is made of its parameters, whose names are in the order in which a text gives them. */
interface Kind<T> {
  /** Those that only an object has come last, after `inText`. */
  readonly names: readonly string[];
  readonly inText: number;
  make(values: Readonly<Record<string, unknown>>): T;
}
type Given = Readonly<Record<string, number | undefined>>;

function read<T>(
  value: unknown, path: string, kinds: ReadonlyMap<string, Kind<T>>, problems: string[],
): T | undefined {
  const [name, values] = typeof value === 'string'
    ? parsedText(value, kinds)
    : isRecord(value) ? [value['name'], value] : [undefined, {}];
  const kind = typeof name === 'string' ? kinds.get(name) : undefined;
  if (kind === undefined) {
    problems.push(`${path}: must be one of ${[...kinds.keys()].join(', ')}, or an object with such a name ` +
      `(got ${shown(value)})`);
    return undefined;
  }
  onlyKnown(values, `${path}.`, new Set(['name', ...kind.names]), problems);
  try {
    return kind.make(values);
  } catch (cause) {
    problems.push(`${path}: ${messageOf(cause)}`);
    return undefined;
  }
}

function parsedText(text: string, kinds: ReadonlyMap<string, Kind<unknown>>): [string, Record<string, unknown>] {
  const [name = '', rest] = text.split(':', 2);
  const kind = kinds.get(name);
  const values: Record<string, unknown> = {};
  for (const [at, parameter] of (rest === undefined ? [] : rest.split(',')).entries()) {
    const known = at < (kind?.inText ?? 0) ? kind?.names[at] : undefined;
    values[known ?? `parameter ${at + 1}`] = parameter.trim() === '' ? NaN : Number(parameter);
  }
  return [name, values];
}

const SERVICES: ReadonlyMap<string, Kind<Service>> = new Map<string, Kind<Service>>([
  ['exponential', { names: ['meanMs'], inText: 0, make: ({ meanMs = 1 }: Given) => exponential(meanMs) }],
  ['deterministic', { names: ['meanMs'], inText: 0, make: ({ meanMs = 1 }: Given) => deterministic(meanMs) }],
  ['lognormal', { names: ['scv', 'meanMs'], inText: 1, make: ({ scv, meanMs = 1 }: Given) => lognormal(meanMs, scv) }],
  ['gaussian', {
    names: ['deviationMs', 'meanMs'], inText: 1,
    make: ({ deviationMs = 0.1, meanMs = 1 }: Given) => gaussian(meanMs, deviationMs),
  }],
  ['pareto', {
    names: ['shape', 'ratio', 'meanMs'], inText: 2,
    make: ({ shape, ratio, meanMs = 1 }: Given) => pareto(meanMs, shape, ratio),
  }],
  ['bimodal', {
    names: ['share', 'ratio', 'meanMs'], inText: 2,
    make: ({ share, ratio, meanMs = 1 }: Given) => bimodal(meanMs, share, ratio),
  }],
  ['empirical', {
    names: ['times', 'meanMs'], inText: 0,
    make: ({ times, meanMs }) => empirical(numbers(times), meanMs as number | undefined),
  }],
  ['replayed', { names: ['times'], inText: 0, make: ({ times }) => replayed(numbers(times)) }],
]);

const ARRIVALS: ReadonlyMap<string, Kind<Arrivals>> = new Map<string, Kind<Arrivals>>([
  ['poisson', { names: [], inText: 0, make: () => poisson() }],
  ['constant', { names: [], inText: 0, make: () => constant() }],
  ['bursty', {
    names: ['ratio', 'share', 'length'], inText: 3,
    make: ({ ratio, share, length }: Given) => bursty(ratio, share, length),
  }],
  ['closed', {
    names: ['clients', 'thinkMs'], inText: 2,
    make: ({ clients = NaN, thinkMs }: Given) => closedLoop(clients, thinkMs === undefined ? {} : { thinkMs }),
  }],
  ['recorded', { names: ['times'], inText: 0, make: ({ times }) => recorded(numbers(times)) }],
]);

function numbers(value: unknown): readonly number[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value;
  throw new RangeError(`times must be a list of milliseconds (got ${shown(value)})`);
}
