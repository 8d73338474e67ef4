/**
 * Warnings and uncaught errors.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { atEnd } from './scope.ts';

/** Fails the test if the process emits a warning, or has an uncaught exception or rejection, before the test ends. */
export function quiet(t: TestContext): void {
  const said: string[] = [];
  const listeners = (['warning', 'unhandledRejection', 'uncaughtException'] as const).map((event) => {
    const listener = (cause: unknown): void => {
      said.push(`${event}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
    };
    process.on(event, listener);
    return [event, listener] as const;
  });
  atEnd(t, () => {
    for (const [event, listener] of listeners) process.off(event, listener);
    assert.deepEqual(said, []);
  });
}
