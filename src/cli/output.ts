/**
 * What the binary writes: its one line on standard output, its log on standard error.
 */

/**
 * Has this process outlive the readers of its output. When one goes away (a log pipe ends, a terminal is closed, a disk
 * is full), the stream tells of it by an 'error', which would end the process unless somebody listens. There is nobody
 * left to tell; what is written is lost until it can be written again.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/** Writes a line, or several, to standard output. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes a line to the log, or several, each with our name. */
export function log(text: string): void {
  process.stderr.write(`${text.replace(/^/gm, 'equipoise: ')}\n`);
}
