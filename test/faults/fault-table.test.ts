import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KINDS, row } from '../support/fault-row.ts';
import { FAULTS } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { expected, TABLE } from './table.ts';

test('the table has a row for each fault, and no other', () => {
  assert.deepEqual(Object.keys(TABLE), FAULTS.map(({ name }) => name));
});

for (const front of FRONTS) {
  for (const fault of FAULTS) {
    describe(`an upstream that ${fault.name}, through ${front.name}`, () => {
      for (const kind of KINDS) {
        test(kind, async (t) => {
          assert.deepEqual(await row(t, fault, kind, front), expected(fault.name, kind));
        });
      }
    });
  }
}
