/**
 * What somebody probably meant by a name that does not exist.
 */

/** ` did you mean "x"?` for the known name nearest to `name`; `''` if none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  let nearest: string | undefined;
  // A third of the letters may be wrong: `stratgy` is near `strategy`, `port` is not near `host`.
  let least = Math.floor(Math.min(name.length, MAX_LENGTH) / 3) + 1;
  for (const candidate of known) {
    const distance = edits(name.slice(0, MAX_LENGTH).toLowerCase(), candidate.toLowerCase());
    if (distance < least) [nearest, least] = [candidate, distance];
  }
  return nearest === undefined ? '' : ` did you mean "${nearest}"?`;
}

/** Letters to insert, delete, replace or swap with their neighbour to make `to` of `from`. */
function edits(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return last[to.length] ?? 0;
}

/** No known name is longer. */
const MAX_LENGTH = 40;
