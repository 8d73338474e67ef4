/**
 * Long work done in slices: requests are served in the turns of the event loop between them.
 */

/** Work done in slices: it yields after each of them, and returns its result. */
export type Work<T> = Generator<void, T>;

/** How many items of a list one slice processes: some 0.5 ms, before V8 has compiled the code. */
export const SLICE = 500;

/** Does work a slice at a time: the first at once, so that short work does not wait; the others in later turns. */
export class Slices<T> {
  /** Resolves with the result. */
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
    // The work itself may call this.
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
