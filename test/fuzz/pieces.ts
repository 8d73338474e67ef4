/**
 * The reads in which bytes arrive.
 */
import type { Draw } from './draw.ts';

/** One way, or several, to cut `text`: each is a separate case. */
export function cuts(draw: Draw, text: string): string[][] {
  const way = draw.below(1_000);
  if (way < 550) return [[text]];
  if (way < 800) return [cutAt(text, Array.from({ length: 1 + draw.below(4) }, () => draw.below(text.length + 1)))];
  if (way < 980) return [cutAt(text, nearEnds(draw, text))];
  if (text.length > MAX_SWEPT) return [cutAt(text, Array.from({ length: 40 }, () => draw.below(text.length)))];
  if (way < 998) return [byByte(text)];
  return Array.from({ length: Math.max(1, text.length - 1) }, (_, i) => cutAt(text, [i + 1]));
}

export function byByte(text: string): string[] {
  return Array.from({ length: text.length }, (_, i) => text.charAt(i));
}

/** The pieces between these offsets. */
export function cutAt(text: string, offsets: readonly number[]): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (const to of [...offsets, text.length].sort((a, b) => a - b)) {
    if (to > from) pieces.push(text.slice(from, to));
    from = Math.max(from, to);
  }
  return pieces;
}

/** Offsets in and around the ends of lines. */
function nearEnds(draw: Draw, text: string): number[] {
  const offsets: number[] = [];
  for (let i = 1 + draw.below(3); i > 0; i--) {
    const end = text.indexOf(draw.one(['\r', '\n', ':', ';']), draw.below(text.length + 1));
    if (end >= 0) offsets.push(Math.min(text.length, end + draw.below(3)));
  }
  return offsets;
}

/** Texts up to this long come byte by byte, or are cut at every offset. */
const MAX_SWEPT = 500;
