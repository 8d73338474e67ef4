/**
 * The time until this process is ready. Whatever fails in it unexpectedly is one line of the log, and exit code 1: the
 * stack of our own code helps nobody who starts a binary. Later, a stack is what tells where a user's code failed.
 */
import { messageOf } from '../guard.ts';

/** Watches over the start. Returns what is to be called when it is over. */
export function watchStart(log: (line: string) => void): () => void {
  const fail = (error: unknown): never => {
    log(`it could not start: ${messageOf(error)}`);
    process.exit(1);
  };
  // Also of rejections that nobody handles.
  const onError = (error: unknown): void => {
    fail(error);
  };
  let idle = false;
  const onIdle = (): void => {
    if (idle) fail('something that it waits for never resolves');
    // Others hear of this, too, and may know what that is: they have a turn of the event loop to say so.
    idle = true;
    setImmediate(() => undefined);
  };
  process.on('uncaughtException', onError).on('beforeExit', onIdle);
  return () => {
    process.off('uncaughtException', onError).off('beforeExit', onIdle);
  };
}
