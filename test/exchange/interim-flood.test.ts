import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, request, response, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
/** The limit of interim responses per exchange. */
const LIMIT = 32;

const KINDS: readonly (readonly [name: string, interim: string])[] = [
  ['100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['102', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ['103', HINTS],
  ['199', 'HTTP/1.1 199 Whatever\r\nX: y\r\n\r\n'],
  ['103 as large as a head may be', `HTTP/1.1 103 Early Hints\r\nLink: <${'a'.repeat(16_000)}>; rel=x\r\n\r\n`],
];

/** Ways to send interim responses endlessly: until the balancer breaks the connection. */
const WAYS: readonly (readonly [name: string, pieces: (interim: string) => string[]])[] = [
  ['in one write', (interim) => [interim.repeat(10 * LIMIT)]],
  ['one by one', (interim) => [interim]],
  ['in pieces', (interim) => [interim.slice(0, interim.length >> 1), interim.slice(interim.length >> 1)]],
];

for (const front of FRONTS) {
  describe(`endless interim responses, through ${front.name}, are a broken response`, () => {
    for (const [kind, interim] of KINDS) {
      for (const [way, pieces] of WAYS) {
        for (const minor of [1, 0]) {
          test(`${kind}, ${way}, to HTTP/1.${minor}`, async (t) => {
            const upstream = await startUpstream(t, [async (peer) => {
              await peer.request();
              for (;;) {
                for (const piece of pieces(interim)) {
                  await peer.push(Buffer.from(piece));
                  // Each is a separate read, and the balancer gets its turn.
                  await turns(2);
                }
              }
            }, echo]);
            const under = await startBalancer(t, { upstreams: [upstream], front });
            const answer = await (await under.connect()).exchange(get().replace('HTTP/1.1', `HTTP/1.${minor}`));
            assert.equal(answer.status, 502);
            assert.ok(answer.interims.length <= (minor === 1 ? LIMIT : 0));
            assert.deepEqual(under.reports, [`RESPONSE_MALFORMED at ${upstream.origin}`]);
            await upstream.gone(1);
            assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
            assert.equal(upstream.peers.length, 2);
          });
        }
      }
    }

    test(`${LIMIT} of them are not`, async (t) => {
      const all = HINTS.repeat(LIMIT) + response('done');
      const upstream = await startUpstream(t, [[request, all, request, all]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      // They are counted afresh for each exchange, over the same connection.
      for (let i = 0; i < 2; i++) {
        const answer = await client.exchange(get());
        assert.equal(answer.interims.length, LIMIT);
        assert.equal(answer.text, 'done');
      }
    });

    test(`${LIMIT + 1} of them are`, async (t) => {
      const upstream = await startUpstream(t, [[request, HINTS.repeat(LIMIT + 1) + response('done')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      assert.equal((await (await under.connect()).exchange(get())).status, 502);
      await upstream.gone(1);
    });
  });
}
