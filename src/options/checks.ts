/**
 * Checks of single values. A wrong value adds a line to `problems`, with its path and what to write instead, and a
 * default or placeholder is returned, so that one pass finds every problem.
 */
import type { TimeSource } from '../loop/time-source.ts';
import { guardedValue, faultText } from '../guard.ts';
import { isMoment } from '../loop/guarded-time.ts';
import { didYouMean } from './nearest.ts';

/** A numeric option: its default, its minimum, and its maximum if that is not {@link MAX_INTEGER}. */
export interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max?: number;
}

/** The maximum delay of a Node timer; used for counts as well. */
export const MAX_INTEGER = 2 ** 31 - 1;
/** A longer list of names would not help in a message. */
const MAX_LISTED = 240;
/** `sun_path` has 108 octets on Linux, 104 on macOS and the BSDs, including the NUL at the end. */
export const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103;

/** Reads all numbers of a table. Those that are not given get their defaults. */
export function integers<N extends string>(
  given: Readonly<Record<string, unknown>>, prefix: string, table: Readonly<Record<N, Range>>, problems: string[],
): Record<N, number> {
  const pairs = Object.entries<Range>(table).map(([name, range]) => {
    return [name, integer(given[name], prefix + name, range, problems)];
  });
  return Object.fromEntries(pairs) as Record<N, number>;
}

/**
 * Refuses names that are not `known`. `listed` is the list of known names that a message shows; by default all of them,
 * unless that is too long.
 */
export function onlyKnown(
  given: object, prefix: string, known: ReadonlySet<string>, problems: string[], listed = listOf(known),
): void {
  for (const name of Object.keys(given)) {
    if (known.has(name)) continue;
    const meant = didYouMean(name, known);
    const all = listed === undefined ? ' see src/options/README.md' : ` known here: ${listed}`;
    // Several suggestions are enough to choose from.
    const several = meant.includes(' or ') || listed === undefined;
    const instead = meant === '' ? all : several ? meant : `${meant} (${all.trim()})`;
    problems.push(`${prefix}${name}: unknown option;${instead}`);
  }
}

function listOf(names: ReadonlySet<string>): string | undefined {
  const text = [...names].sort().join(', ');
  return text.length > MAX_LISTED ? undefined : text;
}

/** `instead` ends the message about a wrong value; by default it names the default. */
export function integer(
  value: unknown, path: string, limits: Range, problems: string[], instead = defaultOf(limits),
): number {
  const { fallback, min, max = MAX_INTEGER } = limits;
  if (value === undefined || value === fallback) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  // The limit of timers is worth mentioning only to somebody who exceeds it.
  const ownLimit = max !== MAX_INTEGER && max !== Number.MAX_SAFE_INTEGER;
  const limited = ownLimit || (Number.isInteger(value) && (value as number) > max);
  const range = limited ? `from ${min} to ${max}` : `≥ ${min}`;
  const off = fallback < min ? `${fallback} or ` : '';
  problems.push(`${path}: must be ${off}an integer ${range} (got ${shown(value)}); ${instead}`);
  return fallback;
}

function defaultOf({ fallback }: Range): string {
  return fallback === Infinity ? 'leave it out for no limit' : `the default is ${fallback}`;
}

export function flag(value: unknown, path: string, problems: string[]): boolean {
  if (value !== undefined && typeof value !== 'boolean') {
    problems.push(`${path}: must be true or false (got ${shown(value)})`);
  }
  return value === true;
}

export function optionalFunction(value: unknown, path: string, problems: string[]): unknown {
  if (value === undefined || typeof value === 'function') return value;
  problems.push(`${path}: must be a function (got ${shown(value)})`);
  return undefined;
}

export function record(value: unknown, path: string, problems: string[]): Record<string, unknown> {
  if (isRecord(value)) return value;
  problems.push(`${path}: must be an object (got ${shown(value)})`);
  return {};
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether both hold the same values under the same names. */
export function alike(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/**
 * Checks that this can be the path of a Unix socket. The system would silently truncate a longer one and create the
 * socket elsewhere. Abstract names, with a leading NUL, exist on Linux alone.
 */
export function socketPath(path: string, at: string, problems: string[]): void {
  // Named pipes of Windows have no such limit.
  if (process.platform === 'win32') return;
  const octets = Buffer.byteLength(path);
  if (path.includes('\0', process.platform === 'linux' && path.length > 1 ? 1 : 0)) {
    problems.push(`${at}: the path of a Unix socket must not contain a NUL (got ${shown(path)})`);
  } else if (octets > MAX_SOCKET_PATH) {
    problems.push(
      `${at}: the path of a Unix socket must have at most ${MAX_SOCKET_PATH} octets (got ${octets}: ${shown(path)})`);
  }
}

/** The source of time; undefined if none is given. */
export function timeSource(value: unknown, problems: string[]): TimeSource | undefined {
  if (value === undefined) return undefined;
  if (isTimeSource(value)) {
    moment(() => value.now(), 'time.now', problems);
    moment(() => value.epoch(), 'time.epoch', problems);
    const { pauseMs } = value;
    if (pauseMs !== undefined && !(typeof pauseMs === 'number' && pauseMs >= 0)) {
      problems.push(`time.pauseMs: must be a number of milliseconds ≥ 0 (got ${shown(pauseMs)})`);
    }
    return value;
  }
  problems.push(`time: must be an object with the methods now, epoch and every (got ${shown(value)})`);
  return undefined;
}

/** Calls a function that must return a time, to check that it does. */
function moment(read: () => unknown, path: string, problems: string[]): void {
  const before = problems.length;
  const value = guardedValue(read, (what, cause) => {
    problems.push(`${path}: ${faultText(what, cause)}`);
  });
  if (problems.length > before || isMoment(value)) return;
  problems.push(`${path}: must return a finite number of milliseconds (got ${shown(value)})`);
}

function isTimeSource(value: unknown): value is TimeSource {
  return isRecord(value) && [value['now'], value['epoch'], value['every']].every((each) => typeof each === 'function');
}

/** A value as messages show it: short, whatever it is. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value);
  const text = typeof value === 'symbol' ? String(value) : json(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** As JSON if possible: a value may be circular, or have a `toJSON` that throws. */
function json(value: unknown): string {
  try {
    const text: unknown = JSON.stringify(value);
    return typeof text === 'string' ? text : 'an object';
  } catch {
    return 'an object';
  }
}
