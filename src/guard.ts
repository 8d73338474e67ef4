/**
 * The one guard for foreign code: strategies, listeners, and functions given as options. Such code may throw, return a
 * promise that rejects later, or return a promise where a value is due. None of that ends the process or breaks off
 * what called it, and all of it is reported.
 */

/** Hears what foreign code did (`threw`, `rejected`, `returned a promise`), and its error if there is one. */
export type OnFault = (what: string, cause: unknown) => void;

/** Calls foreign code for its effect. A promise is not awaited, but its rejection is a fault. */
export function guarded(call: () => unknown, onFault: OnFault): void {
  try {
    watched(call(), onFault);
  } catch (cause) {
    onFault('threw', cause);
  }
}

/** Calls foreign code for a value that is due at once. Returns undefined after a fault; a promise is one. */
export function guardedValue<T>(call: () => T, onFault: OnFault): T | undefined {
  try {
    const value = call();
    if (!hasThen(value)) return value;
    disowned(value);
    onFault('returned a promise', undefined);
  } catch (cause) {
    onFault('threw', cause);
  }
  return undefined;
}

/** What foreign code returned where nothing is awaited: the rejection of a promise is a fault. */
export function watched(result: unknown, onFault: OnFault): void {
  try {
    if (!hasThen(result)) return;
    result.then(undefined, (cause: unknown) => {
      onFault('rejected', cause);
    });
  } catch (cause) {
    onFault('threw', cause);
  }
}

/** Whether this is a promise, of this realm or another, or behaves like one. Never throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  try {
    return hasThen(value);
  } catch {
    // A getter, or a Proxy: nothing that would reject later.
    return false;
  }
}

function hasThen(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { readonly then?: unknown }).then === 'function';
}

/** Drops a promise whose very existence was reported: unhandled, its rejection would end the process. */
export function disowned(promise: PromiseLike<unknown>): void {
  watched(promise, () => undefined);
}

/**
 * What was thrown, as one text: it may be anything, not just an Error. An AggregateError, such as that of a connection
 * to a name with several addresses, often has no message of its own: then those of its errors count.
 */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof AggregateError) return aggregateMessage(thrown);
    if (thrown instanceof Error) return thrown.message === '' ? nameOf(thrown) : thrown.message;
    return String(thrown);
  } catch {
    return 'a value without a text';
  }
}

/** A fault as one text: what foreign code did, and what it threw, if anything. */
export function faultText(what: string, cause: unknown): string {
  return cause === undefined ? what : `${what}: ${messageOf(cause)}`;
}

function aggregateMessage(error: AggregateError): string {
  const messages = [...new Set(error.errors.filter((each) => each !== error).map(messageOf))].join('; ');
  if (messages === '') return error.message === '' ? nameOf(error) : error.message;
  return error.message === '' ? messages : `${error.message}: ${messages}`;
}

/** An error without a message still says what it is. */
function nameOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && code !== '' ? code : error.name;
}
