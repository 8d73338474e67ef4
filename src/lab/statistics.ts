/**
 * How sure a result is: confidence intervals from the means of batches, or of repeated runs.
 */

/** An estimate with its confidence interval: 95% unless said otherwise. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The mean of independent values, by Student's t. With fewer than two values the interval is infinite. */
export function estimate(values: readonly number[], confidence = 0.95): Estimate {
  const n = values.length;
  const value = n === 0 ? NaN : values.reduce((sum, each) => sum + each, 0) / n;
  if (n < 2) return { value, low: -Infinity, high: Infinity };
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / (n - 1);
  // Without any variance, the quantile does not matter.
  const half = variance === 0 ? 0 : student(n - 1, confidence) * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}

/**
 * The t that Student's distribution stays within, on both sides, with this probability. The distribution in closed form
 * (Abramowitz and Stegun 26.7.3 and 26.7.4), inverted by bisection.
 */
export function student(freedom: number, confidence = 0.95): number {
  let low = 0;
  let high = Math.PI / 2;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (within(middle, freedom) < confidence) low = middle;
    else high = middle;
  }
  return Math.sqrt(freedom) * Math.tan((low + high) / 2);
}

/** The probability that |t| is at most √freedom · tan(angle). */
function within(angle: number, freedom: number): number {
  const square = Math.cos(angle) ** 2;
  const odd = freedom % 2 === 1;
  let term = odd ? Math.cos(angle) : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k < freedom; k += 2) {
    term *= square * (k - 1) / k;
    sum += term;
  }
  return odd ? 2 / Math.PI * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}
