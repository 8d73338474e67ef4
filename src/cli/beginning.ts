/**
 * What is set up before anything else is loaded.
 */
import type { Output } from './output.ts';
import type { Signals } from './signals.ts';

export interface Beginning {
  readonly output: Output;
  readonly signals: Signals;
  /** Call this when the process is ready. */
  readonly started: () => void;
}
