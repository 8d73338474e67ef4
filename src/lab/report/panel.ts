/**
 * One plot with its axes, as SVG.
 */
import type { Scale } from './scale.ts';
import { escaped } from './text.ts';

/** A drawing of its own size. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  /** What it shows, for those who cannot see it. */
  readonly label: string;
  readonly body: string;
}

/** Where the plot is within its panel. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface Axes {
  readonly area: Area;
  readonly x: Scale;
  readonly y: Scale;
  readonly xText: (value: number) => string;
  readonly yText: (value: number) => string;
  readonly title: string;
  /** What the axes are; empty for none. */
  readonly xName: string;
  readonly yName: string;
}

/** The title, the grid and the numbers of a plot. */
export function axes({ area, x, y, xText, yText, title, xName, yName }: Axes): string {
  const { left, top, right, bottom } = area;
  const rows = y.ticks.map((tick) => {
    const at = round(y.place(tick));
    return `<path class="grid" d="M${left} ${at}H${right}"/>` +
      `<text class="tick" x="${left - 6}" y="${round(at + 4)}" text-anchor="end">${escaped(yText(tick))}</text>`;
  });
  const columns = x.ticks.map((tick) => {
    const at = round(x.place(tick));
    return `<path class="grid" d="M${at} ${top}V${bottom}"/>` +
      `<text class="tick" x="${at}" y="${bottom + 16}" text-anchor="middle">${escaped(xText(tick))}</text>`;
  });
  const names = [
    xName === '' ? '' : `<text class="name" x="${right}" y="${bottom + 33}" text-anchor="end">${escaped(xName)}</text>`,
    yName === '' ? '' : `<text class="name" x="2" y="${top - 8}">${escaped(yName)}</text>`,
  ];
  return `<text class="title" x="2" y="16">${escaped(title)}</text>${rows.join('')}${columns.join('')}` +
    `<path class="axis" d="M${left} ${top}V${bottom}H${right}"/>${names.join('')}`;
}

/** A line through points, each a place in the drawing; where `undefined` is, it is broken. */
export function line(points: readonly (readonly [number, number] | undefined)[], style: string): string {
  let pen = 'M';
  let d = '';
  for (const point of points) {
    if (point !== undefined) d += `${pen}${round(point[0])} ${round(point[1])}`;
    pen = point === undefined ? 'M' : 'L';
  }
  return d === '' ? '' : `<path class="line ${style}" d="${d}"/>`;
}

/** Letters at the ends of lines, moved apart where they would cover each other. */
export function letters(
  ends: readonly { readonly letter: string; readonly x: number; readonly y: number }[], { top, bottom }: Area,
): string {
  const sorted = [...ends].sort((one, other) => one.y - other.y);
  let above = top - LETTER / 2;
  const placed = sorted.map((end) => ({ ...end, y: above = Math.max(end.y + 4, above + LETTER) }));
  let below = bottom + LETTER / 2;
  for (const end of placed.reverse()) end.y = below = Math.min(end.y, below - LETTER);
  return placed.map(({ letter, x, y }) => (
    `<text class="letter" x="${round(x + 5)}" y="${round(y)}">${letter}</text>`)).join('');
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The height of a letter, with the space to the next. */
const LETTER = 13;
