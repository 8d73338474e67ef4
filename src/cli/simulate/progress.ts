/**
 * A progress bar, on a terminal alone.
 */

/** What is needed of standard error. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
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
