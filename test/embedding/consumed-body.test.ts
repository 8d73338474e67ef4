import assert from 'node:assert/strict';
import http, { type IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** Lets `read` consume any part of the request before the balancer gets it. */
function behind(read: (request: IncomingMessage) => Promise<void>): FrontKind {
  return {
    name: 'node:http behind a reader',
    open: (balancer) => serve(http.createServer(UNTIMED, (request, response) => {
      void read(request).then(() => {
        balancer.handle(request, response);
      });
    })),
  };
}

const READERS: readonly (readonly [name: string, read: (request: IncomingMessage) => Promise<void>])[] = [
  ['all of it', async (request) => {
    for await (const part of request) assert.ok(part !== undefined);
  }],
  ['the first piece of it', (request) => new Promise((resolve) => {
    request.once('data', () => {
      request.pause();
      resolve();
    });
  })],
  ['it as text', (request) => {
    request.setEncoding('utf8');
    return Promise.resolve();
  }],
  ['it away', (request) => new Promise((resolve) => {
    request.resume().once('end', resolve);
  })],
];

describe('a body that other code has read', () => {
  for (const [name, read] of READERS) {
    test(`${name}: 500, reported, and no upstream gets half a request`, async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream], front: behind(read) });
      const client = await under.connect();
      const answer = await client.exchange(post('/', 'hello'));
      assert.equal(answer.status, 500);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_configuration_error');
      assert.equal(answer.head.get('connection'), 'close');
      assert.equal(await client.over(), 'end');
      assert.deepEqual(under.reports, ['BODY_CONSUMED']);
      assert.equal(under.picks.length, 0);
    });

    test(`${name}, where there is none: served`, async (t) => {
      if (name === 'the first piece of it') {
        t.skip('there is no first piece');
        return;
      }
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: behind(read) });
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    });
  }

  test('onError sees it, and may answer', async (t) => {
    const upstream = await startUpstream(t, []);
    const seen: unknown[] = [];
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: behind((request) => new Promise((resolve) => {
        request.resume().once('end', resolve);
      })),
      onRequest: () => assert.fail('it is not served'),
      onError: ({ request, attempts }, error) => {
        assert.match(error.message, /give it what they read: handle\(request, response, \{ body \}\)/);
        seen.push([request.target, attempts, error.status, error.code]);
        return new Response('sorry', { status: 500 });
      },
    });
    const client = await under.connect();
    assert.equal((await client.exchange(post('/a', 'hello'))).text, 'sorry');
    assert.equal(await client.over(), 'end');
    assert.deepEqual(seen, [['/a', 0, 500, 'BODY_CONSUMED']]);
    assert.deepEqual(under.reports, ['BODY_CONSUMED']);
    assert.equal(under.picks.length, 0);
  });

  test('only inspected: served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: behind((request) => new Promise((resolve) => {
        request.pause();
        setImmediate(resolve);
      })),
    });
    assert.equal((await (await under.connect()).exchange(post('/a', 'hello'))).text, '/a');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
  });
});
