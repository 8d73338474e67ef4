/**
 * Lines on their way to `write`: all of one turn of the event loop together, one call at a time. What comes while a
 * call is pending is kept up to a bound; what comes beyond it is lost, and counted.
 */
import { faultText, isThenable } from '../guard.ts';

export class LineQueue {
  readonly #write: (lines: string) => unknown;
  /** The line that says how many were lost. */
  readonly #lostLine: (count: number) => string;
  #lines = '';
  #count = 0;
  #lost = 0;
  /** Set from the first line of a turn until `write` has taken it. */
  #draining: Promise<void> | undefined;
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
    if (this.#draining !== undefined) return undefined;
    return this.#draining = this.#soon();
  }

  /** Resolves when `write` has taken all lines, or failed to. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    try {
      await this.#draining;
      // How many lines an earlier failure has lost.
      await this.#drain();
    } catch {
      // It is reported where the batch was added.
    }
  }

  async #soon(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    try {
      await this.#drain();
    } finally {
      this.#draining = undefined;
    }
  }

  /** Hands over the lines, and those that come meanwhile. */
  async #drain(): Promise<void> {
    while (this.#count + this.#lost > 0) {
      const count = this.#count + this.#lost;
      const lines = this.#lost === 0 ? this.#lines : `${this.#lines}${this.#lostLine(this.#lost)}\n`;
      this.#lines = '';
      this.#count = this.#lost = 0;
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
/** How long to wait before a writer that returned false is asked again, at first and in the end. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 1_000;
