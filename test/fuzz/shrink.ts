/**
 * Shrinks a failing case while it still fails.
 */
import type { Case } from './session.ts';

export async function shrink<C extends Case>(one: C, fails: (smaller: C) => Promise<boolean>): Promise<C> {
  let best = one;
  const better = async (pieces: readonly string[]): Promise<boolean> => {
    const smaller = { ...best, pieces: pieces.filter((piece) => piece !== '') };
    if (!await fails(smaller)) return false;
    best = smaller;
    return true;
  };
  await better([best.pieces.join('')]);
  for (let i = 0; i + 1 < best.pieces.length;) {
    const { pieces } = best;
    const joined = [...pieces.slice(0, i), pieces.slice(i, i + 2).join(''), ...pieces.slice(i + 2)];
    if (!await better(joined)) i++;
  }
  for (let length = Math.ceil(best.pieces.join('').length / 2); length >= 1; length = Math.floor(length / 2)) {
    for (let at = 0; at < best.pieces.join('').length;) {
      if (!await better(without(best.pieces, at, length))) at += length;
    }
  }
  return best;
}

/** The pieces without `length` bytes from `at`. */
function without(pieces: readonly string[], at: number, length: number): string[] {
  let start = 0;
  return pieces.map((piece) => {
    const from = Math.max(0, at - start);
    const to = Math.max(0, at + length - start);
    start += piece.length;
    return piece.slice(0, from) + piece.slice(to);
  });
}
