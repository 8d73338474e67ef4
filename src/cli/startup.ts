/**
 * Until the process is ready, an unexpected failure becomes one line of the log and exit code 1: a stack of our code
 * would not help the person who starts a binary. Later, a stack shows where the user's code failed.
 */
import { messageOf } from '../guard.ts';
import type { Log } from './log-line.ts';

/** Starts watching. Returns a function to call when the process is ready. */
export function watchStart(log: Log): () => void {
  const fail = (error: unknown): never => {
    log(`could not start: ${messageOf(error)}`, { event: 'failed', level: 'error' });
    process.exit(1);
  };
  // Also called for unhandled rejections.
  const onError = (error: unknown): void => {
    fail(error);
  };
  let idle = false;
  const onIdle = (): void => {
    if (idle) fail('something that it waits for never resolves');
    // Other listeners may know what that is: give them a turn of the event loop to report it.
    idle = true;
    setImmediate(() => undefined);
  };
  process.on('uncaughtException', onError).on('beforeExit', onIdle);
  return () => {
    process.off('uncaughtException', onError).off('beforeExit', onIdle);
  };
}
