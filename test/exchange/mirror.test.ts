/**
 * Copies of requests: what they are, and that nothing that becomes of one touches the request itself.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { BalancerEvents } from '../../src/events.ts';
import type { HookExchange } from '../../src/hooks.ts';
import type { PoolOptions } from '../../src/options/options.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import {
  bytes, close, echo, head, refusingOrigin, request, reset, response, type Script, type ScriptedUpstream,
  serve, startUpstream, when,
} from '../support/upstream.ts';
import { gate, Signal, turns } from '../support/wait.ts';
import { ended, type Served, type Way, WAYS } from '../support/ways.ts';

const SHADOW = { responseTimeoutMs: 5_000, idleTimeoutMs: 3_000, minBodyBytesPerSecond: 0 };

interface Copied extends Served {
  readonly dropped: BalancerEvents['mirrorDropped'][];
  /** How the copies settled: their status, error and whether that was the upstream's fault. */
  readonly settled: { readonly status: number | undefined; readonly error: string | undefined; readonly ok: boolean }[];
  /** Resolves when as many copies have settled, or were dropped without an attempt. */
  readonly done: (count: number) => Promise<void>;
  readonly inFlight: () => number;
  readonly failures: () => number;
}

/** Starts a balancer that sends a copy of each request to `shadow`, unless `onRequest` is given. */
async function copying(
  t: TestContext, way: Way, main: ScriptedUpstream | string, shadow: ScriptedUpstream | string,
  options: Partial<TestOptions> = {}, pool: Partial<PoolOptions> = {},
): Promise<Copied> {
  const served = await way.start(t, {
    upstreams: [main],
    ejectAfter: 0,
    idleTimeoutMs: SHADOW.idleTimeoutMs,
    minBodyBytesPerSecond: 0,
    onRequest: (exchange) => {
      exchange.mirror('shadow');
    },
    ...options,
    pools: {
      shadow: {
        upstreams: [typeof shadow === 'string' ? shadow : shadow.origin], ejectAfter: 0,
        responseTimeoutMs: SHADOW.responseTimeoutMs, ...pool,
      },
    },
  });
  const { balancer } = served.under;
  const signal = new Signal();
  const dropped: Copied['dropped'] = [];
  const settled: Copied['settled'] = [];
  let unsent = 0;
  balancer.on('mirrorDropped', (event) => {
    dropped.push(event);
    if (event.reason === 'maxMirrored' || event.reason === 'unavailable') unsent++;
    signal.raise();
  });
  balancer.on('settled', ({ pool: name, outcome: { status, error, ok } }) => {
    if (name === 'shadow') settled.push({ status, error, ok });
    signal.raise();
  });
  const shown = () => balancer.pools['shadow']?.upstreams ?? [];
  return {
    ...served,
    dropped,
    settled,
    done: (count) => signal.until(
      () => settled.length + unsent >= count,
      () => `${count} copies, having ${JSON.stringify([settled, dropped])}`),
    inFlight: () => shown().reduce((sum, { inFlight }) => sum + inFlight, 0),
    failures: () => shown().reduce((sum, { failures }) => sum + failures, 0),
  };
}

/** What goes wrong with a copy: the script of its upstream, and what is reported. */
const FAILURES: Readonly<Record<string, readonly [script: Script, code: string]>> = {
  'closes without a response': [[request, close], 'UPSTREAM_CLOSED'],
  'resets the connection': [[request, reset], 'UPSTREAM_CLOSED'],
  'answers nonsense': [[request, 'nonsense\r\n\r\n'], 'RESPONSE_MALFORMED'],
  'breaks off its response': [
    [request, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', close], 'RESPONSE_INCOMPLETE',
  ],
  'switches protocols': [
    [request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n'], 'UPGRADE_UNASKED',
  ],
};

for (const way of WAYS) {
  describe(`copies of requests through ${way.name}`, () => {
    test('a copy is the request as the hook has left it', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, serve(() => response('ignored', 'X-Shadow: 1\r\n')));
      const { ask, done, settled, under } = await copying(t, way, main, shadow, {
        trustForwarded: true, forwarded: true,
        onRequest: (exchange) => {
          exchange.mirror('shadow');
          exchange.request.target = '/edited?a=b';
          exchange.request.headers.set('x-user', 'alice');
          exchange.request.headers.delete('x-secret');
          exchange.request.headers.set('x-forwarded-for', '192.0.2.9');
        },
      });
      const answer = await ask({ headers: { 'x-secret': 's', 'x-forwarded-host': 'a.example', 'te': 'trailers' } });
      assert.deepEqual([answer.status, answer.text, answer.header('x-shadow')], [200, '/edited?a=b', undefined]);
      await done(1);
      const [original, copy] = [main.requests[0], shadow.requests[0]];
      assert.ok(original !== undefined && copy !== undefined);
      assert.equal(copy.head.line, 'GET /edited?a=b HTTP/1.1');
      assert.equal(copy.head.text, original.head.text);
      assert.match(copy.head.text, /\r\nX-User: alice\r\n/i);
      assert.match(copy.head.text, /\r\nX-Forwarded-For: 192\.0\.2\.9\r\n/i);
      assert.match(copy.head.text, /\r\nVia: /);
      assert.deepEqual(settled, [{ status: 200, error: undefined, ok: true }]);
      // Its connection serves again.
      await ask();
      await done(2);
      assert.equal(shadow.peers.length, 1);
      assert.deepEqual(under.reports, []);
    });

    test('its Host follows the pool that it goes to', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, echo);
      const { ask, done } = await copying(t, way, main, shadow, {}, { changeOrigin: true });
      await ask();
      await done(1);
      assert.equal(main.requests[0]?.head.get('host'), 'example.test');
      assert.equal(shadow.requests[0]?.head.get('host'), new URL(shadow.origin).host);
    });

    test('the body goes along as it streams, large or small', async (t) => {
      const main = await startUpstream(t, serve(() => response('ok')));
      const shadow = await startUpstream(t, serve(() => response('ok')));
      const { ask, done, dropped } = await copying(t, way, main, shadow, { maxMirroredBytes: 8 << 20 });
      for (const size of [0, 1, 5_000, 70_000, 3 << 20]) {
        const body = Buffer.alloc(size, 'abcdefghijklmnopqrstuvwxyz');
        const settled = shadow.requests.length;
        assert.equal((await ask({ method: 'POST', body })).status, 200);
        await done(settled + 1);
        const copy = shadow.requests[settled];
        assert.ok(copy?.body.bytes.equals(body) === true, `a body of ${size}`);
        assert.equal(copy.head.text, main.requests[settled]?.head.text);
      }
      assert.deepEqual(dropped, []);
      assert.equal(shadow.peers.length, 1);
    });

    test('a body goes along as a transform leaves it', async (t) => {
      const main = await startUpstream(t, serve(({ body }) => response(body.bytes.toString())));
      const shadow = await startUpstream(t, echo);
      const { ask, done } = await copying(t, way, main, shadow, {
        onRequest: async (exchange) => {
          await turns(2);
          exchange.request.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
            transform: (piece, controller) => {
              controller.enqueue(Buffer.from(Buffer.from(piece).toString().toUpperCase()));
            },
          }));
          exchange.mirror('shadow');
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'some text' })).text, 'SOME TEXT');
      await done(1);
      assert.equal(shadow.requests[0]?.body.bytes.toString(), 'SOME TEXT');
      assert.equal(shadow.requests[0].head.get('transfer-encoding'), 'chunked');
    });

    test('each call sends one copy, each by its own pool', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, echo);
      const { ask, done } = await copying(t, way, main, shadow, {
        onRequest: (exchange) => {
          exchange.mirror('shadow');
          exchange.mirror('shadow');
        },
      });
      await ask();
      await done(2);
      assert.equal(shadow.requests.length, 2);
    });

    test('an upstream that never answers delays nothing, and has failed in the end', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, [[request]]);
      const { ask, done, settled, inFlight, failures, under } = await copying(t, way, main, shadow);
      assert.equal((await ask({ target: '/a' })).text, '/a');
      await shadow.saw('1 GET /a');
      assert.equal(inFlight(), 1);
      await under.advance(SHADOW.responseTimeoutMs - 1);
      assert.equal(inFlight(), 1);
      await under.advance(1);
      await done(1);
      assert.deepEqual(settled, [{ status: undefined, error: 'RESPONSE_TIMEOUT', ok: false }]);
      assert.deepEqual(under.reports, [`RESPONSE_TIMEOUT at ${shadow.origin}`]);
      assert.deepEqual([inFlight(), failures()], [0, 1]);
      await shadow.gone(1);
    });

    test('an upstream that is down is reported, and nothing else', async (t) => {
      const main = await startUpstream(t, echo);
      const { ask, done, settled, failures, under } = await copying(t, way, main, refusingOrigin());
      assert.equal((await ask({ target: '/a' })).text, '/a');
      await done(1);
      assert.deepEqual(settled, [{ status: undefined, error: 'CONNECT_REFUSED', ok: false }]);
      assert.deepEqual(under.reports, [`CONNECT_REFUSED at ${refusingOrigin()}`]);
      assert.equal(failures(), 1);
      assert.deepEqual(under.balancer.upstreams.map((upstream) => upstream.failures), [0]);
    });

    for (const [name, [script, code]] of Object.entries(FAILURES)) {
      test(`an upstream that ${name} fails its copy, once, and nothing else`, async (t) => {
        const main = await startUpstream(t, echo);
        const shadow = await startUpstream(t, [script]);
        const { ask, done, settled, failures, inFlight, under } = await copying(t, way, main, shadow);
        assert.equal((await ask({ target: '/a' })).text, '/a');
        await done(1);
        assert.deepEqual(settled.map(({ error, ok }) => [error, ok]), [[code, false]]);
        assert.deepEqual(under.reports, [`${code} at ${shadow.origin}`]);
        assert.deepEqual([failures(), inFlight()], [1, 0]);
        assert.deepEqual(under.balancer.upstreams.map((upstream) => upstream.failures), [0]);
      });
    }

    test('failures eject the upstream of the copies: then they are not sent', async (t) => {
      const main = await startUpstream(t, echo);
      const { ask, done, dropped, under } = await copying(t, way, main, refusingOrigin(), {}, {
        ejectAfter: 1, maxEjectedPercent: 100,
      });
      const ejected: string[] = [];
      under.balancer.on('ejected', ({ pool }) => ejected.push(pool));
      await ask();
      await done(1);
      assert.equal((await ask()).status, 200);
      await done(2);
      assert.deepEqual(ejected, ['shadow']);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'unavailable' }]);
    });

    test('an upstream that reads nothing holds up no upload: the copy is dropped', async (t) => {
      const main = await startUpstream(t, serve(() => response('ok')));
      const { opened, open } = gate();
      const shadow = await startUpstream(t, [[head, when(opened)]]);
      const { ask, done, dropped, settled, inFlight, failures, under } = await copying(t, way, main, shadow, {
        maxMirroredBytes: 100_000,
      });
      const body = Buffer.alloc(24 << 20, 'x');
      assert.equal((await ask({ method: 'POST', body })).status, 200);
      assert.equal(main.latest?.body.bytes.length, body.length);
      await done(1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'maxMirroredBytes' }]);
      assert.deepEqual(settled, [{ status: undefined, error: 'DOWNSTREAM_GONE', ok: true }]);
      assert.deepEqual([inFlight(), failures()], [0, 0]);
      assert.deepEqual(under.reports, []);
      open();
      await shadow.gone(1);
    });

    test('an answer before the end of the body ends the copy alone', async (t) => {
      const { opened, open } = gate();
      const main = await startUpstream(t, [[head, when(opened), (peer) => peer.inbox.skip(4 << 20), response('ok')]]);
      const shadow = await startUpstream(t, [[head, response('', '', '413 Content Too Large')]]);
      const { begin, done, dropped, settled } = await copying(t, way, main, shadow);
      const asking = await begin({ method: 'POST', body: Buffer.alloc(4 << 20, 'x') });
      await done(1);
      assert.deepEqual(settled, [{ status: 413, error: undefined, ok: true }]);
      await shadow.gone(1);
      open();
      assert.equal((await asking.answer).text, 'ok');
      assert.deepEqual(dropped, []);
    });

    test('of an endless response no more is read than makes sense', async (t) => {
      const main = await startUpstream(t, echo);
      const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
      const shadow = await startUpstream(t, [[
        request, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', ...new Array<string>(64).fill(chunk),
      ]]);
      const { ask, done, settled, failures, under } = await copying(t, way, main, shadow);
      assert.equal((await ask({ target: '/a' })).text, '/a');
      await done(1);
      assert.deepEqual(settled, [{ status: 200, error: undefined, ok: true }]);
      assert.equal(failures(), 0);
      assert.deepEqual(under.reports, []);
      await shadow.gone(1);
    });

    test('nor does a response that trickles hold its place for ever', async (t) => {
      const main = await startUpstream(t, echo);
      const { opened, open } = gate();
      const more = gate();
      const piece = Buffer.from('1\r\nx\r\n');
      const shadow = await startUpstream(t, [[
        request, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n', when(opened),
        (peer) => peer.push(piece), more.open,
      ]]);
      const { ask, done, settled, inFlight, failures, under } = await copying(t, way, main, shadow, {
        onRequest: (exchange) => {
          if (exchange.request.target === '/copied') exchange.mirror('shadow');
        },
      });
      await ask({ target: '/copied' });
      await shadow.saw('1 GET /copied');
      for (let i = 0; i < 1_000 && under.balancer.pools['shadow']?.upstreams[0]?.responses === 0; i++) await turns(1);
      await under.advance(SHADOW.idleTimeoutMs - 1);
      open();
      await more.opened;
      // Once this has been answered, the piece has been read too.
      for (let i = 0; i < 3; i++) await ask();
      await under.advance(SHADOW.responseTimeoutMs - SHADOW.idleTimeoutMs);
      assert.equal(inFlight(), 1);
      await under.advance(1);
      await done(1);
      assert.deepEqual(settled, [{ status: 200, error: undefined, ok: true }]);
      assert.equal(failures(), 0);
    });

    if (way.name !== 'HTTP/2') test('a request that breaks off takes its copy along', async (t) => {
      const main = await startUpstream(t, [[head]]);
      const shadow = await startUpstream(t, [[head]]);
      const { under, done, dropped, settled, inFlight } = await copying(t, way, main, shadow);
      const client = await under.connect();
      client.send(post('/', 'x'.repeat(100)).subarray(0, -50));
      await main.saw('1 POST /');
      await shadow.saw('1 POST /');
      assert.equal(inFlight(), 1);
      client.reset();
      await done(1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'unfinished' }]);
      assert.deepEqual(settled, [{ status: undefined, error: 'DOWNSTREAM_GONE', ok: true }]);
      await shadow.gone(1);
    });

    test('a downstream that leaves does not take a copy along that has everything', async (t) => {
      const main = await startUpstream(t, [[request]]);
      const { opened, open } = gate();
      const shadow = await startUpstream(t, [[request, when(opened), response('ok')]]);
      const { begin, done, dropped, settled, inFlight, under } = await copying(t, way, main, shadow);
      const asking = await begin({ method: 'POST', body: 'text' });
      await main.saw('1 body 4');
      await shadow.saw('1 body 4');
      asking.leave();
      await ended(asking.answer);
      await under.settled(1);
      assert.equal(inFlight(), 1);
      open();
      await done(1);
      assert.deepEqual(settled, [{ status: 200, error: undefined, ok: true }]);
      assert.deepEqual(dropped, []);
    });

    test('a request that finds no upstream is copied all the same, if that is all of it', async (t) => {
      const shadow = await startUpstream(t, echo);
      const { ask, done, dropped, settled } = await copying(t, way, refusingOrigin(), shadow);
      assert.equal((await ask({ target: '/a' })).status, 502);
      await done(1);
      assert.equal((await ask({ method: 'POST', body: 'text' })).status, 502);
      await turns(20);
      assert.equal(shadow.requests.length, 1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'unfinished' }]);
      assert.ok(settled.length <= 2);
    });

    test('a request that is retried is copied once', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, serve(() => response('ok')));
      const { ask, done, under } = await copying(t, way, refusingOrigin(), shadow);
      under.balancer.add(main.origin);
      assert.equal((await ask({ method: 'POST', target: '/a', body: 'text' })).text, '/a');
      await done(1);
      assert.equal(under.picks.length, 2);
      assert.deepEqual(shadow.requests.map(({ body }) => body.bytes.toString()), ['text']);
    });

    test('nothing is sent where the hook answers, or fails', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, []);
      const { ask, dropped, settled } = await copying(t, way, main, shadow, {
        onRequest: (exchange) => {
          exchange.mirror('shadow');
          if (exchange.request.target === '/fails') throw new Error('of a hook');
          return new Response('from the hook');
        },
      });
      assert.equal((await ask({ method: 'POST', body: 'text' })).text, 'from the hook');
      assert.equal((await ask({ target: '/fails' })).status, 500);
      await turns(10);
      assert.deepEqual([settled, dropped], [[], []]);
    });

    test('it throws for a pool that is not there, and once the request has left', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, []);
      let kept: HookExchange | undefined;
      const late = (exchange: HookExchange): void => {
        assert.throws(() => {
          exchange.mirror('shadow');
        }, { name: 'TypeError', message: 'exchange.mirror cannot be used: the request was sent' });
      };
      const { ask } = await copying(t, way, main, shadow, {
        onRequest: (exchange) => {
          kept = exchange;
          assert.throws(() => {
            exchange.mirror('none');
          }, { name: 'TypeError', message: 'exchange.mirror: there is no pool "none"; see the option `pools`' });
          assert.throws(() => {
            exchange.mirror(undefined as unknown as string);
          }, /exchange\.mirror: there is no pool undefined/);
        },
        onResponse: late,
      });
      assert.equal((await ask({ target: '/a' })).text, '/a');
      assert.throws(() => kept?.mirror('shadow'), /exchange\.mirror cannot be used: the exchange is over/);
    });

    test('beyond maxMirrored none is sent, until one has ended', async (t) => {
      const main = await startUpstream(t, echo);
      const { opened, open } = gate();
      const shadow = await startUpstream(t, [[request, when(opened), response('ok'), request, response('ok')]]);
      const { ask, done, dropped, inFlight, settled } = await copying(t, way, main, shadow, { maxMirrored: 1 });
      await ask({ target: '/1' });
      await shadow.saw('1 GET /1');
      await ask({ target: '/2' });
      await done(1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'maxMirrored' }]);
      assert.equal(inFlight(), 1);
      open();
      await done(2);
      await ask({ target: '/3' });
      await done(3);
      assert.deepEqual(shadow.requests.map(({ head: { line } }) => line.split(' ')[1]), ['/1', '/3']);
      assert.equal(settled.length, 2);
    });

    test('a pool that is full gets none, and its queue is not for them', async (t) => {
      const main = await startUpstream(t, echo);
      const { opened, open } = gate();
      const shadow = await startUpstream(t, [[request, when(opened), response('ok')]]);
      const { ask, done, dropped } = await copying(t, way, main, shadow, {}, { maxInFlight: 1, maxQueued: 5 });
      await ask();
      await shadow.saw('1 GET /');
      await ask();
      await done(1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'unavailable' }]);
      open();
      await done(2);
    });

    test('an upstream that is removed lets its copies finish, or is cut', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, [[request]]);
      const { ask, done, settled, under } = await copying(t, way, main, shadow);
      await ask();
      await shadow.saw('1 GET /');
      const removed = under.balancer.pools['shadow']?.remove(shadow.origin, { timeoutMs: 400 });
      await under.advance(399);
      assert.equal(settled.length, 0);
      await under.advance(1);
      await removed;
      await done(1);
      assert.deepEqual(settled, [{ status: undefined, error: 'UPSTREAM_REMOVED', ok: true }]);
    });

    test('close waits for copies as long as for requests', async (t) => {
      const main = await startUpstream(t, echo);
      const shadow = await startUpstream(t, [[request]]);
      const { ask, done, dropped, settled, under } = await copying(t, way, main, shadow);
      await ask();
      await shadow.saw('1 GET /');
      let over = false;
      const closed = under.balancer.close({ timeoutMs: 2_000 }).then(({ cut }) => {
        over = true;
        return cut;
      });
      await under.advance(1_999);
      await turns(5);
      assert.equal(over, false);
      await under.advance(1);
      await closed;
      await done(1);
      assert.deepEqual(dropped, [{ pool: 'shadow', reason: 'closing' }]);
      assert.deepEqual(settled.map(({ error }) => error), ['DOWNSTREAM_GONE']);
      await shadow.gone(1);
    });
  });
}

async function bySocket(t: TestContext, main: ScriptedUpstream, shadow: ScriptedUpstream): Promise<BalancerUnderTest> {
  return await startBalancer(t, {
    upstreams: [main],
    pools: { shadow: { upstreams: [shadow.origin] } },
    onRequest: (exchange) => {
      exchange.mirror('shadow');
    },
  });
}

test('an upgrade is not copied', async (t) => {
  const main = await startUpstream(t, [[
    request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', bytes(4), 'pong',
  ]]);
  const shadow = await startUpstream(t, []);
  const client = await (await bySocket(t, main, shadow)).connect();
  client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
  assert.equal((await client.response()).status, 101);
  client.send('ping');
  assert.equal((await client.inbox.exactly(4)).toString(), 'pong');
  client.destroy();
});

test('a body that waits to be asked for is asked for by the upstream of the request alone', async (t) => {
  const main = await startUpstream(t, [[head, 'HTTP/1.1 100 Continue\r\n\r\n', bytes(4), response('ok')]]);
  const shadow = await startUpstream(t, serve(() => response('ok')));
  const client = await (await bySocket(t, main, shadow)).connect();
  client.send(get('/', 'Expect: 100-continue\r\nContent-Length: 4\r\n', 'POST'));
  await client.head();
  client.send('text');
  assert.equal((await client.response()).text, 'ok');
  await shadow.read(1);
  assert.equal(shadow.requests[0]?.head.get('expect'), undefined);
  assert.equal(shadow.requests[0]?.body.bytes.toString(), 'text');
});

test('trailers go along', async (t) => {
  const main = await startUpstream(t, serve(() => response('ok')));
  const shadow = await startUpstream(t, serve(() => response('ok')));
  const client = await (await bySocket(t, main, shadow)).connect();
  client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST') + '4\r\ntext\r\n0\r\nX-Sum: 1\r\n\r\n');
  assert.equal((await client.response()).text, 'ok');
  await shadow.read(1);
  assert.equal(shadow.requests[0]?.body.bytes.toString(), 'text');
  assert.equal(shadow.requests[0].body.trailers, main.requests[0]?.body.trailers);
});

test('a connection with the credentials of a downstream serves no other copy', async (t) => {
  const main = await startUpstream(t, echo);
  const shadow = await startUpstream(t, echo);
  const under = await bySocket(t, main, shadow);
  const client = await under.connect();
  await client.exchange(get('/1', 'Authorization: NTLM abc\r\n'));
  await shadow.gone(1);
  await client.exchange(get('/2'));
  await shadow.saw('2 GET /2');
});
