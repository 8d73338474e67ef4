import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { echo, head, startUpstream, untilEnd } from '../support/upstream.ts';

const TOO_LARGE = 'equipoise; error=http_request_error';
const CHUNKED = 'Transfer-Encoding: chunked\r\n';

for (const front of FRONTS) {
  describe(`a request body of at most 10 octets, through ${front.name}`, () => {
    const maxBodyBytes = 10;

    test('is served at the limit, not counting its framing', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes });
      const client = await under.connect();
      assert.equal((await client.exchange(post('/length', '0123456789'))).text, '/length');
      client.send(get('/chunks', CHUNKED, 'POST')).send('1;a=b\r\n0\r\n'.repeat(10)).send('0\r\nX-T: 1\r\n\r\n');
      assert.equal((await client.response()).text, '/chunks');
      assert.deepEqual(upstream.requests.map(({ body }) => body.bytes.length), [10, 10]);
    });

    test('of one octet more by its length: 413 at once, and no upstream is involved', async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes });
      const client = await under.connect();
      client.send(get('/', 'Content-Length: 11\r\n', 'POST'));
      const answer = await client.response();
      assert.equal(answer.status, 413);
      assert.equal(answer.head.get('proxy-status'), TOO_LARGE);
      assert.equal(answer.head.get('connection'), 'close');
      assert.equal(under.picks.length, 0);
      await client.over();
    });

    test('of one octet more in chunks: 413, and the upstream gets no complete request', async (t) => {
      const upstream = await startUpstream(t, [[head, untilEnd]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes });
      const client = await under.connect();
      client.send(get('/', CHUNKED, 'POST')).send(chunked('0123456789'.slice(0, 6)).subarray(0, 11));
      await upstream.saw('1 POST /');
      client.send('5\r\n6789X\r\n0\r\n\r\n');
      const answer = await client.response();
      assert.equal(answer.status, 413);
      assert.equal(answer.head.get('proxy-status'), TOO_LARGE);
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [[true, 'REQUEST_BODY_TOO_LARGE']]);
      await upstream.gone(1);
      assert.deepEqual(upstream.requests, []);
    });

    test('is counted afresh for each request of a connection', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes });
      const client = await under.connect();
      for (let i = 0; i < 5; i++) assert.equal((await client.exchange(post('/', '012345678'))).status, 200);
    });

    test('does not limit a tunnel', async (t) => {
      const upstream = await startUpstream(t, [[
        head, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n',
        (peer) => peer.bytes(20), 'all of it',
      ]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes });
      const client = await under.connect();
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      assert.match((await client.head()).line, / 101 /);
      client.send('x'.repeat(20));
      assert.equal(String(await client.inbox.exactly(9)), 'all of it');
      client.destroy();
    });
  });
}

test('a body that is too large and waits for 100 (Continue) never gets it', async (t) => {
  const upstream = await startUpstream(t, []);
  const under = await startBalancer(t, { upstreams: [upstream], maxBodyBytes: 10 });
  const client = await under.connect();
  const answer = await client.exchange(get('/', 'Content-Length: 11\r\nExpect: 100-continue\r\n', 'POST'));
  assert.equal(answer.status, 413);
  assert.deepEqual(answer.interims, []);
});
