/**
 * Handles signals from the start of the process. Without listeners, SIGHUP and SIGUSR2 would end it, and SIGUSR1 would
 * open Node's debugger.
 */
import type { Log } from './log-line.ts';

/** Listens to the signals and passes them to the current handlers. */
export class Signals {
  readonly #log: Log;
  #onStop: ((signal: string) => void) | undefined;
  #onReload: (() => void) | undefined;
  #onReopen: (() => boolean) | undefined;
  #hungUp = false;

  constructor(log: Log) {
    this.#log = log;
    process.on('SIGHUP', () => {
      this.#hungUp = this.#onReload === undefined;
      this.#onReload?.();
    });
    // Log rotation and scripts for other servers send these. Node would open its debugger for SIGUSR1.
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      process.on(signal, () => {
        if (signal === 'SIGUSR1' && this.#onReopen?.() === true) return;
        log(`${signal}: ignored; SIGHUP reloads the configuration, SIGTERM stops`, { event: 'signal-ignored', signal });
      });
    }
  }

  /** Until `onStop` is called, SIGTERM and SIGINT end the process: nothing is served yet. */
  endUntilReady(end: () => never): void {
    this.onStop((signal) => {
      this.#log(`${signal}: stopped before it was ready`, { event: 'stopped', signal });
      end();
    });
  }

  /** Makes `listener` the only listener of SIGTERM and SIGINT. */
  onStop(listener: (signal: string) => void): void {
    const before = this.#onStop;
    // Add before removing: Node drops a pending signal when its last listener is removed.
    process.on('SIGTERM', listener).on('SIGINT', listener);
    this.#onStop = listener;
    if (before !== undefined) process.off('SIGTERM', before).off('SIGINT', before);
  }

  /** Whether a SIGHUP arrived before `onReload` was called. */
  get hungUp(): boolean {
    return this.#hungUp;
  }

  /** Sets the listener of SIGHUP, and calls it at once if one has already arrived. */
  onReload(listener: () => void): void {
    this.#onReload = listener;
    if (this.#hungUp) listener();
    this.#hungUp = false;
  }

  /** Sets the listener of SIGUSR1, which returns whether there was a log to reopen. */
  onReopen(listener: () => boolean): void {
    this.#onReopen = listener;
  }

  /** Stops listening to SIGTERM and SIGINT. Others must already listen. */
  leave(): void {
    if (this.#onStop !== undefined) process.off('SIGTERM', this.#onStop).off('SIGINT', this.#onStop);
    this.#onStop = undefined;
  }
}
