import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get } from '../support/client.ts';
import { see, watched } from '../support/fault-row.ts';
import { faulty, FAULTS, PLAIN, well } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { play, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';
import { expected } from './table.ts';

/** The faults that count against the upstream. */
const BLAMED = FAULTS.filter((fault) => !fault.used && expected(fault.name, 'GET').includes('A ejected'));
const PATIENCE_MS = 50_000;

for (const front of FRONTS) {
  describe(`through ${front.name}, the third time in a row that an upstream`, () => {
    for (const fault of BLAMED) {
      test(`${fault.name}, it is ejected`, async (t) => {
        const events: string[] = [];
        const waits = (): void => {
          void turns(20).then(() => under.advance(PATIENCE_MS));
        };
        const script = faulty(fault, { ...PLAIN, stalled: waits });
        const a = await startUpstream(t, (peer) => play(peer, script));
        const b = await startUpstream(t, well);
        const origin = fault.origin ?? a.origin;
        const connect = fault.connect === undefined ? {} : {
          connect: (to: { readonly origin: string }) => {
            if (to.origin !== origin) return undefined;
            waits();
            return fault.connect?.();
          },
        };
        const under = await watched(t, { upstreams: [origin, b], front, ejectAfter: 3, ...connect },
          new Map([[origin, 'A'], [b.origin, 'B']]), events);
        for (let time = 1; time <= 3; time++) {
          assert.ok(!events.includes('A ejected'), `ejected after ${time - 1}`);
          const client = await under.connect();
          client.send(get('/x'));
          await see(client);
          client.destroy();
          await under.settled(under.picks.length);
        }
        assert.equal(events.filter((event) => event === 'A ejected').length, 1, events.join(', '));
      });
    }
  });
}
