/**
 * Closes what a test opened, in reverse order, when it ends, and checks that nothing is left open.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { turns } from './wait.ts';

const scopes = new WeakMap<TestContext, (() => unknown)[]>();

/** Calls `end` when the test ends, before those that were added earlier. */
export function atEnd(t: TestContext, end: () => unknown): void {
  let ends = scopes.get(t);
  if (ends === undefined) {
    const opened: (() => unknown)[] = [];
    scopes.set(t, opened);
    t.after(async () => {
      const failures: unknown[] = [];
      for (const close of opened.reverse()) {
        try {
          await close();
        } catch (cause) {
          failures.push(cause);
        }
      }
      if (failures.length === 1) throw failures[0];
      if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('\n'));
      await nothingLeft();
    });
    ends = opened;
  }
  ends.push(end);
}

/** What the process has open before any test. Accessing the output streams opens them. */
const BEFORE = [process.stdout, process.stderr].length > 0 ? sockets() : [];

/** The sockets and servers that this process has open, by their kind. */
function sockets(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|Pipe(?!Req)|Server|TLS/.test(kind)).sort();
}

async function nothingLeft(): Promise<void> {
  // Handles close a few turns of the event loop after `close` was called.
  for (let i = 0; i < 200 && sockets().length > BEFORE.length; i++) await turns(1);
  assert.deepEqual(sockets(), BEFORE, 'sockets or servers were left open');
}
