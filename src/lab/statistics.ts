/**
 * How sure a result is: confidence intervals from the means of batches, or of repeated runs.
 */

/** An estimate with its 95% confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The mean of independent values, by Student's t. With fewer than two values the interval is infinite. */
export function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  const value = values.reduce((sum, each) => sum + each, 0) / n;
  if (n < 2) return { value, low: -Infinity, high: Infinity };
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / (n - 1);
  const half = student(n - 1) * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}

/** The difference of paired values: `one` less `other`, met under the same conditions. */
export function pairedDifference(one: readonly number[], other: readonly number[]): Estimate {
  return estimate(one.slice(0, other.length).map((value, at) => value - (other[at] ?? 0)));
}

/**
 * The 97.5% quantile of Student's t distribution, exact for one and two degrees of freedom, else by the expansion of
 * Fisher and Cornish (Abramowitz and Stegun 26.7.5): to 0.2% from 3 on.
 */
export function student(freedom: number): number {
  if (freedom === 1) return 12.706204736;
  if (freedom === 2) return 4.30265273;
  const z = 1.959963984540054;
  const square = z * z;
  const g1 = (square + 1) / 4;
  const g2 = ((5 * square + 16) * square + 3) / 96;
  const g3 = (((3 * square + 19) * square + 17) * square - 15) / 384;
  const g4 = ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92_160;
  return z * (1 + (g1 + (g2 + (g3 + g4 / freedom) / freedom) / freedom) / freedom);
}
