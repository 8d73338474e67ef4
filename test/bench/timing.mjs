/** The time of one operation, for what is too short to be measured alone. */
import { median } from './statistics.mjs';

const batchMs = 10;

/**
 * Nanoseconds for one call of `operation`: the median over some batches, with minimum and maximum. What it returns
 * is summed up and kept, so that none of it can be compiled away.
 */
export function nanoseconds(operation, batches = 15) {
  let count = 1;
  // Grown until a batch takes long enough; by then the operation is compiled as well.
  while (time(operation, count) < batchMs) count = Math.ceil(count * 1.5);
  for (let warm = 0; warm < 5; warm++) time(operation, count);
  const each = Array.from({ length: batches }, () => time(operation, count) / count * 1e6);
  return { ns: median(each), least: Math.min(...each), most: Math.max(...each) };
}

function time(operation, count) {
  const startedAt = performance.now();
  for (let i = 0; i < count; i++) kept += operation(i);
  return performance.now() - startedAt;
}

export let kept = 0;
