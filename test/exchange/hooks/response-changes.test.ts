/**
 * What `onResponse` changes in the head of a response, through every front.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../../support/balancer.ts';
import { get } from '../../support/client.ts';
import { ACCEPT, NODE_HTTP, SOCKET } from '../../support/fronts.ts';
import { close, echo, request, response, startUpstream } from '../../support/upstream.ts';
import { WAYS } from '../../support/ways.ts';

for (const way of WAYS) {
  describe(`onResponse through ${way.name}`, () => {
    test('sees what came, and changes headers and status', async (t) => {
      const upstream = await startUpstream(t, [[
        request, response('hello', 'Server: x\r\nX-Kept: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n', '201 Created'),
      ]]);
      const seen: unknown[] = [];
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ request: asked, response: answer, upstream: { origin }, attempts }) => {
          const { headers } = answer;
          seen.push([
            asked.target, answer.status, headers.get('server'), headers.get('content-length'), headers.getSetCookie(),
            origin, attempts,
          ]);
          headers.delete('server');
          headers.set('x-id', asked.id);
          headers.append('set-cookie', 'c=3');
          answer.status = 418;
        },
      });
      const answer = await ask({ target: '/asked' });
      assert.deepEqual(seen, [['/asked', 201, 'x', '5', ['a=1', 'b=2'], upstream.origin, 1]]);
      assert.equal(answer.status, 418);
      assert.equal(answer.text, 'hello');
      assert.equal(answer.header('server'), undefined);
      assert.match(answer.header('x-id') ?? '', /^[0-9a-f-]{36}$/);
      assert.equal(String(answer.header('set-cookie')).replaceAll(', ', ','), 'a=1,b=2,c=3');
    });

    const changes = [
      [204, 200], [304, 200], [200, 204], [200, 304], [200, 205], [204, 304], [304, 204], [304, 205],
    ] as const;
    for (const [from, to] of changes) {
      test(`from ${from} to ${to}, and the connections serve on`, async (t) => {
        const upstream = await startUpstream(t, (peer) => (async () => {
          for (;;) {
            await peer.request();
            // A 304 tells the length that a 200 would have.
            const length = from === 304 ? 'Content-Length: 5\r\n' : '';
            peer.send(from === 200 ? response('hello') : `HTTP/1.1 ${from} Whatever\r\n${length}\r\n`);
          }
        })());
        const { ask } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ response: answer }) => {
            answer.status = to;
          },
        });
        for (let i = 0; i < 2; i++) {
          const answer = await ask();
          assert.equal(answer.status, to);
          assert.equal(answer.text, '');
          if (to === 204) assert.equal(answer.header('content-length'), undefined);
        }
      });
    }

    test('HEAD keeps the length of a body that is left as it is', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ response: answer }) => {
          assert.equal(answer.body, null);
          answer.headers.set('x-id', '1');
        },
      });
      const answer = await ask({ method: 'HEAD', target: '/12345' });
      assert.equal(answer.header('x-id'), '1');
      assert.equal(answer.header('content-length'), '6');
    });

    test('HEAD tells of no length where GET would go through a transform', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ response: answer }) => {
          answer.pipeThrough(new TransformStream());
          answer.headers.set('x-id', '1');
        },
      });
      for (let i = 0; i < 2; i++) {
        const answer = await ask({ method: 'HEAD', target: '/12345' });
        assert.equal(answer.status, 200);
        assert.equal(answer.text, '');
        assert.equal(answer.header('x-id'), '1');
        assert.equal(answer.header('content-length'), undefined);
      }
    });

    test('a status that is none throws there', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ response: answer }) => {
          for (const status of [100, 101, 199, 600, 200.5, Number.NaN, '200' as never, -1]) assert.throws(() => {
            answer.status = status;
          }, RangeError);
        },
      });
      assert.equal((await ask()).status, 200);
    });

    test('is called once, for the response that is relayed', async (t) => {
      const failing = await startUpstream(t, [[request, response('no', '', '503 Service Unavailable')]]);
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', response('yes'),
      ]]);
      const seen: number[] = [];
      const { ask } = await way.start(t, {
        upstreams: [failing, upstream],
        retryOn: [503],
        onResponse: ({ response: answer }) => {
          seen.push(answer.status);
        },
      });
      assert.equal((await ask()).text, 'yes');
      assert.deepEqual(seen, [200]);
    });

    test('a Response that it returns takes the place of the response', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: async ({ request: { target } }) => {
          await Promise.resolve();
          return target === '/mine' ? new Response('mine', { status: 203 }) : undefined;
        },
      });
      const mine = await ask({ target: '/mine' });
      assert.equal(mine.status, 203);
      assert.equal(mine.text, 'mine');
      assert.equal((await ask({ target: '/theirs' })).text, '/theirs');
      assert.deepEqual(under.outcomes.map(({ ok }) => ok), [true, true]);
    });
  });
}

for (const front of [SOCKET, ACCEPT]) {
  test(`lines that onResponse leaves alone keep their octets, through ${front.name}`, async (t) => {
    const lines = 'X-First: a\r\nx-DUP: \xe9\xff\r\nX-Second: b\r\nX-Dup: c,  d\r\n';
    const upstream = await startUpstream(t, [[request, response('hello', lines, '200 Fine, thanks')]]);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front,
      onResponse: ({ response: { headers } }) => {
        headers.set('X-Second', 'changed');
        headers.set('x-new', 'n');
      },
    });
    const { head, text } = await (await under.connect()).exchange(get());
    assert.equal(text, 'hello');
    assert.equal(head.line, 'HTTP/1.1 200 Fine, thanks');
    assert.ok(head.text.includes(lines.replace('X-Second: b', 'X-Second: changed')), head.text);
    assert.equal(head.get('x-new'), 'n');
  });
}

for (const front of [SOCKET, ACCEPT, NODE_HTTP]) {
  test(`a refused upgrade is a response like any other, through ${front.name}`, async (t) => {
    const upstream = await startUpstream(t, [[request, response('no', '', '403 Forbidden')]]);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front,
      onResponse: ({ response: answer }) => {
        answer.headers.set('x-seen', answer.status);
      },
    });
    const answer = await (await under.connect()).exchange(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
    assert.equal(answer.status, 403);
    assert.equal(answer.text, 'no');
    assert.equal(answer.head.get('x-seen'), '403');
  });

  test(`a downstream of HTTP/1.0 gets the response that onResponse has changed, through ${front.name}`, async (t) => {
    const upstream = await startUpstream(t, [
      [request, 'HTTP/1.1 200 OK\r\n\r\nhello', close],
    ]);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front,
      onResponse: async ({ response: { headers } }) => {
        await Promise.resolve();
        headers.set('x-new', 'n');
      },
    });
    const client = await under.connect();
    client.send('GET / HTTP/1.0\r\nHost: example.test\r\n\r\n');
    const answer = await client.response();
    assert.equal(answer.text, 'hello');
    assert.equal(answer.head.get('x-new'), 'n');
  });
}
