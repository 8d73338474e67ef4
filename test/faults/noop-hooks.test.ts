/**
 * Hooks that do nothing change nothing in what comes of a fault. Each fault meets one kind of request for each front
 * and kind of hook; `EQUIPOISE_HOOKS` runs the whole table, and all other tests, with them.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KINDS, row } from '../support/fault-row.ts';
import { FAULTS } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { ASYNC_HOOKS, SYNC_HOOKS } from '../support/noop-hooks.ts';
import { expected } from './table.ts';

/** What broke off while an async onResponse held the head back: there can still be an honest answer. */
const HELD: Readonly<Record<string, readonly string[]>> = {
  'sends garbage in chunks': [
    'A ejected', 'A failed 200 RESPONSE_MALFORMED', 'refused RESPONSE_MALFORMED', 'client: 502 http_protocol_error',
  ],
};

for (const [name, hooks] of [['sync', SYNC_HOOKS], ['async', ASYNC_HOOKS]] as const) {
  for (const [at, front] of FRONTS.entries()) {
    describe(`${name} hooks that do nothing, through ${front.name}, with an upstream that`, () => {
      for (const [i, fault] of FAULTS.entries()) {
        const kind = KINDS[(i + at) % KINDS.length] ?? 'GET';
        test(`${fault.name}: ${kind}`, async (t) => {
          const held = name === 'async' ? HELD[fault.name] : undefined;
          assert.deepEqual(await row(t, fault, kind, front, hooks), held ?? expected(fault.name, kind));
        });
      }
    });
  }
}
