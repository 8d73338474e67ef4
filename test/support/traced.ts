/**
 * Counts what the tracing channels tell: whatever becomes of exchanges and attempts, each that begins has to end, once.
 */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { TestContext } from 'node:test';
import { atEnd } from './scope.ts';

/** With EQUIPOISE_TRACES=1, every test of a balancer is traced. */
export const TRACES_OF_ENVIRONMENT = process.env['EQUIPOISE_TRACES'] === '1';

/** Counts until the test ends, which fails if one has not ended. Call it first: what is made later ends before. */
export function countTraces(t: TestContext): void {
  for (const name of ['equipoise.exchange', 'equipoise.attempt']) {
    const open = new Set<unknown>();
    const begins = (message: unknown): void => {
      open.add(message);
    };
    const ends = (message: unknown): void => {
      assert.ok(open.delete(message), `what ended had begun, and had not ended: ${name}`);
    };
    subscribe(`tracing:${name}:start`, begins);
    subscribe(`tracing:${name}:asyncEnd`, ends);
    atEnd(t, () => {
      unsubscribe(`tracing:${name}:start`, begins);
      unsubscribe(`tracing:${name}:asyncEnd`, ends);
      assert.equal(open.size, 0, `${name}: what began has ended`);
    });
  }
}
