/**
 * The one guard for foreign code: strategies, listeners, and functions given as options. Such code may throw, return a
 * promise that rejects later, or return a promise where a value is due. All of that is reported; none of it ends the
 * process or interrupts the caller.
 */

/** Receives what foreign code did (`threw`, `rejected`, `returned a promise`), and its error, if any. */
export type OnFault = (what: string, cause: unknown) => void;

/** Calls foreign code for its effect. A promise is not awaited, but its rejection is a fault. */
export function guarded(call: () => unknown, onFault: OnFault): void {
  try {
    watched(call(), onFault);
  } catch (cause) {
    onFault('threw', cause);
  }
}

/** As `guarded`, for a function of one argument: what is called for every request makes no closure for it. */
export function guardedCall<A>(call: (argument: A) => unknown, argument: A, onFault: OnFault): void {
  try {
    const result = call(argument);
    if (result !== undefined) watched(result, onFault);
  } catch (cause) {
    onFault('threw', cause);
  }
}

/** Calls foreign code for a value that is due at once. Returns undefined after a fault; a promise is a fault. */
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

/** Watches what foreign code returned where nothing is awaited: if it is a promise, its rejection is a fault. */
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
    // A getter or a Proxy that throws: not something that rejects later.
    return false;
  }
}

function hasThen(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { readonly then?: unknown }).then === 'function';
}

/** Drops a promise that was reported as a fault already: if unhandled, its rejection would end the process. */
export function disowned(promise: PromiseLike<unknown>): void {
  watched(promise, () => undefined);
}

/** The name of a strategy, for messages. Its property may be a getter that throws, or may not be a string. */
export function nameOf(strategy: { readonly name: unknown }): string {
  const name = guardedValue(() => strategy.name, () => undefined);
  return typeof name === 'string' ? name : 'without a name';
}

/**
 * The text of what was thrown, which may be anything. An AggregateError, such as that of a connection to a name with
 * several addresses, often has no message of its own; then the messages of its errors are used.
 */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof AggregateError) return aggregateMessage(thrown);
    if (thrown instanceof Error) return thrown.message === '' ? codeOrClass(thrown) : thrown.message;
    return String(thrown);
  } catch {
    return 'a value that cannot be converted to a string';
  }
}

/** A fault as one text: what foreign code did, and what it threw, if anything. */
export function faultText(what: string, cause: unknown): string {
  return cause === undefined ? what : `${what}: ${messageOf(cause)}`;
}

function aggregateMessage(error: AggregateError): string {
  const messages = [...new Set(error.errors.filter((each) => each !== error).map(messageOf))].join('; ');
  if (messages === '') return error.message === '' ? codeOrClass(error) : error.message;
  return error.message === '' ? messages : `${error.message}: ${messages}`;
}

/** What identifies an error that has no message. */
function codeOrClass(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && code !== '' ? code : error.name;
}
