import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Holding, startFull, Waits } from '../support/holding.ts';
import { failsWith } from '../support/streams.ts';
import { echo, startUpstream } from '../support/upstream.ts';
import { within } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`requests that wait for room, through ${front.name}`, () => {
    test('go on when an upstream is added, and when a limit is raised', async (t) => {
      const [holding, other] = [await Holding.start(t), await Holding.start(t)];
      const under = await startBalancer(t, {
        upstreams: [{ origin: holding.origin, maxInFlight: 1 }], front, maxQueued: 9,
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0'));
      await holding.came(1);
      const added = await waits.send(get('/added'));
      under.balancer.add({ origin: other.origin, maxInFlight: 1 });
      await other.came(1);
      const raised = await waits.send(get('/raised'));
      await under.balancer.update([
        { origin: holding.origin, maxInFlight: 2 }, { origin: other.origin, maxInFlight: 1 },
      ]);
      await holding.came(2);
      assert.deepEqual([holding.targets, other.targets], [['/0', '/raised'], ['/added']]);
      for (const one of [holding, holding, other]) one.release();
      for (const one of [client, added, raised]) assert.equal((await one.response()).status, 200);
    });

    test('are the trial of an upstream whose ejection is over', async (t) => {
      const [flaky, holding] = [await startUpstream(t, echo), await Holding.start(t)];
      let broken = true;
      const under = await startBalancer(t, {
        upstreams: [flaky, { origin: holding.origin, maxInFlight: 1 }], front, maxQueued: 9, ejectAfter: 1,
        queueTimeoutMs: 5_000, rng: () => 0.5,
        connect: ({ origin }) => origin === flaky.origin && broken ? failsWith('ECONNREFUSED') : undefined,
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0'));
      await holding.came(1);
      const waiting = await waits.send(get('/1'));
      broken = false;
      await under.advance(999);
      assert.equal(under.picks.length, 2);
      await under.advance(1);
      assert.equal((await waiting.response()).text, '/1');
      assert.deepEqual(flaky.plainEvents, ['open', 'GET /1']);
      holding.release();
      await client.response();
    });

    test('for one particular upstream do not hold up others', async (t) => {
      const [flaky, holding] = [await startUpstream(t, echo), await Holding.start(t)];
      let broken = true;
      const under = await startBalancer(t, {
        upstreams: [{ origin: flaky.origin, maxInFlight: 1 }, { origin: holding.origin, maxInFlight: 1 }],
        front, maxQueued: 1,
        connect: ({ origin }) => {
          if (origin === flaky.origin && broken) throw new Error('broken');
          return undefined;
        },
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0'));
      await holding.came(1);
      // It has failed on the one, and waits for the other.
      const waiting = await waits.send(get('/1'));
      broken = false;
      assert.equal((await (await under.connect()).exchange(get('/2'))).text, '/2');
      holding.release();
      await holding.came(2);
      holding.release();
      assert.equal((await waiting.response()).text, '/1');
      assert.equal((await client.response()).text, '/0');
    });

    test('have no more than the total time: 504', async (t) => {
      const { holding, under, waits, client } = await startFull(t, {
        front, queueTimeoutMs: 5_000, totalTimeoutMs: 3_000,
      });
      await under.advance(1_000);
      const waiting = await waits.send(get('/1'));
      holding.release();
      assert.equal((await client.response()).text, '/0');
      await holding.came(2);
      const second = await waits.send(get('/2'));
      await under.advance(2_999);
      assert.equal(waiting.inbox.ended, undefined);
      await under.advance(1);
      for (const one of [waiting, second]) {
        const answer = await one.response();
        assert.deepEqual([answer.status, answer.head.get('proxy-status')], [
          504, 'equipoise; error=http_response_timeout',
        ]);
      }
      assert.equal(holding.targets.length, 2);
    });

    test('are served while the balancer closes, or cut at its end', async (t) => {
      const { holding, under, waits, client } = await startFull(t, { front, queueTimeoutMs: 60_000 });
      const [served, cut] = [await waits.send(get('/served')), await waits.send(get('/cut'))];
      const second = await waits.send(get('/cut'));
      const closing = under.balancer.close({ timeoutMs: 5_000 });
      holding.release();
      assert.equal((await client.response()).text, '/0');
      await holding.came(2);
      holding.release();
      const answer = await served.response();
      assert.deepEqual([answer.text, answer.head.get('connection')], ['/served', 'close']);
      for (const one of [client, served]) one.end();
      await holding.came(3);
      await under.advance(4_999);
      assert.equal(under.outcomes.length, 2);
      await under.advance(1);
      assert.deepEqual(await within(closing, () => 'the close'), { cut: 2 });
      for (const one of [cut, second]) await assert.rejects(one.response(), { name: 'Broken' });
      assert.equal(holding.targets.length, 3, 'who was cut while waiting is not sent');
    });

    test('and fail one after the other as soon as they continue are all answered', async (t) => {
      const holding = await Holding.start(t);
      let broken = false;
      const under = await startBalancer(t, {
        upstreams: [{ origin: holding.origin, maxInFlight: 1 }], front, maxQueued: 100, ejectAfter: 0,
        connect: () => {
          if (broken) throw new Error('broken');
          return undefined;
        },
      });
      const waits = new Waits(under);
      const client = await under.connect();
      client.send(get('/0', 'Connection: close\r\n'));
      await holding.came(1);
      const waiting = [];
      for (let i = 0; i < 100; i++) waiting.push(await waits.send());
      broken = true;
      holding.upstream.peers[0]?.socket.destroy();
      assert.equal((await client.response()).status, 502);
      for (const one of waiting) assert.equal((await one.response()).status, 502);
      assert.equal(under.outcomes.length, 101);
      assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
    });
  });
}
