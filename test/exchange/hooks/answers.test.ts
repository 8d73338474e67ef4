/**
 * A Response that `onRequest` returns is the answer, through every front.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../../support/balancer.ts';
import { get, post } from '../../support/client.ts';
import { FRONTS, NODE_HTTP } from '../../support/fronts.ts';
import { pattern } from '../../support/message.ts';
import { echo, refusingOrigin, startUpstream } from '../../support/upstream.ts';
import { atRest, gate, turns, within } from '../../support/wait.ts';
import { ended, WAYS } from '../../support/ways.ts';

const NOBODY = [refusingOrigin()];

for (const way of WAYS) {
  describe(`a Response of onRequest through ${way.name}`, () => {
    test('is the answer: no upstream is asked', async (t) => {
      const { under, ask } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: () => new Response('no entry\n', {
          status: 401, headers: [['www-authenticate', 'Basic'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']],
        }),
        onResponse: () => assert.fail('not for answers of hooks'),
      });
      const answer = await ask({ method: 'POST', body: 'left alone' });
      assert.equal(answer.status, 401);
      assert.equal(answer.text, 'no entry\n');
      assert.equal(answer.header('www-authenticate'), 'Basic');
      assert.equal(String(answer.header('set-cookie')).replace(', ', ','), 'a=1,b=2');
      assert.deepEqual(under.picks, []);
      assert.deepEqual(under.reports, []);
    });

    test('its own framing and hop-by-hop headers are ignored', async (t) => {
      const { ask } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: () => new Response('hello', {
          headers: { 'content-length': '3', 'transfer-encoding': 'gzip', connection: 'close', 'x-kept': '1' },
        }),
      });
      const answer = await ask();
      assert.equal(answer.text, 'hello');
      assert.equal(answer.header('content-length'), undefined);
      assert.equal(answer.header('x-kept'), '1');
    });

    for (const status of [204, 205, 304]) {
      test(`${status} has no body`, async (t) => {
        const { ask } = await way.start(t, {
          upstreams: NOBODY, onRequest: () => new Response(null, { status, headers: { 'x-kept': '1' } }),
        });
        const answer = await ask();
        assert.equal(answer.status, status);
        assert.equal(answer.text, '');
        assert.equal(answer.header('x-kept'), '1');
        assert.equal((await ask()).status, status);
      });
    }

    test('an answer to HEAD has no body, and its body is cancelled', async (t) => {
      const cancelled = gate();
      const { ask } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: () => new Response(new ReadableStream({ cancel: cancelled.open })),
      });
      const answer = await ask({ method: 'HEAD' });
      assert.equal(answer.status, 200);
      assert.equal(answer.text, '');
      await within(cancelled.opened, () => 'the body to be cancelled');
    });

    test('a body is streamed: a piece arrives before the next one is made', async (t) => {
      const arrived = gate();
      let pulls = 0;
      const { begin } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: async () => {
          await Promise.resolve();
          return new Response(new ReadableStream({
            async pull(controller) {
              if (++pulls === 2) await arrived.opened;
              if (pulls > 2) controller.close();
              else controller.enqueue(Buffer.from(`piece ${pulls}\n`));
            },
          }, { highWaterMark: 0 }));
        },
      });
      const { answer } = await begin();
      for (let i = 0; i < 20 && pulls < 2; i++) await turns(5);
      assert.equal(pulls, 2);
      arrived.open();
      assert.equal((await answer).text, 'piece 1\npiece 2\n');
    });

    test('a body is cancelled when the downstream leaves', async (t) => {
      const cancelled = gate();
      const started = gate();
      const { begin } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: () => new Response(new ReadableStream({
          start: (controller) => {
            controller.enqueue(Buffer.from('first'));
          },
          pull: started.open,
          cancel: cancelled.open,
        })),
      });
      const { answer, leave } = await begin();
      await started.opened;
      await turns(5);
      leave();
      await ended(answer);
      await within(cancelled.opened, () => 'the body to be cancelled');
    });

    test('a body that fails cuts the response', async (t) => {
      let first = true;
      const { under, ask } = await way.start(t, {
        upstreams: NOBODY,
        onRequest: () => new Response(new ReadableStream({
          pull: (controller) => {
            if (first) controller.enqueue(Buffer.from('first'));
            else controller.error(new Error('disk is gone'));
            first = false;
          },
        })),
      });
      await ended(ask());
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.equal((under.errors[0]?.cause as Error).message, 'disk is gone');
    });

    test('3 MB arrive whole', async (t) => {
      const body = pattern(3_000_000);
      const { ask } = await way.start(t, { upstreams: NOBODY, onRequest: () => new Response(body) });
      assert.equal((await ask()).text, body.toString('latin1'));
    });
  });
}

for (const front of FRONTS) {
  describe(`a connection after a Response of onRequest, through ${front.name}`, () => {
    test('serves on; after a request whose body was not read it is closed', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: { target } }) => target === '/no' ? new Response('no', { status: 403 }) : undefined,
      });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/no'))).status, 403);
      assert.equal((await client.exchange(get('/yes'))).text, '/yes');
      const answer = await client.exchange(post('/no', 'hello'));
      assert.equal(answer.status, 403);
      assert.equal(answer.head.get('connection'), 'close');
      assert.equal(await client.over(), 'end');
    });

    test('pipelined requests are answered in their order', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: async ({ request: { target } }) => {
          if (target === '/plain') return undefined;
          await turns(2);
          return new Response(target);
        },
      });
      const client = await under.connect();
      client.send(get('/1') + get('/plain') + get('/2'));
      assert.equal((await client.response()).text, '/1');
      assert.equal((await client.response()).text, '/plain');
      assert.equal((await client.response()).text, '/2');
    });

    // A server of node:http says Continue itself.
    const skip = front === NODE_HTTP;
    test('a downstream that waits for 100 (Continue) is answered at once', { skip }, async (t) => {
      const under = await startBalancer(t, {
        upstreams: NOBODY, front, onRequest: () => new Response('no', { status: 403 }),
      });
      const client = await under.connect();
      client.send(get('/', 'Expect: 100-continue\r\nContent-Length: 5\r\n', 'POST'));
      const answer = await client.response();
      assert.equal(answer.status, 403);
      assert.deepEqual(answer.interims, []);
    });

    test('the head leaves before there is anything of the body', async (t) => {
      const go = gate();
      const under = await startBalancer(t, {
        upstreams: NOBODY,
        front,
        onRequest: () => new Response(new ReadableStream({
          async pull(controller) {
            await go.opened;
            controller.enqueue(Buffer.from('late'));
            controller.close();
          },
        })),
      });
      const client = await under.connect();
      client.send(get());
      assert.equal((await client.head()).line, 'HTTP/1.1 200 OK');
      go.open();
      assert.equal(await client.inbox.until('0\r\n\r\n'), '4\r\nlate\r\n0\r\n\r\n');
    });

    test('an upgrade is refused by a Response', async (t) => {
      const under = await startBalancer(t, {
        upstreams: NOBODY, front, onRequest: () => new Response('no', { status: 403 }),
      });
      const client = await under.connect();
      const answer = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
      assert.equal(answer.status, 403);
      assert.equal(answer.text, 'no');
      assert.equal(answer.head.get('upgrade'), undefined);
    });

    test('a downstream of HTTP/1.0 gets the body until the close', async (t) => {
      const under = await startBalancer(t, { upstreams: NOBODY, front, onRequest: () => new Response('hello') });
      const client = await under.connect();
      client.send('GET / HTTP/1.0\r\nHost: example.test\r\n\r\n');
      const answer = await client.response();
      assert.equal(answer.head.get('transfer-encoding'), undefined);
      assert.equal(answer.text, 'hello');
    });

    test('an endless body for a downstream that reads nothing is made only as far as there is room', async (t) => {
      let octets = 0;
      const cancelled = gate();
      const piece = Buffer.alloc(65_536);
      const under = await startBalancer(t, {
        upstreams: NOBODY,
        front,
        onRequest: () => new Response(new ReadableStream({
          pull: (controller) => {
            octets += piece.length;
            controller.enqueue(piece);
          },
          cancel: cancelled.open,
        })),
      });
      const client = await under.connect();
      client.send(get());
      await client.head();
      await atRest(() => octets);
      // The buffers of the sockets, which grow with the system's settings; no 1 GB.
      assert.ok(octets < 64 << 20, `${octets} octets were made`);
      client.destroy();
      await within(cancelled.opened, () => 'the body to be cancelled');
    });
  });
}
