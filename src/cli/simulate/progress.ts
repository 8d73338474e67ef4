/**
 * A progress bar, on a terminal alone.
 */

/** What is needed of standard error. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** What the thread tells the process, each by its place in the array that they share. */
export const Progress = {
  /** Requests so far, and of all runs together. */
  done: 0,
  all: 1,
  /** Which of the strategies runs, from 0. */
  strategy: 2,
  /** Grows while the thread is not blocked. */
  beats: 3,
} as const;

/**
 * Finds a thread that is stuck: nothing changed in `most` looks. Looks are counted, not time, so that a machine that
 * slept is not mistaken for that.
 */
export class StallWatch {
  readonly #most: number;
  #last = -1;
  #same = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether it is stuck. Requests and beats are what changes. */
  stuck(progress: Float64Array): boolean {
    const sum = (progress[Progress.done] ?? 0) + (progress[Progress.beats] ?? 0);
    this.#same = sum === this.#last ? this.#same + 1 : 0;
    this.#last = sum;
    return this.#same >= this.#most;
  }
}

/** Draws the bar again and again. Returns a function that removes it. `read`: the part that is done, from 0 to 1. */
export function showProgress(terminal: Terminal, read: () => number): () => void {
  if (terminal.isTTY !== true) return () => undefined;
  const timer = setInterval(() => {
    terminal.write(`\r${bar(read(), terminal.columns ?? 80)}`);
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    terminal.write('\r\x1b[K');
  };
}

/** `simulating [#####.....]  50%`, in at most so many columns. */
export function bar(part: number, columns: number): string {
  const width = Math.max(0, Math.min(40, columns - 'simulating [] 100%'.length - 1));
  const full = Math.round(Math.min(1, Math.max(0, part)) * width);
  const text = String(Math.floor(Math.min(1, Math.max(0, part)) * 100)).padStart(3);
  return `simulating [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${text}%`;
}

const EVERY_MS = 100;
