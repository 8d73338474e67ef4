/**
 * When requests arrive. Those of an open process come whatever happens to the ones before; in a closed loop each client
 * waits for its answer.
 */
import { exponentialDraw } from './random.ts';

/** How requests arrive. */
export type Arrivals = OpenArrivals | ClosedLoop;

/** Requests that come by themselves. */
export interface OpenArrivals {
  readonly kind: 'open';
  readonly name: string;
  /**
   * Starts the process. Returns the times from one arrival to the next, in units of the mean time between arrivals
   * (`scaled`), or in milliseconds. `undefined` ends it. `rng`: numbers in [0, 1).
   */
  start(rng: () => number): () => number | undefined;
  /** Whether the times are scaled to the wanted rate. If not, they are milliseconds, and the rate is theirs. */
  readonly scaled: boolean;
  /** How many there are, if there is an end. */
  readonly count?: number;
}

/** A number of clients, each of which sends its next request when it has its answer. */
export interface ClosedLoop {
  readonly kind: 'closed';
  readonly name: string;
  readonly clients: number;
  /** Time between an answer and the next request: its mean, exponentially distributed; 0 for none. */
  readonly thinkMs: number;
}

/** Independent arrivals: many clients that know nothing of each other. */
export function poisson(): OpenArrivals {
  return { kind: 'open', name: 'poisson', scaled: true, start: (rng) => () => exponentialDraw(rng) };
}

/** Evenly spaced arrivals. */
export function constant(): OpenArrivals {
  return { kind: 'open', name: 'constant', scaled: true, start: () => () => 1 };
}

/**
 * Bursts: a Markov-modulated Poisson process of two states. In a burst the rate is `ratio` times that of the calm
 * (default 5); bursts are a `share` of the time (default 0.1) and last `length` mean times between arrivals on average
 * (default 100).
 */
export function bursty(ratio = 5, share = 0.1, length = 100): OpenArrivals {
  if (!(ratio >= 1 && ratio <= 1e6)) {
    throw new RangeError(`the ratio of bursty arrivals must be from 1 to 1000000 (got ${ratio})`);
  }
  if (!(share > 0 && share < 1)) throw new RangeError(`the share of bursty arrivals must be in (0, 1) (got ${share})`);
  if (!(length >= 0.001 && length <= 1e9)) {
    throw new RangeError(`the length of bursts must be from 0.001 to 1000000000 (got ${length})`);
  }
  const calm = 1 / (1 - share + share * ratio);
  return {
    kind: 'open', name: `bursty:${ratio},${share},${length}`, scaled: true,
    start(rng) {
      let burst = rng() < share;
      const stay = (): number => exponentialDraw(rng) * (burst ? length : length * (1 - share) / share);
      let left = stay();
      return () => {
        let since = 0;
        for (;;) {
          const gap = exponentialDraw(rng) / (burst ? calm * ratio : calm);
          if (gap < left) {
            left -= gap;
            return since + gap;
          }
          // The state changes first; what is left of a memoryless wait starts anew.
          since += left;
          burst = !burst;
          left = stay();
        }
      };
    },
  };
}

/** Arrivals at given times, in milliseconds, in order: those of a recorded log, for example. */
export function recorded(times: readonly number[] | Float64Array): OpenArrivals {
  for (let at = 0; at < times.length; at++) {
    const time = times[at] ?? NaN;
    if (!(time >= (at === 0 ? 0 : times[at - 1] ?? 0) && time < Infinity)) {
      throw new RangeError(`recorded arrivals must be milliseconds ≥ 0 in order (got ${time} as number ${at + 1})`);
    }
  }
  return {
    kind: 'open', name: 'recorded', scaled: false, count: times.length,
    start() {
      let next = 0;
      let last = 0;
      return () => {
        const time = times[next++];
        if (time === undefined) return undefined;
        const gap = time - last;
        last = time;
        return gap;
      };
    },
  };
}

/** A closed loop of `clients`. */
export function closedLoop(clients: number, { thinkMs = 0 }: { readonly thinkMs?: number } = {}): ClosedLoop {
  if (!(Number.isInteger(clients) && clients >= 1 && clients <= 1_000_000)) {
    throw new RangeError(`a closed loop needs an integer of clients from 1 to 1000000 (got ${clients})`);
  }
  if (!(thinkMs >= 0 && thinkMs < Infinity)) throw new RangeError(`thinkMs must be a number ≥ 0 (got ${thinkMs})`);
  return { kind: 'closed', name: `closed:${clients}`, clients, thinkMs };
}
