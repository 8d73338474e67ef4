import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { type Client, get, post } from '../support/client.ts';
import { FRONTS, NODE_HTTP } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { bytes, echo, request, response, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

interface Started {
  readonly under: BalancerUnderTest;
  readonly client: Client;
  /** Answers what comes first, when `late` opens. */
  readonly slow: ScriptedUpstream;
  readonly late: ReturnType<typeof gate>;
  /** Takes upgrades. */
  readonly upstream: ScriptedUpstream;
}

for (const front of FRONTS) {
  describe(`an upgrade behind other requests, through ${front.name}`, () => {
    async function start(t: TestContext, first: string | Buffer = response('first')): Promise<Started> {
      const late = gate();
      const slow = await startUpstream(t, [[request, () => late.opened, first, echo]]);
      const upstream = await startUpstream(t, async (peer) => {
        for (;;) {
          const { head } = await peer.request();
          if (head.get('upgrade') !== undefined) break;
          peer.send(response(head.line.split(' ')[1] ?? ''));
        }
        peer.send(SWITCH);
        await peer.bytes(2);
        peer.send('ho');
      });
      const strategy = {
        name: 'slow first',
        pick: (candidates: readonly { readonly origin: string }[], { request: asked }: {
          request?: { target: string } | undefined;
        }) => candidates.find(({ origin }) => (origin === slow.origin) === (asked?.target === '/first')),
      };
      const under = await startBalancer(t, { upstreams: [slow, upstream], front, strategy: strategy as never });
      return { under, client: await under.connect(), slow, late, upstream };
    }

    test('waits until they are answered', async (t) => {
      const { under, client, slow, late } = await start(t);
      client.send(get('/first') + get('/between') + get('/ws', WEBSOCKET));
      await slow.read(1);
      await under.advance(100);
      late.open();
      assert.equal((await client.response()).text, 'first');
      assert.equal((await client.response()).text, '/between');
      assert.match((await client.head()).line, / 101 /);
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
    });

    test('does not lose what follows it meanwhile', async (t) => {
      const { client, slow, late } = await start(t);
      client.send(get('/first'));
      await slow.read(1);
      client.send(`${get('/ws', WEBSOCKET)}h`);
      await turns(10);
      client.send('i');
      await turns(10);
      late.open();
      assert.equal((await client.response()).text, 'first');
      assert.match((await client.head()).line, / 101 /);
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
    });

    test('waits for a body that its downstream is slow to read', async (t) => {
      const body = pattern(8 << 20);
      const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      const { client, slow, late } = await start(t, Buffer.concat([head, body]));
      client.socket.pause();
      client.send(get('/first') + get('/ws', WEBSOCKET));
      await slow.read(1);
      late.open();
      await turns(50);
      assert.ok((await client.response()).bytes.equals(body));
      assert.match((await client.head()).line, / 101 /);
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
    });

    test('that is not tunnelled is answered in order, and so is what follows', async (t) => {
      const { client, slow, late } = await start(t);
      const other = 'Connection: Upgrade\r\nUpgrade: nothing\r\n';
      // Through `listen` only the upstream refuses upgrades.
      client.send(get('/first') + String(post('/second', 'hello', front === NODE_HTTP ? other : '')) + get('/third'));
      await slow.read(1);
      late.open();
      assert.equal((await client.response()).text, 'first');
      assert.equal((await client.response()).text, '/second');
      assert.equal((await client.response()).text, '/third');
    });

    for (const how of ['end', 'reset'] as const) {
      test(`ends with its downstream, and so does what is before it: by ${how}`, async (t) => {
        const { under, client, slow } = await start(t);
        client.send(get('/first') + get('/second', WEBSOCKET));
        await slow.read(1);
        await turns(20);
        if (how === 'end') client.end();
        else client.reset();
        // No timeout can expire: time passes only for the tick that looks for closed downstreams.
        await turns(50);
        await under.advance(300);
        await under.settled(1);
        assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
        await slow.gone(1);
        assert.equal(under.picks.length, 1, 'nobody is bothered for the upgrade');
      });
    }

    test('is not served after a refusal', async (t) => {
      const { under, client } = await start(t);
      client.send(get('/', 'Content_Length: 5\r\n') + get('/ws', WEBSOCKET));
      assert.equal((await client.response()).status, 400);
      assert.equal(await client.over(), 'end');
      assert.equal(under.picks.length, 0);
    });
  });
}

test('an upgrade through node:http that is refused is answered in order', async (t) => {
  const late = gate();
  const slow = await startUpstream(t, [[request, () => late.opened, response('first'), bytes(0)]]);
  const under = await startBalancer(t, {
    upstreams: [slow], front: NODE_HTTP, upgradeTarget: () => {
      throw new Error('no');
    },
  });
  const client = await under.connect();
  client.send(get('/first') + get('/ws', WEBSOCKET));
  await slow.read(1);
  late.open();
  assert.equal((await client.response()).text, 'first');
  assert.equal((await client.response()).status, 500);
  assert.equal(await client.over(), 'end');
});
