/**
 * The signals of this process, from its first moment on: until somebody listens, SIGHUP, SIGUSR1 and SIGUSR2 would end
 * it, or open Node's debugger.
 */

/** Hears the signals that mean something, and hands them on to whoever takes them. */
export class Signals {
  readonly #log: (line: string) => void;
  #onStop: ((signal: string) => void) | undefined;
  #onReload: (() => void) | undefined;
  #hungUp = false;

  constructor(log: (line: string) => void) {
    this.#log = log;
    process.on('SIGHUP', () => {
      this.#hungUp = this.#onReload === undefined;
      this.#onReload?.();
    });
    // Log rotation and other servers' habits send these. Node would open its debugger for the first.
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      process.on(signal, () => {
        log(`${signal}: ignored; SIGHUP reads the configuration again, SIGTERM stops`);
      });
    }
  }

  /** Until `onStop` is called, SIGTERM and SIGINT end the process: nothing is served yet. */
  endUntilReady(end: () => never): void {
    this.onStop((signal) => {
      this.#log(`${signal}: ended before it was ready`);
      end();
    });
  }

  /** Has SIGTERM and SIGINT heard by `listener` alone. */
  onStop(listener: (signal: string) => void): void {
    const before = this.#onStop;
    // Node drops a signal that has come but was not told yet when its last listener goes: so the next one comes first.
    process.on('SIGTERM', listener).on('SIGINT', listener);
    this.#onStop = listener;
    if (before !== undefined) process.off('SIGTERM', before).off('SIGINT', before);
  }

  /** Whether a SIGHUP has come before anybody could reload. */
  get hungUp(): boolean {
    return this.#hungUp;
  }

  /** Has SIGHUP heard by `listener`, which hears at once of one that came earlier. */
  onReload(listener: () => void): void {
    this.#onReload = listener;
    if (this.#hungUp) listener();
    this.#hungUp = false;
  }

  /** Leaves SIGTERM and SIGINT to others, which listen already. */
  leave(): void {
    if (this.#onStop !== undefined) process.off('SIGTERM', this.#onStop).off('SIGINT', this.#onStop);
    this.#onStop = undefined;
  }
}
