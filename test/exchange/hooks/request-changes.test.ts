/**
 * What `onRequest` changes in the head of a request, through every front.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HookExchange } from '../../../src/hooks.ts';
import { startBalancer } from '../../support/balancer.ts';
import { get, post } from '../../support/client.ts';
import { ACCEPT, NODE_HTTP, SOCKET } from '../../support/fronts.ts';
import { challenged, hello, proof, startNtlm } from '../../support/ntlm-upstream.ts';
import { close, echo, request, startUpstream } from '../../support/upstream.ts';
import { WAYS } from '../../support/ways.ts';

for (const way of WAYS) {
  describe(`onRequest through ${way.name}`, () => {
    test('reads the request, and changes its headers, target and host', async (t) => {
      const upstream = await startUpstream(t, echo);
      const seen: unknown[] = [];
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: (exchange) => {
          const { request: { headers, method, target, host, protocol }, attempts, pool, response: answer } = exchange;
          seen.push({
            method, target, host, protocol, attempts, pool, answer, remoteAddress: exchange.remoteAddress,
            scheme: exchange.scheme, upstream: exchange.upstream, kept: headers.get('X-Kept'),
          });
          headers.set('x-user', 'alice');
          headers.append('x-user', 'bob');
          headers.delete('x-gone');
          headers.set('host', 'inner.test');
          exchange.request.target = '/new?q=1';
        },
      });
      const answer = await ask({ target: '/old', headers: { 'x-kept': 'a', 'x-gone': 'b' } });
      assert.equal(answer.text, '/new?q=1');
      assert.deepEqual(seen, [{
        method: 'GET', target: '/old', host: 'example.test', protocol: way.name === 'HTTP/2' ? '2.0' : '1.1',
        attempts: 0, pool: 'default', answer: undefined, remoteAddress: '127.0.0.1', scheme: 'http',
        upstream: undefined, kept: 'a',
      }]);
      const head = upstream.requests[0]?.head;
      assert.equal(head?.line, 'GET /new?q=1 HTTP/1.1');
      assert.deepEqual(head.all('x-user'), ['alice', 'bob']);
      assert.equal(head.get('x-gone'), undefined);
      assert.equal(head.get('x-kept'), 'a');
      assert.deepEqual(head.all('host'), ['inner.test']);
    });

    test('what it leaves is what every attempt sends, and it runs once', async (t) => {
      let calls = 0;
      const broken = await startUpstream(t, [[request, close]]);
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [broken, upstream],
        maxReplayBytes: 100,
        onRequest: async ({ request: { headers } }) => {
          await Promise.resolve();
          headers.set('x-call', ++calls);
        },
        onResponse: ({ response: { headers }, attempts, upstream: { origin } }) => {
          headers.set('x-attempts', attempts);
          headers.set('x-origin', origin);
        },
      });
      const answer = await ask({ method: 'PUT', target: '/twice', body: 'hello' });
      assert.equal(answer.text, '/twice');
      assert.equal(answer.header('x-attempts'), '2');
      assert.equal(answer.header('x-origin'), upstream.origin);
      for (const { requests } of [broken, upstream]) {
        assert.equal(requests[0]?.head.get('x-call'), '1');
        assert.equal(requests[0].body.bytes.toString(), 'hello');
      }
    });

    test('state and the identity of an exchange are the same in all of its hooks', async (t) => {
      const upstream = await startUpstream(t, echo);
      const seen = new Set<HookExchange>();
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest(exchange) {
          exchange.state = { user: 'alice' };
          seen.add(exchange);
        },
        onResponse(exchange) {
          seen.add(exchange);
          const { user } = exchange.state as { user: string };
          exchange.response.headers.set('x-user', user);
        },
      });
      assert.equal((await ask()).header('x-user'), 'alice');
      assert.equal((await ask()).header('x-user'), 'alice');
      assert.equal(seen.size, 2);
    });
  });
}

for (const front of [SOCKET, ACCEPT, NODE_HTTP]) {
  describe(`headers that onRequest leaves alone, through ${front.name}`, () => {
    test('keep their order, case, duplicates and octets', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        xForwarded: false,
        via: false,
        onRequest: ({ request: { headers } }) => {
          headers.set('x-new', 'n');
          headers.set('X-Second', 'changed');
        },
      });
      const client = await under.connect();
      const lines = 'X-First: a\r\nx-DUP: \xe9\xff\r\nX-Second: b\r\nX-Dup: c,  d\r\nCookie: a=1\r\nCookie: b=2\r\n';
      assert.equal((await client.exchange(get('/', lines))).status, 200);
      const text = upstream.requests[0]?.head.text ?? '';
      assert.ok(text.includes(
        `${lines.replace('X-Second: b', 'X-Second: changed')}x-new: n\r\n`,
      ), text);
    });

    test('the next request on the connection has nothing of the one before', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: inner }) => {
          if (inner.target !== '/1') return;
          inner.headers.set('x-user', 'alice');
          inner.headers.set('x-forwarded-for', '9.9.9.9');
          inner.headers.set('host', 'other.test');
        },
      });
      const client = await under.connect();
      await client.exchange(get('/1'));
      await client.exchange(post('/2', 'hello'));
      const [first, second] = upstream.requests;
      assert.deepEqual(first?.head.all('x-forwarded-for'), ['9.9.9.9']);
      assert.equal(second?.head.get('x-user'), undefined);
      assert.deepEqual(second?.head.all('x-forwarded-for'), ['127.0.0.1']);
      assert.equal(second.head.get('host'), 'example.test');
    });
  });

  describe(`credentials that onRequest sets, through ${front.name}`, () => {
    test('NTLM credentials make the upstream connection private', async (t) => {
      const upstream = await startNtlm(t);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: { headers } }) => {
          const handed = headers.get('x-handed');
          headers.delete('x-handed');
          if (handed !== null) headers.set('authorization', handed);
        },
      });
      const handed = (fields: string): string => fields.replace('Authorization', 'X-Handed');
      const alice = await under.connect();
      const challenge = await alice.exchange(get('/', handed(hello())));
      const number = challenged(challenge.head.get('www-authenticate'));
      assert.equal((await alice.exchange(get('/a', handed(proof('alice', number))))).text, `alice@${number} /a`);
      // Somebody else must not get that connection.
      const other = await under.connect();
      assert.equal((await other.exchange(get('/b'))).status, 401);
      assert.equal((await alice.exchange(get('/c'))).text, `alice@${number} /c`);
    });

    test('NTLM credentials that are deleted bind nothing', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: { headers } }) => {
          headers.delete('authorization');
        },
      });
      const one = await under.connect();
      await one.exchange(get('/1', hello()));
      const other = await under.connect();
      await other.exchange(get('/2'));
      assert.deepEqual(upstream.events, ['1 open', '1 GET /1', '1 GET /2']);
    });
  });
}

describe('a Host that onRequest sets', () => {
  for (const changeOrigin of [false, true]) {
    test(`is sent, and X-Forwarded-Host tells of the first one, with changeOrigin ${changeOrigin}`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        changeOrigin,
        onRequest: ({ request: { headers } }) => {
          headers.set('host', 'inner.test');
        },
      });
      const client = await under.connect();
      await client.exchange(get('/'));
      assert.deepEqual(upstream.requests[0]?.head.all('host'), ['inner.test']);
      assert.equal(upstream.requests[0].head.get('x-forwarded-host'), 'example.test');
    });
  }
});

test('a strategy sees the headers as onRequest has left them', async (t) => {
  const upstream = await startUpstream(t, echo);
  const seen: unknown[] = [];
  const under = await startBalancer(t, {
    upstreams: [upstream],
    strategy: {
      name: 'reader',
      pick: (candidates, { request: asked }) => {
        seen.push(['x-user', 'x-gone', 'x-kept', 'host', 'connection'].map((name) => asked.header(name)));
        return candidates[0];
      },
    },
    onRequest: ({ request: { headers } }) => {
      headers.set('x-user', 'alice');
      headers.delete('x-gone');
      headers.set('host', 'inner.test');
    },
  });
  const client = await under.connect();
  await client.exchange(get('/', 'X-User: mallory\r\nX-Gone: 1\r\nX-Kept: 2\r\nConnection: x-other\r\n'));
  assert.deepEqual(seen, [['alice', undefined, '2', 'inner.test', 'x-other']]);
});
