/**
 * From values to places in a plot.
 */

/** One axis. */
export interface Scale {
  readonly ticks: readonly number[];
  /** Where a value is, in the units of the drawing. Values beyond the axis are at its end. */
  readonly place: (value: number) => number;
}

/** From `low` to at least `high`, evenly. `from` and `to` are where those are. */
export function linear(low: number, high: number, from: number, to: number, wanted = 5): Scale {
  const span = high > low ? high - low : 1;
  const step = roundStep(span / wanted);
  const ticks: number[] = [];
  for (let at = Math.ceil(low / step); at * step <= low + span * (1 + 1e-9); at++) ticks.push(at * step);
  return { ticks, place: (value) => from + clamped((value - low) / span) * (to - from) };
}

/** By the logarithm: equal ratios are equal distances. `low` must be above 0. */
export function logarithmic(low: number, high: number, from: number, to: number, wanted = 6): Scale {
  const bottom = Math.log10(low);
  const span = Math.max(Math.log10(high) - bottom, 1e-9);
  const within = (ticks: readonly number[]): readonly number[] => (
    ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)));
  const decades = Array.from({ length: Math.ceil(span) + 3 }, (_, at) => 10 ** (Math.floor(bottom) + at));
  const fine = within(decades.flatMap((ten) => [1, 2, 5].map((digit) => digit * ten)));
  const coarse = within(decades);
  const skip = Math.max(1, Math.ceil(coarse.length / wanted));
  return {
    ticks: fine.length <= wanted + 1 ? fine : coarse.filter((_, at) => at % skip === 0),
    place: (value) => from + clamped((Math.log10(Math.max(value, low)) - bottom) / span) * (to - from),
  };
}

/** Counts from 0: evenly while they are small, else by the logarithm of one more. */
export function counting(high: number, from: number, to: number): Scale {
  if (high <= EVEN) return linear(0, Math.max(1, high), from, to, 3);
  const span = Math.log1p(high);
  const ticks = [0];
  for (let tick = 1; tick <= high; tick *= 10) ticks.push(tick);
  const skip = Math.ceil(ticks.length / 4);
  return {
    ticks: ticks.filter((_, at) => at % skip === 0),
    place: (value) => from + clamped(Math.log1p(Math.max(0, value)) / span) * (to - from),
  };
}

function clamped(part: number): number {
  return Math.min(1, Math.max(0, part));
}

/** The next larger of 1, 2, 5, 10, ... */
function roundStep(step: number): number {
  const ten = 10 ** Math.floor(Math.log10(step));
  return ten * ([1, 2, 5].find((digit) => digit * ten >= step * (1 - 1e-9)) ?? 10);
}

const EVEN = 40;
