import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExchangeServices } from '../../src/exchange/services.ts';
import { Front, type FrontRules, type Guest } from '../../src/fronts/front.ts';
import type { Pool } from '../../src/pools/pool.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { turns } from '../support/wait.ts';

/** Sweeping needs no pool. */
const NO_POOL = {} as unknown as Pool;

/** A guest that is late from `at` on, and leaves when it is swept then. */
class LateGuest implements Guest {
  readonly busy = true;
  place = -1;
  readonly swept: number[] = [];
  readonly #front: Front;
  readonly #at: number;

  constructor(front: Front, at: number) {
    this.#front = front;
    this.#at = at;
    front.guests.add(this);
  }

  sweep(now: number): boolean {
    this.swept.push(now);
    if (now < this.#at) return false;
    this.#front.left(this);
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
  /** A front without a balancer: sweeping needs none of it. */
  const front = (): Front => new Front({} as ExchangeServices, NO_POOL, {} as FrontRules, () => undefined);

  test('ends a few guests at a time, so that what else happens comes between', async () => {
    const made = front();
    const guests = Array.from({ length: 25 }, () => new LateGuest(made, 5));
    made.sweep(5);
    const left: number[] = [made.guests.all.length];
    while (made.guests.all.length > 0) {
      await turns(1);
      left.push(made.guests.all.length);
    }
    assert.deepEqual(left, [15, 5, 0]);
    assert.ok(guests.every(({ swept }) => swept.length === 1));
  });

  test('goes on past a guest that throws, reports it, and is rid of it', () => {
    const reports: string[] = [];
    const report = ({ code }: { readonly code: string }): void => {
      reports.push(code);
    };
    const made = new Front({ report } as unknown as ExchangeServices, NO_POOL, {} as FrontRules, () => undefined);
    const first = new LateGuest(made, 5);
    const broken = new LateGuest(made, 5);
    const last = new LateGuest(made, 5);
    const throws = (): never => {
      throw new Error('oh no');
    };
    Object.assign(broken, { sweep: throws, destroy: throws });
    made.sweep(5);
    assert.deepEqual([first.swept, last.swept], [[5], [5]]);
    assert.deepEqual(reports, ['INTERNAL_ERROR']);
    assert.equal(made.guests.all.length, 0);
    // And the next sweep is one again.
    const late = new LateGuest(made, 6);
    made.sweep(6);
    assert.deepEqual(late.swept, [6]);
  });

  test('looks at any number of those that are not late at once', () => {
    const made = front();
    const guests = Array.from({ length: 5_000 }, () => new LateGuest(made, 6));
    made.sweep(5);
    assert.ok(guests.every(({ swept }) => swept.length === 1));
    assert.equal(made.guests.all.length, 5_000);
  });

  test('is not begun anew before it is through', async () => {
    const made = front();
    const guests = Array.from({ length: 25 }, () => new LateGuest(made, 5));
    made.sweep(5);
    made.sweep(6);
    await turns(4);
    made.sweep(7);
    assert.ok(guests.every(({ swept }) => swept.length === 1 && swept[0] === 5));
    const late = new LateGuest(made, 8);
    made.sweep(8);
    assert.deepEqual(late.swept, [8]);
  });

  test('reaches all who are late together: each is told', async (t) => {
    const under = await startBalancer(t, { upstreams: [], headTimeoutMs: 1_000 });
    const clients = await Promise.all(Array.from({ length: 50 }, () => under.connect()));
    for (const client of clients) client.send('GET /');
    // A request on a connection of its own is answered behind all that.
    await (await under.connect()).exchange(get('/seen'));
    under.time.advance(1_000);
    for (const client of clients) assert.equal((await client.response()).status, 408);
  });
});
