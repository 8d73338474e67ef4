/**
 * Waiting for events. The limit does not measure anything: it turns an endless wait into a failure that says what the
 * test was waiting for.
 */

const LIMIT_MS = 60_000;

/** Resolves as `promise` does. Fails if that takes too long. */
export async function within<T>(promise: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited in vain for ${what()}`));
    }, LIMIT_MS);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Wakes all waits when something has changed, so that they check again. */
export class Signal {
  #wake: (() => void)[] = [];

  raise(): void {
    const woken = this.#wake;
    this.#wake = [];
    for (const wake of woken) wake();
  }

  /** Resolves when `seen` returns true; it is called now and after each `raise`. */
  until(seen: () => boolean, what: () => string): Promise<void> {
    const looking = async (): Promise<void> => {
      while (!seen()) {
        await new Promise<void>((resolve) => {
          this.#wake.push(resolve);
        });
      }
    };
    return within(looking(), what);
  }
}

/** A promise that the test settles. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Lets everything that is ready happen: `count` turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Resolves once `read` has returned the same for a hundred turns of the event loop. */
export async function atRest(read: () => number): Promise<void> {
  let before = -1;
  for (let same = 0; same < 20;) {
    await turns(5);
    const now = read();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}
