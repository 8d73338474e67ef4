/**
 * What a report is made of.
 */
import type { SimulationResult } from '../result.ts';
import { linear, type Scale } from './scale.ts';
import { clockUnit, duration, short } from './text.ts';

/** One run, under the name that it has in the report. */
export interface ReportedRun {
  readonly name: string;
  readonly result: SimulationResult;
}

/** Runs that are shown in the same plots. */
export interface ReportedGroup {
  /** What they have in common, if there are several groups. */
  readonly title?: string;
  readonly runs: readonly ReportedRun[];
  /** What the comparison came to, in sentences. */
  readonly findings?: readonly string[];
  /** Text columns under a head, a row for each run. */
  readonly table?: { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };
}

/** In what times are shown. */
export interface TimeUnit {
  readonly name: 'ms' | 'service times';
  /** How many milliseconds it has. */
  readonly ms: number;
}

/** A run as plots have it: with a letter and a line of its own, which tell it without colours. */
export interface Drawn extends ReportedRun {
  readonly letter: string;
  /** The class of its lines. */
  readonly style: string;
}

export function drawn(runs: readonly ReportedRun[]): readonly Drawn[] {
  return runs.map((run, at) => ({ ...run, letter: letterOf(at), style: `s${at % STYLES}` }));
}

/** A to Z, AA, ... */
export function letterOf(at: number): string {
  return at < 26 ? String.fromCharCode(65 + at) : `${letterOf(Math.floor(at / 26) - 1)}${letterOf(at % 26)}`;
}

/** Writes a time for an axis. */
export function timeText(ms: number, unit: TimeUnit): string {
  return unit.name === 'ms' ? duration(ms) : short(ms / unit.ms);
}

/** An axis of the time that passes, from 0. */
export function timeAxis(
  endMs: number, unit: TimeUnit, from: number, to: number, wanted: number,
): { readonly x: Scale; readonly xText: (ms: number) => string } {
  const whole = unit.name === 'ms' ? clockUnit(endMs) : { ms: unit.ms, name: '' };
  const { ticks, place } = linear(0, endMs / whole.ms, from, to, wanted);
  return {
    x: { ticks: ticks.map((tick) => tick * whole.ms), place: (ms) => place(ms / whole.ms) },
    xText: (ms) => (unit.name === 'ms' ? duration(ms, whole) : short(ms / whole.ms)),
  };
}

/** The name of an axis of times. */
export function timeName(what: string, unit: TimeUnit): string {
  return unit.name === 'ms' ? what : `${what}, in mean service times`;
}

/** How many styles of lines there are. */
export const STYLES = 8;
