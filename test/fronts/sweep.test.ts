import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Downstreams, type OpenDownstream } from '../../src/fronts/downstreams.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { turns } from '../support/wait.ts';

/** A downstream that is late from `at` on, and leaves when it is swept. */
class LateDownstream implements OpenDownstream {
  readonly busy = true;
  place = -1;
  readonly swept: number[] = [];
  readonly #all: Downstreams;
  readonly #at: number;

  constructor(all: Downstreams, at: number) {
    this.#all = all;
    this.#at = at;
    all.add(this);
  }

  sweep(now: number): boolean {
    this.swept.push(now);
    if (now < this.#at) return false;
    this.#all.remove(this);
    return true;
  }

  drain(): void {
    // Not in these tests.
  }

  destroy(): void {
    // Not in these tests.
  }
}

describe('a sweep', () => {
  /** Downstreams without a balancer. What they report is dropped. */
  const downstreams = (): Downstreams => new Downstreams(() => undefined, () => undefined);

  test('ends a few downstreams at a time, so that other work runs in between', async () => {
    const made = downstreams();
    const late = Array.from({ length: 25 }, () => new LateDownstream(made, 5));
    made.sweep(5);
    const left: number[] = [made.size];
    while (made.size > 0) {
      await turns(1);
      left.push(made.size);
    }
    assert.deepEqual(left, [15, 5, 0]);
    assert.ok(late.every(({ swept }) => swept.length === 1));
  });

  test('goes on past a downstream that throws, reports it, and drops it', () => {
    const reports: string[] = [];
    const report = ({ code }: { readonly code: string }): void => {
      reports.push(code);
    };
    const made = new Downstreams(report, () => undefined);
    const first = new LateDownstream(made, 5);
    const broken = new LateDownstream(made, 5);
    const last = new LateDownstream(made, 5);
    const throws = (): never => {
      throw new Error('oh no');
    };
    Object.assign(broken, { sweep: throws, destroy: throws });
    made.sweep(5);
    assert.deepEqual([first.swept, last.swept], [[5], [5]]);
    assert.deepEqual(reports, ['INTERNAL_ERROR']);
    assert.equal(made.size, 0);
    // And the next sweep is one again.
    const late = new LateDownstream(made, 6);
    made.sweep(6);
    assert.deepEqual(late.swept, [6]);
  });

  test('checks any number of those that are not late in one go', () => {
    const made = downstreams();
    const late = Array.from({ length: 5_000 }, () => new LateDownstream(made, 6));
    made.sweep(5);
    assert.ok(late.every(({ swept }) => swept.length === 1));
    assert.equal(made.size, 5_000);
  });

  test('does not start again before it is done', async () => {
    const made = downstreams();
    const late = Array.from({ length: 25 }, () => new LateDownstream(made, 5));
    made.sweep(5);
    made.sweep(6);
    await turns(4);
    made.sweep(7);
    assert.ok(late.every(({ swept }) => swept.length === 1 && swept[0] === 5));
    const another = new LateDownstream(made, 8);
    made.sweep(8);
    assert.deepEqual(another.swept, [8]);
  });

  test('reaches all that are late together: each gets its answer', async (t) => {
    const under = await startBalancer(t, { upstreams: [], headTimeoutMs: 1_000 });
    const clients = await Promise.all(Array.from({ length: 50 }, () => under.connect()));
    for (const client of clients) client.send('GET /');
    // A request on another connection is answered after all that.
    await (await under.connect()).exchange(get('/seen'));
    under.time.advance(1_000);
    for (const client of clients) assert.equal((await client.response()).status, 408);
  });
});
