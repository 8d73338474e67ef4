/**
 * Sockets that this process was given by their file descriptors (`listen({ fd })`), and that workers listen on.
 *
 * node:cluster opens such a descriptor here, sends it to workers, and closes it when the last of them is gone or has
 * stopped listening. Nothing brings it back: Node cannot duplicate a descriptor, and a worker listens on those of this
 * process, not on its own. Another file may have the number by then.
 */
import { fstatSync } from 'node:fs';

interface Inherited {
  /** What identifies it; undefined if it was closed before it was seen. */
  readonly identity: string | undefined;
  /** The generations of the workers that have listened on it: those of a later one may not need it. */
  readonly generations: Set<number>;
}

export class InheritedSockets {
  readonly #known = new Map<number, Inherited>();

  /** A worker of this generation listens on it. */
  listening(fd: number, generation: number): void {
    const known = this.#known.get(fd) ?? { identity: identityOf(fd), generations: new Set() };
    this.#known.set(fd, known);
    known.generations.add(generation);
  }

  /** Those that workers of this generation have listened on, and that are closed by now. */
  lost(generation: number): readonly number[] {
    return [...this.#known].filter(([fd, { identity, generations }]) => (
      generations.has(generation) && (identity === undefined || identityOf(fd) !== identity))).map(([fd]) => fd);
  }
}

function identityOf(fd: number): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
