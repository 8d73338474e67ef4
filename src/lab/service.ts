/**
 * How much work a request brings: distributions of service times, each by its mean in milliseconds.
 */
import { exponentialDraw, normal } from './random.ts';

/** A distribution of service times. */
export interface Service {
  /** As in reports and on the command line. */
  readonly name: string;
  readonly meanMs: number;
  /** Draws one, in milliseconds at speed 1. `rng`: numbers in [0, 1). */
  draw(rng: () => number): number;
  /** If there is one, it makes the draws of one run, in the order of arrival, in place of `draw`. */
  start?(rng: () => number): () => number;
}

/** Every request takes the same time. */
export function deterministic(meanMs: number): Service {
  positive('the mean', meanMs);
  return { name: 'deterministic', meanMs, draw: () => meanMs };
}

/** Memoryless: squared coefficient of variation 1. */
export function exponential(meanMs: number): Service {
  positive('the mean', meanMs);
  return { name: 'exponential', meanMs, draw: (rng) => meanMs * exponentialDraw(rng) };
}

/** Lognormal, by its squared coefficient of variation `scv` (variance over squared mean); default 4. */
export function lognormal(meanMs: number, scv = 4): Service {
  positive('the mean', meanMs);
  positive('the squared coefficient of variation', scv);
  // Beyond, the mean is made of draws that never come.
  if (scv > 10_000) throw new RangeError(`the squared coefficient of variation must be at most 10000 (got ${scv})`);
  const variance = Math.log(1 + scv);
  const mu = Math.log(meanMs) - variance / 2;
  const sigma = Math.sqrt(variance);
  return { name: `lognormal:${scv}`, meanMs, draw: (rng) => Math.exp(mu + sigma * normal(rng)) };
}

/** Normal, cut at 0; `deviationMs` is the standard deviation. The cut raises the mean where the deviation is large. */
export function gaussian(meanMs: number, deviationMs: number): Service {
  positive('the mean', meanMs);
  positive('the deviation', deviationMs);
  return { name: `gaussian:${deviationMs}`, meanMs, draw: (rng) => Math.max(0, meanMs + deviationMs * normal(rng)) };
}

/**
 * Bounded Pareto: many short, few very long. `shape` is α (default 1.5), `ratio` the longest over the shortest (default
 * 1,000).
 */
export function pareto(meanMs: number, shape = 1.5, ratio = 1_000): Service {
  positive('the mean', meanMs);
  positive('the shape', shape);
  if (!(ratio > 1)) throw new RangeError(`the ratio of a pareto service must be > 1 (got ${ratio})`);
  // The mean of the distribution on [1, ratio].
  const tail = 1 - ratio ** -shape;
  const unscaled = shape === 1
    ? Math.log(ratio) / tail
    : shape * (1 - ratio ** (1 - shape)) / ((shape - 1) * tail);
  const shortest = meanMs / unscaled;
  return {
    name: `pareto:${shape},${ratio}`, meanMs,
    draw: (rng) => shortest * (1 - rng() * tail) ** (-1 / shape),
  };
}

/** Two lengths: a `share` (default 0.1) takes `ratio` (default 10) times as long as the rest. */
export function bimodal(meanMs: number, share = 0.1, ratio = 10): Service {
  positive('the mean', meanMs);
  positive('the ratio', ratio);
  if (!(share > 0 && share < 1)) {
    throw new RangeError(`the share of a bimodal service must be in (0, 1) (got ${share})`);
  }
  const short = meanMs / (1 - share + share * ratio);
  return { name: `bimodal:${share},${ratio}`, meanMs, draw: (rng) => (rng() < share ? short * ratio : short) };
}

/** Draws from measured times, in milliseconds. With `meanMs` they are scaled to that mean. */
export function empirical(times: readonly number[] | Float64Array, meanMs?: number): Service {
  const values = Float64Array.from(times);
  if (values.length === 0 || !values.every((value) => value >= 0 && value < Infinity)) {
    throw new RangeError('an empirical service needs at least one time, each a number of milliseconds ≥ 0');
  }
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  positive('the mean of the times', mean);
  if (meanMs !== undefined) {
    positive('the mean', meanMs);
    for (let at = 0; at < values.length; at++) values[at] = (values[at] ?? 0) * meanMs / mean;
  }
  return { name: 'empirical', meanMs: meanMs ?? mean, draw: (rng) => values[Math.floor(rng() * values.length)] ?? 0 };
}

/** Measured times in their order, in milliseconds: request by request as recorded, from the start again at the end. */
export function replayed(times: readonly number[] | Float64Array): Service {
  const drawn = empirical(times);
  const values = Float64Array.from(times);
  return {
    ...drawn, name: 'replayed',
    start() {
      let next = 0;
      return () => values[next++ % values.length] ?? 0;
    },
  };
}

function positive(what: string, value: number): void {
  if (!(value > 0 && value < Infinity)) throw new RangeError(`${what} must be a number > 0 (got ${value})`);
}
