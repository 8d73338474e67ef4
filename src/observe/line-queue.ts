/**
 * Lines on their way to `write`, one call at a time. After a pause they go at the end of the turn of the event loop;
 * under load they are gathered for some milliseconds, since a call costs more than its lines. What comes while a call
 * is pending is kept up to a bound; what comes beyond it is lost, and counted.
 */
import { faultText, isThenable } from '../guard.ts';
import { LineBuffer } from './line-buffer.ts';

export class LineQueue {
  /** For the next line: what is added to it is of that line until `add` is called. */
  readonly line = new LineBuffer();
  readonly #write: (lines: Buffer) => unknown;
  /** The line that says how many were lost. */
  readonly #lostLine: (count: number) => string;
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

  /** `write` may use the lines until the promise that it returns settles. */
  constructor(write: (lines: Buffer) => unknown, lostLine: (count: number) => string) {
    this.#write = write;
    this.#lostLine = lostLine;
  }

  /**
   * Adds the line that was written. Returns a promise if it is the first of a batch: it rejects if `write` fails
   * after a time without failures.
   */
  add(): Promise<void> | undefined {
    const { line } = this;
    if (this.#stalled && line.length >= MAX_KEPT) {
      line.drop();
      this.#lost++;
      return undefined;
    }
    line.end();
    this.#count++;
    const batch = this.#draining === undefined ? this.#draining = this.#gathered() : undefined;
    if (line.length >= MAX_GATHERED) this.#go?.();
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
        this.line.giveBack(lines);
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
  #taken(): { readonly lines: Buffer; readonly count: number } {
    const { line } = this;
    const count = this.#count + this.#lost;
    line.drop();
    if (this.#lost > 0) {
      line.ascii(this.#lostLine(this.#lost));
      line.end();
    }
    this.#count = this.#lost = 0;
    return { lines: line.take(), count };
  }

  async #hand(lines: Buffer): Promise<void> {
    let taken = this.#write(lines);
    if (taken !== false && !isThenable(taken)) return;
    this.#stalled = true;
    try {
      let waitMs = MIN_WAIT_MS;
      while (taken === false && await this.#wait(waitMs)) {
        waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
        taken = this.#write(NOTHING);
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

const NOTHING = Buffer.alloc(0);
/** Some 4,000 lines: enough for a short stall. In octets. */
const MAX_KEPT = 1_048_576;
/** How long lines are gathered, and how many octets of them. */
const GATHER_MS = 20;
const MAX_GATHERED = 262_144;
/** How long to wait before a writer that returned false is asked again, at first and in the end. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 1_000;
