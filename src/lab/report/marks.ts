/**
 * Faults, which all strategies of a comparison meet alike, and ejections, which are each strategy's own.
 */
import type { Mark } from '../result.ts';
import { type Area, round } from './panel.ts';
import type { Scale } from './scale.ts';
import { escaped, serverName } from './text.ts';

/** From the beginning of a fault to its end. */
export interface Band {
  readonly what: string;
  readonly server: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The faults among the marks of a run that ended at `endMs`. */
export function bandsOf(marks: readonly Mark[], endMs: number): readonly Band[] {
  const open = new Map<string, Mark[]>();
  const bands: Band[] = [];
  for (const mark of marks) {
    const { what, server, ms } = mark;
    if (what === 'ejected' || what === 'readmitted') continue;
    const kind = what.replace(/ over$/, '');
    const key = `${kind} ${server}`;
    const begun = open.get(key) ?? [];
    if (kind === what) open.set(key, [...begun, mark]);
    else bands.push({ what: kind, server, fromMs: begun.shift()?.ms ?? 0, toMs: ms });
  }
  for (const rest of open.values()) {
    for (const { what, server, ms } of rest) bands.push({ what, server, fromMs: ms, toMs: Math.max(ms, endMs) });
  }
  return bands.sort((one, other) => one.fromMs - other.fromMs);
}

/** Shades the time of faults, and says what they are if they are few. */
export function bandsIn(bands: readonly Band[], { left, top, right, bottom }: Area, x: Scale, named: boolean): string {
  let free = left;
  return bands.slice(0, MOST_DRAWN).map(({ what, server, fromMs, toMs }) => {
    const from = round(x.place(fromMs));
    const width = Math.max(0.6, round(x.place(toMs) - from));
    const area = `<rect class="fault" x="${from}" y="${top}" width="${width}" height="${bottom - top}"/>`;
    const text = `${what}: ${serverName(server)}`;
    // Where there is room beside the one before.
    const room = text.length * 6.2;
    const at = Math.min(Math.max(from, left), right - room);
    if (!named || at < free || room > right - left) return area;
    free = at + room + 8;
    return `${area}<text class="note" x="${at + 3}" y="${top + 12}">${escaped(text)}</text>`;
  }).join('');
}

/** A row of strokes where servers were ejected, with circles where they came back. Empty if none was. */
export function ejectionsIn(
  marks: readonly Mark[], style: string, letter: string, left: number, y: number, x: Scale,
): string {
  const strokes = marks.slice(0, MOST_DRAWN).map(({ what, ms }) => {
    const at = round(x.place(ms));
    if (what === 'ejected') return `<path class="stroke ${style}" d="M${at} ${y - 4}V${y + 4}"/>`;
    return what === 'readmitted' ? `<circle class="dot ${style}" cx="${at}" cy="${y}" r="2.5"/>` : '';
  }).join('');
  if (strokes === '') return '';
  return `<text class="letter" x="${left - 14}" y="${y + 4}">${letter}</text>${strokes}`;
}

/** What the marks of a run say, in words: where colours and shades cannot be seen. */
export function bandTexts(bands: readonly Band[], text: (ms: number) => string): readonly string[] {
  const kinds = new Map<string, Band[]>();
  for (const band of bands) {
    const key = `${band.what}: ${serverName(band.server)}`;
    kinds.set(key, [...kinds.get(key) ?? [], band]);
  }
  const texts = [...kinds].map(([key, [first, ...more]]) => (
    `${key}, ${text(first?.fromMs ?? 0)} to ${text(first?.toMs ?? 0)}${
      more.length === 0 ? '' : `, and ${more.length} times more`}`));
  return texts.length <= MOST_NAMED
    ? texts
    : [...texts.slice(0, MOST_NAMED), `faults of ${texts.length - MOST_NAMED} more servers`];
}

const MOST_DRAWN = 400;
const MOST_NAMED = 4;
