/**
 * What `onRequest` does to the body of a request: reading it, and sending it through transforms.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Transformer } from 'node:stream/web';
import { startBalancer } from '../../support/balancer.ts';
import { get, post } from '../../support/client.ts';
import { FRONTS, NODE_HTTP } from '../../support/fronts.ts';
import { chunked, pattern } from '../../support/message.ts';
import {
  close, echo, head, refusingOrigin, request, response, serve, startUpstream, when,
} from '../../support/upstream.ts';
import { atRest, gate, turns, within } from '../../support/wait.ts';
import { ended, WAYS } from '../../support/ways.ts';

const MB3 = pattern(3_000_000);

/** Adds one to each octet. */
function shifting(extra: Transformer<Uint8Array, Uint8Array> = {}): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({ transform: (piece, controller) => {
    controller.enqueue(piece.map((octet) => octet + 1));
  }, ...extra });
}

/** An upstream that answers with the length of each body and its first octets. */
const measure = serve(({ body: { bytes } }) => response(`${bytes.length} ${bytes.toString('latin1', 0, 20)}`));

for (const way of WAYS) {
  describe(`the body of a request, read by onRequest, through ${way.name}`, () => {
    test('is there whole, 3 MB as well, and the hook answers', async (t) => {
      const { under, ask } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: async ({ request: { body } }) => {
          if (body === null) return new Response('none');
          const bytes = Buffer.from(await new Response(body as never).arrayBuffer());
          return new Response(`${bytes.length} ${String(bytes.equals(MB3))}`);
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).text, '5 false');
      assert.equal((await ask({ method: 'POST', body: MB3 })).text, '3000000 true');
      assert.equal((await ask()).text, 'none');
      assert.deepEqual(under.reports, []);
    });

    test('errors where the downstream leaves in the middle', async (t) => {
      const reading = gate();
      const failed = gate();
      const { begin } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: async ({ request: { body } }) => {
          const reader = body?.getReader();
          await reader?.read();
          reading.open();
          try {
            while ((await reader?.read())?.done === false);
          } catch {
            failed.open();
          }
          return new Response('late');
        },
      });
      const slow = way.name === 'HTTP/2' ? MB3 : Buffer.alloc(20_000_000);
      const { answer, leave } = await begin({ method: 'POST', body: slow });
      await within(reading.opened, () => 'the hook to read');
      leave();
      await ended(answer);
      await within(failed.opened, () => 'the body to fail');
    });

    test('must be answered: without a Response it is a fault', async (t) => {
      const { under, ask } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: async ({ request: { body } }) => {
          await body?.cancel();
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).status, 500);
      assert.match(under.errors[0]?.message ?? '', /onRequest read request.body, so it must return a Response/);
    });
  });

  describe(`pipeThrough of onRequest, through ${way.name}`, () => {
    test('sends what the transforms make of the body, in order, 3 MB as well', async (t) => {
      const upstream = await startUpstream(t, serve(({ body: { bytes } }) => response(
        `${bytes.length} ${String(bytes.equals(MB3.map((octet) => octet + 2)))}`)));
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(shifting());
          asked.pipeThrough(shifting());
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).text, '5 false');
      assert.equal((await ask({ method: 'POST', body: MB3 })).text, '3000000 true');
      assert.equal((await ask()).text, '0 false');
      const [first] = upstream.requests;
      assert.equal(first?.head.get('content-length'), undefined);
      assert.equal(first?.head.get('transfer-encoding'), 'chunked');
      assert.equal(first.body.bytes.toString(), 'jgnnq');
    });

    test('a failed connect is tried again, and the transform runs once', async (t) => {
      const upstream = await startUpstream(t, measure);
      let pieces = 0;
      const { under, ask } = await way.start(t, {
        upstreams: [refusingOrigin(), upstream],
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(shifting({
            flush: () => {
              pieces++;
            },
          }));
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).text, '5 ifmmp');
      assert.equal(pieces, 1);
      assert.equal(under.picks.length, 2);
    });

    test('once it was sent it is tried again only if all of it was kept', async (t) => {
      for (const maxReplayBytes of [0, 100]) {
        const broken = await startUpstream(t, [[request, close]]);
        const upstream = await startUpstream(t, measure);
        const { ask } = await way.start(t, {
          upstreams: [broken, upstream],
          maxReplayBytes,
          onRequest: ({ request: asked }) => {
            asked.pipeThrough(shifting());
          },
        });
        const { status, text } = await ask({ method: 'PUT', body: 'hello' });
        if (maxReplayBytes === 0) assert.equal(status, 502);
        else assert.equal(text, '5 ifmmp');
      }
    });

    test('a transform that fails: 500, and the upstream is not blamed', async (t) => {
      const upstream = await startUpstream(t, [head]);
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(new TransformStream({
            transform: () => {
              throw new Error('not today');
            },
          }));
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).status, 500);
      assert.equal((under.errors[0]?.cause as Error).message, 'not today');
      await under.settled(1);
      assert.equal(under.outcomes[0]?.ok, true);
    });

    test('a transform that ends the body early', async (t) => {
      const upstream = await startUpstream(t, measure);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(new TransformStream({
            transform: (_, controller) => {
              controller.enqueue(Buffer.from('enough'));
              controller.terminate();
            },
          }));
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).text, '6 enough');
    });

    test('a transform that swallows everything is ended by its time', async (t) => {
      const upstream = await startUpstream(t, [head]);
      const { under, begin } = await way.start(t, {
        upstreams: [upstream],
        idleTimeoutMs: 5000,
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(new TransformStream({ flush: () => new Promise(() => undefined) }));
        },
      });
      const { answer } = await begin({ method: 'POST', body: 'hello' });
      await upstream.saw('1 POST /');
      await turns(10);
      for (let i = 0; i < 5; i++) await under.advance(2000);
      assert.equal((await answer).status, 500);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
    });

    test('an answer of the hook drops it, and the transform is told', async (t) => {
      const cancelled = gate();
      const { ask } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: ({ request: asked }) => {
          asked.pipeThrough({
            readable: new ReadableStream({ cancel: cancelled.open }), writable: new WritableStream(),
          });
          return new Response('mine');
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'hello' })).text, 'mine');
      await within(cancelled.opened, () => 'the transform to be cancelled');
    });
  });
}

for (const front of FRONTS) {
  describe(`bodies and the connection, through ${front.name}`, () => {
    test('trailers pass a transform', async (t) => {
      const upstream = await startUpstream(t, measure);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(shifting());
        },
      });
      const client = await under.connect();
      client.send(get('/', 'Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n', 'POST'));
      client.send(chunked('hello', 2, 'X-Sum: 5\r\n'));
      assert.equal((await client.response()).text, '5 ifmmp');
      assert.equal(upstream.requests[0]?.body.trailers, 'X-Sum: 5\r\n');
      assert.equal((await client.exchange(post('/', 'again'))).text, '5 bhbjo');
    });

    // A server of node:http says Continue itself.
    test('reading asks for a body that waits for 100 (Continue)', { skip: front === NODE_HTTP }, async (t) => {
      const under = await startBalancer(t, {
        upstreams: [refusingOrigin()],
        front,
        onRequest: async ({ request: { body } }) => new Response(await new Response(body as never).text()),
      });
      const client = await under.connect();
      client.send(get('/', 'Expect: 100-continue\r\nContent-Length: 5\r\n', 'POST'));
      assert.equal((await client.head()).line, 'HTTP/1.1 100 Continue');
      client.send('hello');
      assert.equal((await client.response()).text, 'hello');
      assert.equal((await client.exchange(post('/', 'again'))).text, 'again');
    });

    test('an upstream that reads nothing holds back the downstream, through a transform', async (t) => {
      const go = gate();
      const upstream = await startUpstream(t, [[head, when(go.opened), async (peer) => {
        await peer.inbox.over();
      }]]);
      let octets = 0;
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: ({ request: asked }) => {
          asked.pipeThrough(new TransformStream({
            transform: (piece: Uint8Array, controller) => {
              octets += piece.length;
              controller.enqueue(piece);
            },
          }));
        },
      });
      const client = await under.connect();
      const total = 64 << 20;
      client.send(get('/', `Content-Length: ${total}\r\n`, 'POST'));
      client.send(Buffer.alloc(total));
      await atRest(() => octets);
      assert.ok(octets > 0 && octets < total / 2, `${octets} octets went through`);
      client.destroy();
      go.open();
      await upstream.gone(1);
    });

    test('an upgrade is changed by onRequest, and 101 is not seen by onResponse', async (t) => {
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhi', async (peer) => {
          peer.send((await peer.bytes(4)).toUpperCase());
        },
      ]]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: async ({ request: asked }) => {
          await turns(2);
          asked.headers.set('x-user', 'alice');
          asked.target = '/socket';
        },
        onResponse: () => assert.fail('101 is not for onResponse'),
      });
      const client = await under.connect();
      // Sent at once: what follows the head belongs to the new protocol.
      client.send(`${get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n')}ping`);
      assert.equal((await client.response()).status, 101);
      assert.equal((await client.inbox.exactly(6)).toString(), 'hiPING');
      assert.equal(upstream.requests[0]?.head.line, 'GET /socket HTTP/1.1');
      assert.equal(upstream.requests[0].head.get('x-user'), 'alice');
      client.destroy();
      await upstream.gone(1);
    });

    test('the connection serves on after a body was read', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onRequest: async ({ request: { body } }) => {
          return body === null ? undefined : new Response(await new Response(body as never).text());
        },
      });
      const client = await under.connect();
      client.send(Buffer.concat([post('/1', 'one'), post('/2', 'two'), Buffer.from(get('/3'))]));
      assert.equal((await client.response()).text, 'one');
      const rest = await client.response().catch(() => undefined);
      assert.equal(rest?.text, 'two');
      assert.equal((await client.response()).text, '/3');
    });
  });
}
