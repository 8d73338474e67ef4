/**
 * Texts and numbers in a report. Names come from files of others: whatever is in them, they stay text.
 */

/** A text for XML and HTML: between tags, or in a quoted attribute. */
export function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The text without what XML cannot hold or a terminal acts on, and without marks that turn the writing around. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd');
}

/** The text, or its beginning. */
export function clipped(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** A number with three digits that count, or all of a larger one. */
export function amount(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return value > 0 ? '∞' : value < 0 ? '-∞' : '-';
  if (size === 0) return '0';
  if (size >= 99.95) return grouped(value);
  return value.toFixed(size >= 9.995 ? 1 : size >= 0.995 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size))));
}

/** A share of one as a percentage. */
export function percent(share: number): string {
  if (share === 0 || share === 1) return `${share * 100}%`;
  return `${share < 0.001 ? amount(share * 100) : (share * 100).toFixed(share > 0.99 || share < 0.01 ? 2 : 1)}%`;
}

/** A time with its unit, where times are in milliseconds: seconds, minutes or hours from two of them on. */
export function duration(ms: number, unit = clockUnit(ms)): string {
  return ms === 0 ? '0' : `${short(ms / unit.ms)} ${unit.name}`;
}

/** In what a time of this size is best written. */
export function clockUnit(ms: number): { readonly name: string; readonly ms: number } {
  if (ms < 1_000) return { name: 'ms', ms: 1 };
  return ms < 120_000
    ? { name: 's', ms: 1_000 }
    : ms < 7_200_000 ? { name: 'min', ms: 60_000 } : { name: 'h', ms: 3_600_000 };
}

/** The name of a server, without what all of them begin with. */
export function serverName(id: string): string {
  return id.replace(/^http:\/\//, '');
}

/** A share of one as a percentage at an axis. */
export function roundPercent(share: number): string {
  return `${short(share * 100)}%`;
}

/** A round number without zeros at its end, as at an axis. */
export function short(value: number): string {
  if (value >= 1e15 || (value > 0 && value < 1e-4)) return value.toExponential(0);
  const rounded = Number(value.toPrecision(4));
  return rounded >= 10_000 ? grouped(rounded) : String(rounded);
}

function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Control characters, halves of characters, ends of lines, marks of direction, and what XML excludes. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu;
