/** Medians, their spread, and quantiles. */

export function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The median, with the minimum and the maximum. */
export function spread(numbers, digits) {
  const [low, middle, high] = [Math.min(...numbers), median(numbers), Math.max(...numbers)];
  return `${middle.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

/** Of numbers in ascending order: the one that `part` of them do not exceed. */
export function quantile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
