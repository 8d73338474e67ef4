/**
 * Writes lines to a stream whose reader may be gone.
 */
import type { Writable } from 'node:stream';

/**
 * Writes a line to standard output or error. Where its reader has gone away (journald restarts, a log pipe ends, a disk
 * is full) the line is lost, and nothing else: the stream tells of that by an 'error', which would end the process.
 * Errors of what others write to the stream are left to them.
 */
export function writeLine(stream: Writable, line: string): void {
  try {
    stream.write(`${line}\n`, (error) => {
      // The 'error' follows this call.
      if (error) stream.once('error', () => undefined);
    });
  } catch {
    // Node writes to files at once, and some of its versions throw from within.
  }
}
