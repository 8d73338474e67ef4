import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, head, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const EVIL = response('evil', 'Set-Cookie: session=mine\r\n');

/** Responses followed by more than they announce. */
const EXCESS: readonly (readonly [name: string, method: string, bytes: string, status: number, body: string])[] = [
  ['of known length', 'GET', response('good'), 200, 'good'],
  ['in chunks', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n', 200, 'good'],
  ['of length 0', 'GET', response(''), 200, ''],
  ['to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', 200, ''],
  ['to HEAD, in chunks', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 200, ''],
  ['to HEAD, without a length', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 200, ''],
  ['in chunks with trailers', 'GET',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nX: y\r\n\r\n', 200, 'good'],
  ['in no chunk but the last', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 200, ''],
  ['of HTTP/1.0 that keeps its connection', 'GET',
    response('good', 'Connection: keep-alive\r\n').replace('HTTP/1.1', 'HTTP/1.0'), 200, 'good'],
  ['204 with a length', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', 204, ''],
  ['304 with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 304, ''],
  ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
  ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\n\r\n', 304, ''],
];

for (const front of FRONTS) {
  describe(`surplus bytes after a response, through ${front.name}, answer no request`, () => {
    for (const [name, method, bytes, status, body] of EXCESS) {
      for (const extra of [EVIL, 'x', '\r\n', '4\r\ngood\r\n0\r\n\r\n']) {
        const shown = JSON.stringify(extra.slice(0, 10));
        test(`${name}: ${shown} with it`, async (t) => {
          const upstream = await startUpstream(t, [[request, bytes + extra], echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          const answer = await client.exchange(get('/', '', method));
          assert.equal(answer.status, status);
          assert.equal(answer.text, body);
          await upstream.gone(1);
          assert.equal((await client.exchange(get('/next'))).text, '/next');
        });

        test(`${name}: ${shown} when it has been passed on`, async (t) => {
          const passed = gate();
          const upstream = await startUpstream(t, [[request, bytes, when(passed.opened), extra], echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          assert.equal((await client.exchange(get('/', '', method))).text, body);
          await under.settled(1);
          passed.open();
          await upstream.gone(1);
          assert.equal((await client.exchange(get('/next'))).text, '/next');
          assert.equal(upstream.peers.length, 2);
          assert.deepEqual(under.reports, [], 'nobody was served badly');
        });
      }
    }

    test('while the upload still goes on', async (t) => {
      const more = gate();
      const upstream = await startUpstream(t, [[head, response('early'), when(more.opened), EVIL], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(post('/', 'hello').subarray(0, -1));
      const answer = await client.response();
      assert.equal(answer.text, 'early');
      more.open();
      await under.advance(0);
      client.send('o');
      await under.settled(1);
      await upstream.gone(1);
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('a response that comes before any request', async (t) => {
      const upstream = await startUpstream(t, [[EVIL, request, response('good')], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      // It cannot be told from the answer to the first request; but it ends there.
      await client.exchange(get('/1'));
      const next = await client.exchange(get('/2'));
      assert.notEqual(next.text, 'evil');
    });

    test('an interim response on an idle connection', async (t) => {
      const passed = gate();
      const upstream = await startUpstream(t, [
        [request, response('good'), when(passed.opened), 'HTTP/1.1 100 Continue\r\n\r\n'], echo,
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get());
      await under.settled(1);
      passed.open();
      await upstream.gone(1);
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });
  });

  describe(`a connection that its upstream will not keep, through ${front.name}, is not reused`, () => {
    const table: [name: string, bytes: string][] = [
      ['Connection: close', response('good', 'Connection: close\r\n')],
      ['Connection: close among others', response('good', 'Connection: x-foo, Close\r\n')],
      ['HTTP/1.0', response('good').replace('HTTP/1.1', 'HTTP/1.0')],
      ['Keep-Alive: timeout=0', response('good', 'Keep-Alive: timeout=0\r\n')],
      ['Keep-Alive: timeout=1', response('good', 'Keep-Alive: timeout=1\r\n')],
    ];
    for (const [name, bytes] of table) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, [[request, bytes], echo]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(get());
        assert.equal(answer.text, 'good');
        // Hop by hop: what the upstream does with its connection says nothing about ours (RFC 9110 §7.6.1).
        assert.notEqual(answer.head.get('connection'), 'close');
        await upstream.gone(1);
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.equal(upstream.peers.length, 2);
      });
    }

    test('HTTP/1.0 with Connection: keep-alive is kept', async (t) => {
      const bytes = response('good', 'Connection: keep-alive\r\n').replace('HTTP/1.1', 'HTTP/1.0');
      const upstream = await startUpstream(t, [[request, bytes, echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get())).text, 'good');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });
  });
}
