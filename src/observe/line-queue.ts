/**
 * Lines on their way to `write`, one call at a time. After a pause they go at the end of the turn of the event loop;
 * under load they are gathered for some milliseconds, since a call costs more than its lines. What comes while a call
 * is pending is kept up to a bound; what comes beyond it is lost, and counted.
 */
import { faultText, isThenable } from '../guard.ts';

export class LineQueue {
  readonly #write: (lines: string) => unknown;
  /** The line that says how many were lost. */
  readonly #lostLine: (count: number) => string;
  #lines = '';
  #count = 0;
  #lost = 0;
  /** Set from the first line of a batch until `write` has taken it. */
  #draining: Promise<void> | undefined;
  /** Has the current batch handed over, if it still gathers. */
  #go: (() => void) | undefined;
  /** Runs for some time after each call of `write`, while lines are gathered. */
  #pause: NodeJS.Timeout | undefined;
  /** Whether the last call of `write` failed: one report is enough. */
  #failing = false;
  /** Whether `write` has not taken the last lines yet. */
  #stalled = false;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(write: (lines: string) => unknown, lostLine: (count: number) => string) {
    this.#write = write;
    this.#lostLine = lostLine;
  }

  /**
   * Adds a line, with its end. Returns a promise if this line is the first of a batch: it rejects if `write` fails
   * after a time without failures.
   */
  add(line: string): Promise<void> | undefined {
    if (this.#stalled && this.#lines.length + line.length > MAX_KEPT) {
      this.#lost++;
      return undefined;
    }
    this.#lines += line;
    this.#count++;
    const batch = this.#draining === undefined ? this.#draining = this.#gathered() : undefined;
    if (this.#lines.length >= MAX_GATHERED) this.#go?.();
    return batch;
  }

  /** Hands over what is kept, even while a call of `write` is pending: for the end of a process. */
  flush(): void {
    const { lines, count } = this.#taken();
    if (count === 0) return;
    const lose = (): void => {
      this.#lost += count;
    };
    try {
      const taken = this.#write(lines);
      if (isThenable(taken)) Promise.resolve(taken).catch(lose);
    } catch {
      lose();
    }
  }

  /** Resolves when `write` has taken all lines, or failed to. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    this.#go?.();
    try {
      await this.#draining;
      // How many lines an earlier failure has lost.
      await this.#drain();
    } catch {
      // It is reported where the batch was added.
    }
  }

  async #gathered(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#go = resolve;
      if (this.#pause === undefined) setImmediate(resolve);
      // These lines are not to be lost with a process that has nothing else to do.
      else this.#pause.ref();
    });
    this.#go = undefined;
    try {
      await this.#drain();
    } finally {
      this.#draining = undefined;
      this.#rest();
    }
  }

  /** Lets lines gather from now on. */
  #rest(): void {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#go?.();
    }, GATHER_MS).unref();
  }

  /** Hands over the lines, and those that come meanwhile. */
  async #drain(): Promise<void> {
    while (this.#count + this.#lost > 0) {
      const { lines, count } = this.#taken();
      try {
        await this.#hand(lines);
        this.#failing = false;
      } catch (cause) {
        this.#lost += count;
        if (this.#failing) return;
        this.#failing = true;
        throw new Error(`access log: ${faultText('write failed', cause)}`, { cause });
      }
    }
  }

  /** What is kept, with the line about what is lost, and how many lines that stands for. */
  #taken(): { readonly lines: string; readonly count: number } {
    const count = this.#count + this.#lost;
    const lines = this.#lost === 0 ? this.#lines : `${this.#lines}${this.#lostLine(this.#lost)}\n`;
    this.#lines = '';
    this.#count = this.#lost = 0;
    return { lines, count };
  }

  async #hand(lines: string): Promise<void> {
    let taken = this.#write(lines);
    if (taken !== false && !isThenable(taken)) return;
    this.#stalled = true;
    try {
      let waitMs = MIN_WAIT_MS;
      while (taken === false && await this.#wait(waitMs)) {
        waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
        taken = this.#write('');
      }
      if (isThenable(taken)) await taken;
    } finally {
      this.#stalled = false;
    }
  }

  /** Waits before the writer is asked again. Returns false if it is not: the log closes. */
  async #wait(ms: number): Promise<boolean> {
    if (this.#closed) return false;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, ms).unref();
    });
    return !this.#isClosed();
  }

  #isClosed(): boolean {
    return this.#closed;
  }
}

/** Some 4,000 lines: enough for a short stall. In octets, since lines are ASCII. */
const MAX_KEPT = 1_048_576;
/** How long lines are gathered, and how many octets of them. */
const GATHER_MS = 20;
const MAX_GATHERED = 262_144;
/** How long to wait before a writer that returned false is asked again, at first and in the end. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 1_000;
