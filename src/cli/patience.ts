/**
 * A limit for what a user's file may take to load: what never resolves must not end the process without a word, nor
 * hold it for ever.
 */

/** The error of what took too long, or will never come. */
export class Unsettled extends Error {}

/** Resolves or rejects as `promise` does; rejects if it takes too long, or if nothing is left that could settle it. */
export async function inTime<T>(promise: PromiseLike<T>, limitMs = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onIdle = (): void => undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Unsettled(`it has not resolved within ${limitMs / 1000} s`));
    }, limitMs);
    // It must not keep the event loop going: that there is nothing else is worth knowing at once.
    timer.unref();
    onIdle = () => {
      reject(new Unsettled('it never resolves: nothing is left to wait for'));
    };
    process.once('beforeExit', onIdle);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
    process.off('beforeExit', onIdle);
  }
}

/** Time to fetch a configuration from elsewhere; less than a worker has to become ready. */
const LIMIT_MS = 30_000;
