/**
 * `serverTiming`: the header Server-Timing on the responses of upstreams.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refusingOrigin, request, response, startUpstream } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

for (const way of WAYS) {
  describe(`Server-Timing through ${way.name}`, () => {
    test("tells the wait, the upstream's time and the attempts, beside what the upstream tells", async (t) => {
      const gates = [gate(), gate()] as const;
      const upstream = await startUpstream(t, [[
        request, () => gates[0].opened, response('1', 'Server-Timing: db;dur=5\r\n'),
        request, () => gates[1].opened, response('2'),
      ]]);
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin(), { origin: upstream.origin, maxInFlight: 1 }], serverTiming: true, maxQueued: 1,
        ejectAfter: 0,
      });
      const first = await begin({ target: '/1' });
      await upstream.saw('1 GET /1');
      const second = await begin({ target: '/2' });
      await under.reported(2);
      await under.advance(30);
      gates[0].open();
      assert.equal((await first.answer).header('server-timing'),
        'db;dur=5, queue;dur=0, upstream;dur=30, attempts;desc="2"');
      await upstream.saw('1 GET /2');
      await under.advance(12.34);
      gates[1].open();
      assert.equal((await second.answer).header('server-timing'), 'queue;dur=30, upstream;dur=12.3, attempts;desc="2"');
    });

    test('is not sent unless it was asked for, nor with answers of our own', async (t) => {
      const upstream = await startUpstream(t, [[request, response('1')]]);
      const off = await way.start(t, { upstreams: [upstream] });
      assert.equal((await off.ask()).header('server-timing'), undefined);
      const on = await way.start(t, { upstreams: [refusingOrigin()], serverTiming: true });
      assert.equal((await on.ask()).header('server-timing'), undefined);
      await turns(1);
    });

    test('stands in a response that a hook has changed', async (t) => {
      const upstream = await startUpstream(t, [[request, response('1')]]);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        serverTiming: true,
        onResponse: async ({ response: { headers } }) => {
          await turns(1);
          headers.set('server-timing', 'hook;dur=1');
        },
      });
      const { header } = await ask();
      assert.match(header('server-timing') ?? '', /^hook;dur=1, queue;dur=0, upstream;dur=0, attempts;desc="1"$/);
    });
  });
}
