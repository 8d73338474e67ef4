/**
 * What `onResponse` does to the body of a response: sending it through transforms, and reading it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createGunzip } from 'node:zlib';
import type { Transformer } from 'node:stream/web';
import { startBalancer } from '../../support/balancer.ts';
import { get } from '../../support/client.ts';
import { FRONTS } from '../../support/fronts.ts';
import { pattern } from '../../support/message.ts';
import { close, echo, request, reset, response, startUpstream } from '../../support/upstream.ts';
import { atRest, gate, turns, within } from '../../support/wait.ts';
import { ended, WAYS } from '../../support/ways.ts';

const MB3 = pattern(3_000_000);

/** Adds one to each octet. */
function shifting(extra: Transformer<Uint8Array, Uint8Array> = {}): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({ transform: (piece, controller) => {
    controller.enqueue(piece.map((octet) => octet + 1));
  }, ...extra });
}

const large = (fields = ''): Buffer => Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${MB3.length}\r\n${fields}\r\n`), MB3,
]);

for (const way of WAYS) {
  for (const asynchronous of [false, true]) {
    describe(`pipeThrough of ${asynchronous ? 'an async' : 'a sync'} onResponse, through ${way.name}`, () => {
      const wait = async (): Promise<void> => {
        await turns(3);
      };

      test('the framing follows, and 3 MB arrive', async (t) => {
        const upstream = await startUpstream(t, [[request, large('ETag: "1"\r\n'), request, large(), echo]]);
        const { ask } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ request: asked, response: answer }) => {
            if (asked.target === '/plain') return undefined;
            answer.pipeThrough(shifting());
            answer.pipeThrough(shifting());
            return asynchronous ? wait() : undefined;
          },
        });
        const expected = Buffer.from(MB3.map((octet) => octet + 2)).toString('latin1');
        for (let i = 0; i < 2; i++) {
          const answer = await ask();
          assert.ok(answer.text === expected);
          assert.equal(answer.header('content-length'), undefined);
        }
        assert.equal((await ask({ target: '/plain' })).text, '/plain');
        assert.equal(upstream.peers.length, 1);
      });

      test('trailers are kept', async (t) => {
        const upstream = await startUpstream(t, [[
          request,
          'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n',
        ]]);
        const { ask } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ response: answer }) => {
            answer.pipeThrough(shifting());
            return asynchronous ? wait() : undefined;
          },
        });
        const { text, trailers } = await ask({ headers: { te: 'trailers' } });
        assert.equal(text, 'ifmmp');
        assert.equal(trailers['x-sum'], '5');
      });

      for (const [name, go] of [['closes', close], ['resets', reset]] as const) {
        test(`an upstream that ${name} in the body: the response is cut`, async (t) => {
          const upstream = await startUpstream(t, [[
            request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', () => turns(20), go,
          ]]);
          const aborted = gate();
          const { under, ask } = await way.start(t, {
            upstreams: [upstream],
            onResponse: ({ response: answer }) => {
              answer.pipeThrough({
                readable: shifting().readable, writable: new WritableStream({ abort: aborted.open }),
              });
              return asynchronous ? wait() : undefined;
            },
          });
          await ask().then((answer) => {
            assert.ok(asynchronous && answer.status === 502);
          }, () => undefined);
          await within(aborted.opened, () => 'the transform to be aborted');
          await under.settled(1);
          assert.equal(under.outcomes[0]?.ok, false);
        });
      }

      test('a transform that fails cuts the response, and the upstream is not blamed', async (t) => {
        const upstream = await startUpstream(t, [[request, response('hello')], echo]);
        let fail = true;
        const { under, ask } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ response: answer }) => {
            if (fail) answer.pipeThrough(new TransformStream({
              transform: () => {
                throw new Error('not today');
              },
            }));
            return asynchronous ? wait() : undefined;
          },
        });
        await ended(ask());
        assert.deepEqual(under.reports, ['HOOK_FAILED']);
        assert.equal(under.outcomes[0]?.ok, true);
        fail = false;
        assert.equal((await ask({ target: '/next' })).text, '/next');
      });

      test('a transform that ends early ends the response well', async (t) => {
        const upstream = await startUpstream(t, [[request, large()], echo]);
        const { under, ask } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ request: asked, response: answer }) => {
            if (asked.target === '/next') return undefined;
            answer.pipeThrough(new TransformStream({
              transform: (_, controller) => {
                controller.enqueue(Buffer.from('enough'));
                controller.terminate();
              },
            }));
            return asynchronous ? wait() : undefined;
          },
        });
        assert.equal((await ask()).text, 'enough');
        assert.equal((await ask({ target: '/next' })).text, '/next');
        assert.deepEqual(under.reports, []);
      });

      test('the downstream leaves: the transform is told, and the upstream connection closed', async (t) => {
        const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello']]);
        const started = gate();
        const cancelled = gate();
        const { under, begin } = await way.start(t, {
          upstreams: [upstream],
          onResponse: ({ response: answer }) => {
            answer.pipeThrough({
              readable: new ReadableStream({ cancel: cancelled.open }),
              writable: new WritableStream({ write: started.open }),
            });
            return asynchronous ? wait() : undefined;
          },
        });
        const { answer, leave } = await begin();
        await started.opened;
        leave();
        await ended(answer);
        await within(cancelled.opened, () => 'the transform to be cancelled');
        await upstream.gone(1);
        assert.deepEqual(under.reports, []);
      });
    });
  }

  describe(`the body of a response, read by onResponse, through ${way.name}`, () => {
    test('is there whole, and the hook answers', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello'), request, large(), echo]]);
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: async ({ request: { target }, response: answer }) => {
          if (target === '/plain') return undefined;
          const bytes = Buffer.from(await new Response(answer.body as never).arrayBuffer());
          return new Response(`${bytes.length} ${String(bytes.equals(MB3))}`);
        },
      });
      assert.equal((await ask()).text, '5 false');
      assert.equal((await ask()).text, '3000000 true');
      assert.equal((await ask({ target: '/plain' })).text, '/plain');
      assert.deepEqual(under.reports, []);
    });

    test('may be passed on in a Response', async (t) => {
      const upstream = await startUpstream(t, [[request, large()]]);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ response: { body } }) => new Response(body as never, { status: 203 }),
      });
      const answer = await ask();
      assert.equal(answer.status, 203);
      assert.ok(answer.text === MB3.toString('latin1'));
    });

    test('breaks off with the upstream: the hook sees the error', async (t) => {
      const upstream = await startUpstream(t, [[
        request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', () => turns(20), close,
      ]]);
      const failed = gate();
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: async ({ response: { body } }) => {
          try {
            return new Response(await new Response(body as never).text());
          } catch {
            failed.open();
            return new Response('broken', { status: 502 });
          }
        },
      });
      assert.equal((await ask()).status, 502);
      await within(failed.opened, () => 'the body to fail');
      assert.equal(under.outcomes[0]?.ok, false);
    });

    test('must be answered: without a Response it is a fault', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: async ({ response: { body } }) => {
          await body?.cancel();
        },
      });
      assert.equal((await ask()).status, 500);
      assert.match(under.errors[0]?.message ?? '', /onResponse read response.body, so it must return a Response/);
    });
  });
}

for (const front of FRONTS) {
  describe(`a transformed response and the connection, through ${front.name}`, () => {
    test('a downstream of HTTP/1.0 reads it until the close', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onResponse: ({ response: answer }) => {
          answer.pipeThrough(shifting());
        },
      });
      const client = await under.connect();
      client.send('GET / HTTP/1.0\r\nHost: example.test\r\nConnection: keep-alive\r\n\r\n');
      const answer = await client.response();
      assert.equal(answer.head.get('content-length'), undefined);
      assert.equal(answer.head.get('transfer-encoding'), undefined);
      assert.equal(answer.text, 'ifmmp');
    });

    test('a transform that fails resets a downstream of HTTP/1.0', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const go = gate();
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onResponse: ({ response: answer }) => {
          answer.pipeThrough(new TransformStream({
            transform: async () => {
              await go.opened;
              throw new Error('not today');
            },
          }));
        },
      });
      const client = await under.connect();
      client.send('GET / HTTP/1.0\r\nHost: example.test\r\n\r\n');
      await client.head();
      go.open();
      assert.equal(await client.over(), 'reset');
    });

    test('compresses with CompressionStream', async (t) => {
      const upstream = await startUpstream(t, [[request, large()]]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onResponse: ({ response: answer }) => {
          answer.headers.set('content-encoding', 'gzip');
          answer.pipeThrough(new CompressionStream('gzip'));
        },
      });
      const { bytes } = await (await under.connect()).exchange(get());
      const gunzip = createGunzip();
      gunzip.end(bytes);
      const parts: Buffer[] = [];
      for await (const part of gunzip) parts.push(part as Buffer);
      assert.ok(Buffer.concat(parts).equals(MB3));
    });

    test('a downstream that reads nothing holds back the upstream', async (t) => {
      let octets = 0;
      const total = 64 << 20;
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`;
      const upstream = await startUpstream(t, [[request, head, (peer) => {
        peer.push(Buffer.alloc(total)).catch(() => undefined);
      }]]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        onResponse: ({ response: answer }) => {
          answer.pipeThrough(new TransformStream({
            transform: (piece: Uint8Array, controller) => {
              octets += piece.length;
              controller.enqueue(piece);
            },
          }));
        },
      });
      const client = await under.connect();
      client.send(get());
      await client.head();
      await atRest(() => octets);
      assert.ok(octets > 0 && octets < total / 2, `${octets} octets went through`);
      client.destroy();
      await upstream.gone(1);
    });
  });
}
