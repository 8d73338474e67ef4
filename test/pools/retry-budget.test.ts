import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RetryBudget } from '../../src/pools/retry-budget.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { BUSY } from '../support/replies.ts';
import { close, echo, refusingOrigin, request, response, serve, startUpstream } from '../support/upstream.ts';

const START = 1_000_000;

/** A budget, and its time. */
class Spender {
  now: number;
  readonly #budget: RetryBudget;

  constructor(percent: number, perSecond: number, start = START) {
    this.now = start;
    this.#budget = new RetryBudget(percent, perSecond, start);
  }

  requests(count: number): this {
    for (let i = 0; i < count; i++) this.#budget.begun();
    return this;
  }

  wait(ms: number): this {
    this.now += ms;
    this.#budget.sweep(this.now);
    return this;
  }

  /** Takes everything available, up to a limit. */
  takeAll(limit = 10_000): number {
    let taken = 0;
    while (taken < limit && this.#budget.take()) taken++;
    return taken;
  }
}

describe('a retry budget', () => {
  test('is a share of the requests of the last ten seconds', () => {
    assert.equal(new Spender(20, 0).requests(100).takeAll(), 20);
    assert.equal(new Spender(20, 0).requests(99).takeAll(), 19, 'no part of one');
    assert.equal(new Spender(100, 0).requests(7).takeAll(), 7);
    assert.equal(new Spender(0, 0).requests(1_000).takeAll(), 0);
    assert.equal(new Spender(20, 0).takeAll(), 0);
  });

  test('and a minimum per second, ten seconds of it at once', () => {
    assert.equal(new Spender(0, 3).takeAll(), 30);
    assert.equal(new Spender(20, 3).requests(100).takeAll(), 50);
  });

  test('stays spent until requests or time bring more', () => {
    const spender = new Spender(20, 1).requests(50);
    assert.equal(spender.takeAll(), 20);
    assert.equal(spender.wait(500).takeAll(), 0);
    assert.equal(spender.requests(10).takeAll(), 2);
    assert.equal(spender.requests(4).takeAll(), 0);
    assert.equal(spender.requests(1).takeAll(), 1);
  });

  test('forgets requests and retries after ten seconds, together', () => {
    const spender = new Spender(20, 0).requests(100);
    assert.equal(spender.takeAll(5), 5);
    assert.equal(spender.wait(9_999).takeAll(10), 10);
    // The requests and the five retries drop out now; ten belong to a second that is not over.
    assert.equal(spender.wait(1).takeAll(), 0);
    assert.equal(spender.requests(60).takeAll(), 2);
    assert.equal(spender.wait(9_999).takeAll(), 10, 'those of the ninth second have gone');
  });

  test('slides by the second', () => {
    const spender = new Spender(100, 0);
    for (let second = 0; second < 30; second++) spender.requests(10).wait(1_000);
    // Nine whole seconds, and the current one.
    assert.equal(spender.takeAll(), 90);
  });

  for (const ms of [10_000, 15_000, 3_600_000, 86_400_000 * 365]) {
    test(`forgets everything over an idle time of ${ms} ms`, () => {
      const spender = new Spender(50, 0).requests(1_000);
      assert.equal(spender.takeAll(100), 100);
      assert.equal(spender.wait(ms).takeAll(), 0);
      assert.equal(spender.requests(10).takeAll(), 5);
      assert.equal(spender.wait(ms).requests(10).takeAll(), 5);
    });
  }

  for (const start of [0, 0.5, 999.999, 1_000, 12_345_678.9]) {
    test(`may start at any time, such as ${start} ms`, () => {
      const spender = new Spender(50, 0, start).requests(10);
      assert.equal(spender.takeAll(2), 2);
      assert.equal(spender.wait(8_000).takeAll(), 3);
      assert.equal(spender.wait(20_000).requests(4).takeAll(), 2);
    });
  }

  test('is the same however often it is read', () => {
    const often = new Spender(30, 2);
    const rarely = new Spender(30, 2);
    let [first, second] = [0, 0];
    for (let i = 0; i < 400; i++) {
      first += often.requests(3).wait(100).takeAll();
      rarely.requests(3);
      if (i % 10 === 9) second += rarely.wait(1_000).takeAll();
    }
    // What each may spend in the long run: two a second, and three of ten of thirty requests a second.
    for (const spent of [first, second]) assert.ok(Math.abs(spent - 40 * (2 + 9)) <= 2 * 11 + 20, String(spent));
  });

  test('is never overspent within any ten seconds', () => {
    const spender = new Spender(20, 1);
    const requests: number[] = [];
    const retries: number[] = [];
    for (let second = 0; second < 100; second++) {
      const count = second % 7 === 0 ? 100 : 3;
      requests.push(count);
      retries.push(spender.requests(count).takeAll());
      const sum = (counts: number[]): number => counts.slice(-10).reduce((a, b) => a + b, 0);
      assert.ok(sum(retries) <= 10 + 0.2 * sum(requests), `second ${second}`);
      spender.wait(1_000);
    }
    assert.ok(retries.reduce((a, b) => a + b, 0) > 300, 'nor is it never spent');
  });
});

for (const front of FRONTS) {
  describe(`where everything fails, through ${front.name}`, () => {
    test('retries stay within the budget: other requests get the answer of their only attempt', async (t) => {
      const upstreams = [await startUpstream(t, serve(() => BUSY)), await startUpstream(t, serve(() => BUSY))];
      const under = await startBalancer(t, {
        upstreams, front, retryOn: [503], retryBudgetPercent: 20, minRetriesPerSecond: 1, ejectAfter: 0,
      });
      const client = await under.connect();
      for (let i = 1; i <= 100; i++) {
        const answer = await client.exchange(get());
        assert.deepEqual([answer.status, answer.text], [503, 'busy']);
        assert.ok(under.picks.length <= i + 10 + 0.2 * i, `${under.picks.length} attempts of ${i} requests`);
      }
      assert.equal(under.picks.length, 100 + 10 + 20);
      await under.advance(20_000);
      assert.equal((await client.exchange(get())).status, 503);
      assert.equal(under.picks.length, 132, 'there is a budget again');
    });

    test('without a budget nothing is retried by its status', async (t) => {
      const upstream = await startUpstream(t, serve(() => BUSY));
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, {
        upstreams: [upstream, other], front, retryOn: [503], retryBudgetPercent: 0, minRetriesPerSecond: 0,
      });
      assert.equal((await (await under.connect()).exchange(get())).text, 'busy');
    });

    test('attempts that cost no upstream any work cost no budget', async (t) => {
      const upstream = await startUpstream(t, [[request, response('warm'), request, close], echo]);
      const under = await startBalancer(t, {
        upstreams: [upstream, refusingOrigin()], front, retryOn: [502, 503], retryBudgetPercent: 0,
        minRetriesPerSecond: 0, ejectAfter: 0,
        strategy: { name: 'by target', pick: (candidates, { request: asked }) => {
          return candidates.at(asked.target === '/refused' ? -1 : 0);
        } },
      });
      const client = await under.connect();
      assert.equal((await client.exchange(get())).text, 'warm');
      // The idle connection closes: once more on a new one; the other upstream is refused first.
      assert.equal((await client.exchange(get('/stale'))).text, '/stale');
      for (let i = 0; i < 20; i++) assert.equal((await client.exchange(get('/refused'))).text, '/refused');
      assert.ok(under.reports.length > 20);
    });
  });
}
