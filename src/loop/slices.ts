/**
 * Long work in slices: between two of them the event loop turns, and requests are served.
 */

/** Work that is to be done in slices: it yields after each of them, and returns what comes of it. */
export type Work<T> = Generator<void, T>;

/** Items of a list that one slice takes: some 0.5 ms, where V8 has not compiled anything yet. */
export const SLICE = 500;

/** Does work a slice at a time: the first at once, so that short work is done at once, the others a turn apart. */
export class Slices<T> {
  /** What comes of it. */
  readonly done: Promise<T>;
  readonly #work: Work<T>;
  #resolve: (value: T) => void = () => undefined;
  #reject: (cause: unknown) => void = () => undefined;
  #running = false;
  #over = false;

  constructor(work: Work<T>) {
    this.#work = work;
    this.done = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#go();
  }

  /** Does the rest at once, if there is any. */
  finish(): void {
    // What the work calls may come back here.
    while (!this.#over && !this.#running) this.#slice();
  }

  #go(): void {
    this.#slice();
    if (this.#over) return;
    setImmediate(() => {
      if (!this.#over) this.#go();
    });
  }

  #slice(): void {
    this.#running = true;
    try {
      const { done, value } = this.#work.next();
      if (done === true) {
        this.#over = true;
        this.#resolve(value);
      }
    } catch (cause) {
      this.#over = true;
      this.#reject(cause);
    } finally {
      this.#running = false;
    }
  }
}

/** Does all of some work at once. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
