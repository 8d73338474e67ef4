import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Strategy, Upstream } from '../../src/strategy.ts';
import { first, startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';

/** Returns something that is not a candidate, against the contract. */
function returning(picked: (candidates: readonly Upstream[]) => unknown): Strategy['pick'] {
  return (candidates) => picked(candidates) as Upstream;
}

const FAULTS: readonly (readonly [name: string, pick: Strategy['pick']])[] = [
  ['throws', () => {
    throw new TypeError('oh no');
  }],
  ['throws what is no error', () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error
    throw 'oh no';
  }],
  ['returns null', returning(() => null)],
  ['returns a number', returning(() => 0)],
  ['returns an origin', returning(([candidate]) => candidate?.origin)],
  ['returns a copy of a candidate', returning(([candidate]) => ({ ...candidate }))],
  ['returns what looks like a candidate', returning(([candidate]) => Object.create(candidate ?? null))],
  ['returns the list', returning((candidates) => candidates)],
  ['is asynchronous', returning((candidates) => Promise.resolve(candidates[0]))],
  ['what throws when it is looked at', returning(() => new Proxy({}, {
    get() {
      throw new Error('no');
    },
  }))],
  ['is asynchronous, and fails', returning(() => Promise.reject(new Error('too late')))],
];

for (const front of FRONTS) {
  describe(`a strategy that breaks its contract, through ${front.name}`, () => {
    for (const [name, pick] of FAULTS) {
      test(`${name}: 500, reported with its name, and nothing is counted`, async (t) => {
        const upstream = await startUpstream(t, []);
        const under = await startBalancer(t, { upstreams: [upstream], front, strategy: { name: 'mine', pick } });
        const client = await under.connect();
        const answer = await client.exchange(get());
        assert.equal(answer.status, 500);
        assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_internal_error');
        assert.equal(under.picks.length, 1, 'it is not asked again');
        assert.deepEqual(under.reports, ['STRATEGY_FAILED']);
        assert.match(under.errors[0]?.message ?? '', /\bmine\b/);
        assert.deepEqual(under.balancer.upstreams.map(({ inFlight, picks }) => [inFlight, picks]), [[0, 0]]);
        // The next request has another chance.
        assert.equal((await client.exchange(get())).status, 500);
      });
    }

    test('throws: the report has the cause', async (t) => {
      const cause = new TypeError('oh no');
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        strategy: {
          name: 'mine',
          pick: () => {
            throw cause;
          },
        },
      });
      await (await under.connect()).exchange(get());
      assert.equal(under.errors[0]?.cause, cause);
    });

    test('returns an upstream of another balancer: 500', async (t) => {
      const upstream = await startUpstream(t, []);
      const other = await startBalancer(t, { upstreams: [upstream] });
      const under = await startBalancer(t, {
        upstreams: [upstream], front, strategy: { name: 'mine', pick: () => other.balancer.upstreams[0] },
      });
      assert.equal((await (await under.connect()).exchange(get())).status, 500);
      assert.deepEqual(under.reports, ['STRATEGY_FAILED']);
    });

    test('returns an upstream that was removed: 500', async (t) => {
      const [one, two] = [await startUpstream(t, []), await startUpstream(t, [])];
      const under = await startBalancer(t, {
        upstreams: [one, two], front, strategy: { name: 'mine', pick: () => kept },
      });
      const kept = under.balancer.upstreams[0];
      await under.balancer.remove(one.origin);
      assert.equal((await (await under.connect()).exchange(get())).status, 500);
    });

    test('returns an upstream that is full: 500', async (t) => {
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
      }]);
      const other = await startUpstream(t, []);
      let kept: Upstream | undefined;
      const under = await startBalancer(t, {
        upstreams: [{ origin: upstream.origin, maxInFlight: 1 }, other],
        front,
        strategy: { name: 'mine', pick: (candidates) => kept ??= candidates[0] },
      });
      const held = await under.connect();
      held.send(get('/held'));
      await upstream.read(1);
      assert.equal((await (await under.connect()).exchange(get())).status, 500);
      assert.deepEqual(under.picks[1]?.candidates, [other.origin]);
    });

    test('returns an upstream that has failed the request already: 500, not a second try', async (t) => {
      const refusing = refusingOrigin();
      const upstream = await startUpstream(t, []);
      let kept: Upstream | undefined;
      const under = await startBalancer(t, {
        upstreams: [refusing, upstream],
        front,
        strategy: { name: 'mine', pick: (candidates) => kept ??= candidates[0] },
      });
      assert.equal((await (await under.connect()).exchange(get())).status, 500);
      assert.equal(under.picks.length, 2);
      assert.deepEqual(under.reports, [`CONNECT_REFUSED at ${refusing}`, 'STRATEGY_FAILED']);
    });

    test('declines: 503 with Retry-After, and no fault', async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, {
        upstreams: [upstream], front, strategy: { name: 'mine', pick: () => undefined },
      });
      const client = await under.connect();
      const answer = await client.exchange(get());
      assert.equal(answer.status, 503);
      assert.equal(answer.head.get('retry-after'), '1');
      assert.deepEqual(under.reports, []);
      assert.equal((await client.exchange(get())).status, 503);
    });

    test('fails while an upload waits: its connection ends with the answer', async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, {
        upstreams: [upstream], front, strategy: { name: 'mine', pick: () => undefined },
      });
      const client = await under.connect();
      client.send(post('/', 'hello').subarray(0, -1));
      const answer = await client.response();
      assert.equal(answer.status, 503);
      assert.equal(answer.head.get('connection'), 'close');
    });

    test('throws in settled: reported, and the response is unchanged', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        strategy: {
          ...first,
          name: 'mine',
          settled: () => {
            throw new Error('oh no');
          },
        },
      });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/a'))).text, '/a');
      assert.equal((await client.exchange(get('/b'))).text, '/b');
      await under.settled(2);
      await under.reported(2);
      assert.deepEqual(under.reports, ['STRATEGY_FAILED', 'STRATEGY_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /mine threw in settled/);
    });

    test('throws in changed: reported, and the change is made', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [],
        front,
        strategy: {
          ...first,
          name: 'mine',
          changed: () => {
            throw new Error('oh no');
          },
        },
      });
      const before = under.reports.length;
      under.balancer.add(upstream.origin);
      assert.equal(under.reports.length, before + 1);
      assert.ok(under.reports.every((report) => report === 'STRATEGY_FAILED'));
      assert.match(under.errors[0]?.message ?? '', /mine threw in changed/);
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    });

    test('tries to change the candidates: it cannot', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        strategy: {
          name: 'mine',
          pick: (candidates) => {
            const [candidate] = candidates;
            assert.throws(() => (candidates as Upstream[]).pop(), TypeError);
            assert.ok(candidate !== undefined);
            assert.throws(() => {
              (candidate as { inFlight: number }).inFlight = 7;
            }, TypeError);
            return candidate;
          },
        },
      });
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    });
  });
}

describe('a report that fails', () => {
  test('ends neither the process nor the request', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [refusingOrigin(), upstream] });
    under.onReport = () => {
      throw new Error('the log is full');
    };
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
  });
});
