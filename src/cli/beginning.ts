/**
 * What main.ts sets up before it loads anything else.
 */
import type { Output } from './output.ts';
import type { Signals } from './signals.ts';

export interface Beginning {
  readonly output: Output;
  readonly signals: Signals;
  /** Call this once the process is ready. */
  readonly started: () => void;
}
