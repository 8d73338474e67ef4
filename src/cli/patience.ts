/**
 * A time limit for loading the user's files. A promise that never settles must not block the process forever, nor let
 * it exit without a message.
 */

/** The promise took too long, or can never settle. */
export class Unsettled extends Error {}

/** Settles as `promise` does. Rejects if that takes too long, or if nothing is left that could settle it. */
export async function inTime<T>(promise: PromiseLike<T>, limitMs = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onIdle = (): void => undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Unsettled(`it did not resolve within ${limitMs / 1000} s`));
    }, limitMs);
    // It must not keep the event loop alive: if nothing else does, beforeExit reports that at once.
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

/** Enough to fetch a configuration over the network; less than a worker has to become ready. */
const LIMIT_MS = 30_000;
