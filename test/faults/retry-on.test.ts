import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KINDS, row } from '../support/fault-row.ts';
import { FAULTS } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { expected } from './table.ts';

/** The most retries that an operator can configure. */
const BOLD = { retryOn: [502, 503, 504], maxReplayBytes: 65_536 } as const;

for (const front of FRONTS) {
  for (const fault of FAULTS) {
    describe(`where 502 and 504 are retried, an upstream that ${fault.name}, through ${front.name}`, () => {
      for (const kind of KINDS) {
        const without = expected(fault.name, kind);
        const refused = without.findIndex((event) => event.startsWith('refused'));
        const again = kind !== 'POST' && refused >= 0;
        test(`${kind}: ${again ? 'another serves it' : 'nothing changes'}`, async (t) => {
          const events = await row(t, fault, kind, front, BOLD);
          if (!again) assert.deepEqual(events, without);
          else {
            const status = kind === 'upgrade' ? '101' : '200';
            assert.deepEqual(events, [
              ...without.slice(0, refused), 'A retried after 1', `B ok ${status}`, 'B got GET /x',
              kind === 'upgrade' ? 'client: 101 whole, end' : 'client: 200 whole',
            ]);
          }
        });
      }
    });
  }
}
