import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding, startFull, Waits } from '../support/holding.ts';
import { pattern } from '../support/message.ts';
import { turns } from '../support/wait.ts';

const LIMIT = 'equipoise; error=connection_limit_reached';

for (const front of FRONTS) {
  describe(`requests that wait for room, through ${front.name}`, () => {
    for (const [name, limits] of [
      ['of an upstream', { own: 1 }], ['of all', { maxInFlight: 1 }],
    ] as const) {
      test(`at the limit ${name} continue in order of arrival`, async (t) => {
        const holding = await Holding.start(t);
        const { own = Infinity, ...rest } = limits as { own?: number; maxInFlight?: number };
        const under = await startBalancer(t, {
          upstreams: [{ origin: holding.origin, maxInFlight: own }], front, maxQueued: 9, ...rest,
        });
        const waits = new Waits(under);
        const client = await under.connect();
        client.send(get('/0'));
        await holding.came(1);
        const clients = [client];
        for (let i = 1; i <= 4; i++) clients.push(await waits.send(get(`/${i}`)));
        assert.deepEqual(waits.counts, [1, 2, 3, 4]);
        assert.equal(under.picks.length, 1);
        for (let i = 0; i <= 4; i++) {
          await holding.came(i + 1);
          assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
          // Later requests do not overtake.
          if (i === 1) clients.push(await waits.send(get('/5')));
          holding.release();
          assert.equal((await clients[i]?.response())?.text, `/${i}`);
        }
        await holding.came(6);
        holding.release();
        assert.equal((await clients[5]?.response())?.text, '/5');
        assert.deepEqual(holding.targets, ['/0', '/1', '/2', '/3', '/4', '/5']);
      });
    }

    test('at the total limit wait even where upstreams have room', async (t) => {
      const [one, two] = [await Holding.start(t), await Holding.start(t)];
      const under = await startBalancer(t, {
        upstreams: [one.origin, two.origin], front, maxInFlight: 2, maxQueued: 1,
      });
      const waits = new Waits(under);
      const [a, b] = [await under.connect(), await under.connect()];
      a.send(get('/a'));
      await one.came(1);
      b.send(get('/b'));
      await one.came(2);
      const c = await waits.send(get('/c'));
      one.release();
      assert.equal((await a.response()).text, '/a');
      await one.came(3);
      one.release();
      one.release();
      assert.deepEqual([(await b.response()).text, (await c.response()).text], ['/b', '/c']);
      assert.deepEqual(two.targets, []);
    });

    test('are answered 503 with Retry-After when their time is over', async (t) => {
      const { holding, under, waits, client } = await startFull(t, { front, queueTimeoutMs: 3_000 });
      const refused: unknown[] = [];
      under.balancer.on('refused', (event) => refused.push(event));
      const one = await waits.send();
      await under.advance(1_000);
      const two = await waits.send();
      await under.advance(1_999);
      assert.deepEqual(refused, []);
      await under.advance(1);
      const answer = await one.response();
      assert.equal(answer.status, 503);
      assert.equal(answer.head.get('retry-after'), '1');
      assert.equal(answer.head.get('proxy-status'), LIMIT);
      assert.equal(two.inbox.ended, undefined);
      assert.deepEqual(refused, [{ status: 503, code: 'OVERLOADED', remoteAddress: '127.0.0.1' }]);
      assert.equal(under.picks.length, 1);
      // Its connection stays open, and the other has its whole time.
      one.send(get('/again'));
      await under.advance(999);
      holding.release();
      await holding.came(2);
      holding.release();
      assert.equal((await two.response()).text, '/');
      await holding.came(3);
      holding.release();
      assert.equal((await one.response()).text, '/again');
      await client.response();
    });

    test('are at most maxQueued: one more is answered 503 at once', async (t) => {
      const { holding, under, waits, client } = await startFull(t, { front, maxQueued: 2 });
      const waiting = [await waits.send(get('/1')), await waits.send(get('/2'))];
      const late = await under.connect();
      const answer = await late.exchange(get());
      assert.deepEqual([answer.status, answer.head.get('proxy-status'), answer.head.get('retry-after')], [
        503, LIMIT, '1',
      ]);
      assert.equal((await late.exchange(get('/', '', 'HEAD'))).status, 503);
      for (const [i, one] of [client, ...waiting].entries()) {
        holding.release();
        assert.equal((await one.response()).text, `/${i}`);
        await holding.came(Math.min(3, i + 2));
      }
    });

    test('leave the queue when their downstream goes away', async (t) => {
      const { holding, under, waits, client } = await startFull(t, { front, maxQueued: 1 });
      const gone = await waits.send(get('/gone'));
      gone.reset();
      // Its place is free again as soon as the reset has arrived.
      let answer = 503;
      const probing = await under.connect();
      while (answer === 503) {
        probing.send(get('/1'));
        const before = waits.counts.length;
        await under.advance(0);
        if (waits.counts.length > before) break;
        answer = (await probing.response()).status;
      }
      holding.release();
      await holding.came(2);
      holding.release();
      assert.equal((await probing.response()).text, '/1');
      assert.deepEqual(holding.targets, ['/0', '/1']);
      assert.equal((await client.response()).text, '/0');
    });

    test('hold back their bodies', async (t) => {
      const { holding, waits, client } = await startFull(t, { front });
      const body = pattern(32 << 20);
      const upload = await waits.send(post('/upload', body));
      // Once nothing moves any more, the kernel has taken what it can.
      for (let left = -1; left !== upload.socket.writableLength;) {
        left = upload.socket.writableLength;
        for (let i = 0; i < 100; i++) await turns(1);
      }
      assert.ok(upload.socket.writableLength > 0, 'all of it was taken');
      holding.release();
      await holding.came(2);
      holding.release();
      assert.equal((await upload.response()).text, '/upload');
      assert.ok(holding.upstream.latest?.body.bytes.equals(body));
      await client.response();
    });

    test('in a pipeline each wait their turn', async (t) => {
      const { holding, waits, client } = await startFull(t, { front });
      const pipelined = await waits.send(get('/1') + get('/2') + get('/3'));
      for (let i = 0; i <= 3; i++) {
        await holding.came(i + 1);
        holding.release();
        if (i > 0) assert.equal((await pipelined.response()).text, `/${i}`);
      }
      assert.equal((await client.response()).text, '/0');
      assert.deepEqual(holding.targets, ['/0', '/1', '/2', '/3']);
    });
  });
}
