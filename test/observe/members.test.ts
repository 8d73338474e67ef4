/**
 * Metrics of several workers, over the launcher's own channel, in one process and in virtual time.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Channel } from '../../src/channel.ts';
import { Members, type Source } from '../../src/observe/members.ts';
import type { Gauges } from '../../src/observe/families.ts';
import { type Owner, REMOVED, type Row, type Totals } from '../../src/observe/totals.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { FakeWorkers } from '../support/channel.ts';
import { turns } from '../support/wait.ts';

/** A worker that counts, and whose event loop can hang. */
class Worker implements Source {
  readonly id: number;
  readonly members: Members;
  /** Counted, and not handed over. */
  pending = 0;
  rows: Row[] = [];
  owners: Owner[] | undefined;
  /** What it says of its process. */
  process: Record<string, number> = {};
  /** Whether it says nothing more of itself. */
  silent = false;

  constructor(id: number, channel: Channel | undefined, time: VirtualTime) {
    this.id = id;
    this.members = new Members(this, channel, time);
  }

  count(requests: number): void {
    this.pending += requests;
  }

  take(): Row[] {
    const rows = this.rows;
    if (this.pending > 0) rows.push({ kind: 'requests', labels: ['default', 'GET', '200'], values: [this.pending] });
    this.pending = 0;
    this.rows = [];
    return rows;
  }

  gauges(): Promise<Gauges> {
    if (this.silent) return new Promise(() => undefined);
    const { process } = this;
    return Promise.resolve({ worker: String(this.id), openConnections: 1, queued: {}, upstreams: [], process });
  }

  exists({ pool, upstream }: Owner): boolean {
    return this.owners?.some((owner) => owner.pool === pool && owner.upstream === upstream) ?? true;
  }
}

class Fleet {
  readonly time = new VirtualTime();
  readonly fake = new FakeWorkers();
  readonly workers = new Map<number, Worker>();
  #last = 0;

  /** Starts so many workers, and lets them meet. */
  static async of(count: number): Promise<Fleet> {
    const fleet = new Fleet();
    for (let i = 0; i < count; i++) fleet.add();
    await fleet.pass(600);
    return fleet;
  }

  add(): Worker {
    const id = ++this.#last;
    const worker = new Worker(id, this.fake.channel(id, 'metrics'), this.time);
    this.workers.set(id, worker);
    return worker;
  }

  at(id: number): Worker {
    const worker = this.workers.get(id);
    assert.ok(worker !== undefined, `worker ${id}`);
    return worker;
  }

  /** Kills a worker: what it has not sent is lost. */
  kill(id: number): number {
    const worker = this.at(id);
    this.workers.delete(id);
    this.fake.end(id);
    const lost = worker.pending;
    worker.pending = 0;
    // Its process is gone: it says nothing more, whatever its timers do here.
    worker.take = () => [];
    return lost;
  }

  /** Lets `ms` pass, in ticks. */
  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 100) {
      this.time.advance(100);
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      this.fake.deliver();
      await turns(1);
    }
  }

  /** What a scrape of this worker shows, and how many workers it knows. */
  async scrape(id: number): Promise<{ readonly requests: number; readonly workers: number }> {
    const { totals, gauges } = await this.gather(id);
    return { requests: sum(totals), workers: gauges.length };
  }

  async gather(id: number): ReturnType<Members['gather']> {
    const gathered = this.at(id).members.gather();
    const state = { done: false };
    void gathered.finally(() => {
      state.done = true;
    });
    for (let i = 0; !state.done && i < 50; i++) {
      await this.settle();
      if (i > 2) this.time.advance(100);
    }
    assert.ok(state.done, `a scrape of worker ${id} ends`);
    return await gathered;
  }

  /** Workers end on their own, so that no timer is left. */
  async end(): Promise<void> {
    for (const worker of this.workers.values()) {
      const closed = worker.members.close();
      await this.settle();
      this.time.advance(400);
      await closed;
    }
  }
}

function sum(totals: Totals, kind: Row['kind'] = 'requests'): number {
  let count = 0;
  for (const { values } of totals.of(kind)) count += values[0] ?? 0;
  return count;
}

describe('metrics of several workers', () => {
  test('what a process said of itself to a scraper, the others know: counters of processes do not fall', async () => {
    const fleet = await Fleet.of(2);
    fleet.at(1).process = { process_cpu_seconds_total: 1 };
    await fleet.gather(2);
    fleet.at(1).process = { process_cpu_seconds_total: 2 };
    await fleet.gather(1);
    fleet.at(1).silent = true;
    const { gauges } = await fleet.gather(2);
    const first = gauges.find(({ worker }) => worker === '1');
    assert.deepEqual(first?.process, { process_cpu_seconds_total: 2 });
    await fleet.end();
  });

  test('each scrape shows the sum of all, at once, whichever worker it reaches', async () => {
    const fleet = await Fleet.of(3);
    for (const worker of fleet.workers.values()) worker.count(worker.id * 10);
    assert.deepEqual(await fleet.scrape(2), { requests: 60, workers: 3 });
    fleet.at(1).count(5);
    assert.deepEqual(await fleet.scrape(3), { requests: 65, workers: 3 });
    assert.deepEqual(await fleet.scrape(1), { requests: 65, workers: 3 });
    await fleet.end();
  });

  test('what a worker has sent stays when it is killed, and no more than a tick of it is lost', async () => {
    const fleet = await Fleet.of(3);
    fleet.at(1).count(100);
    await fleet.pass(100);
    fleet.at(1).count(7);
    assert.equal(fleet.kill(1), 7);
    assert.deepEqual(await fleet.scrape(2), { requests: 100, workers: 2 });
    assert.deepEqual(await fleet.scrape(3), { requests: 100, workers: 2 });
    await fleet.end();
  });

  test('what a scrape has shown outlives its worker', async () => {
    const fleet = await Fleet.of(2);
    fleet.at(1).count(9);
    assert.equal((await fleet.scrape(1)).requests, 9);
    assert.equal(fleet.kill(1), 0);
    assert.equal((await fleet.scrape(2)).requests, 9);
    await fleet.end();
  });

  test('the totals survive the death of all workers at once', async () => {
    const fleet = await Fleet.of(2);
    fleet.at(1).count(30);
    fleet.at(2).count(3);
    await fleet.pass(200);
    fleet.at(2).count(4);
    assert.equal((await fleet.scrape(2)).requests, 37);
    fleet.kill(1);
    fleet.kill(2);
    fleet.add();
    await fleet.settle();
    fleet.at(3).count(1);
    assert.deepEqual(await fleet.scrape(3), { requests: 38, workers: 1 });
    await fleet.end();
  });

  test('a worker that comes later learns the past, also when those who know it leave at once', async () => {
    const fleet = await Fleet.of(2);
    for (let reload = 1; reload <= 10; reload++) {
      for (const worker of fleet.workers.values()) worker.count(10);
      const before = [...fleet.workers.keys()];
      fleet.add();
      fleet.add();
      await fleet.settle();
      for (const id of before) {
        const closing = fleet.at(id).members.close();
        await fleet.settle();
        await closing;
        fleet.workers.delete(id);
        fleet.fake.end(id);
      }
      for (const id of fleet.workers.keys()) {
        assert.deepEqual(await fleet.scrape(id), { requests: reload * 20, workers: 2 });
      }
    }
    await fleet.end();
  });

  test('a newcomer answers no scrape before it knows the totals', async () => {
    const fleet = await Fleet.of(1);
    fleet.at(1).count(50);
    await fleet.pass(100);
    const read = fleet.fake.stop(1);
    const late = fleet.add();
    let shown: number | undefined;
    void late.members.gather().then(({ totals }) => {
      shown = sum(totals);
    });
    await fleet.pass(500);
    assert.equal(shown, undefined);
    read();
    await fleet.pass(400);
    assert.equal(shown, 50);
    await fleet.end();
  });

  test('a worker that hangs does not hold up a scrape: its last report counts', async () => {
    const fleet = await Fleet.of(3);
    fleet.at(2).count(4);
    await fleet.pass(100);
    const wake = fleet.fake.stop(2);
    fleet.at(1).count(1);
    assert.equal((await fleet.scrape(1)).requests, 5);
    wake();
    await fleet.pass(100);
    assert.equal((await fleet.scrape(2)).requests, 5);
    await fleet.end();
  });

  test('no counter goes back while workers are late by less than a second, as on an overloaded machine', async () => {
    const fleet = await Fleet.of(2);
    fleet.at(2).count(4);
    const shown: number[] = [];
    const scrape = (id: number): void => {
      void fleet.at(id).members.gather().then(({ totals }) => shown.push(sum(totals)));
    };
    const read = fleet.fake.stop(1);
    scrape(2);
    await fleet.pass(500);
    scrape(1);
    await fleet.pass(400);
    read();
    await fleet.pass(100);
    assert.deepEqual(shown, [4, 4]);
    await fleet.end();
  });

  test('a worker that missed messages starts over, and has the same totals as the others', async () => {
    const fleet = await Fleet.of(3);
    const wake = fleet.fake.stop(3);
    for (let i = 0; i < 400; i++) {
      fleet.at(1).count(1);
      fleet.at(2).count(1);
      await fleet.pass(100);
    }
    wake();
    await fleet.pass(300);
    assert.ok(fleet.fake.told.some(([to, heard]) => to === 3 && heard.some(({ type }) => type === 'missed')));
    assert.equal((await fleet.scrape(3)).requests, 800);
    assert.equal((await fleet.scrape(1)).requests, 800);
    await fleet.end();
  });

  test('no counter goes back, and none is lost, whatever workers do', async () => {
    const seed = Number(process.env['EQUIPOISE_SEED'] ?? 20_261_126);
    const rng = seededRandom(seed);
    const pick = (count: number): number => Math.floor(rng() * count);
    const fleet = await Fleet.of(3);
    let counted = 0;
    let shown = 0;
    for (let step = 0; step < 600; step++) {
      const ids = [...fleet.workers.keys()];
      const id = ids[pick(ids.length)] ?? 0;
      const what = rng();
      if (what < 0.5) {
        const count = pick(5);
        fleet.at(id).count(count);
        counted += count;
      } else if (what < 0.7) await fleet.pass(100);
      else if (what < 0.78 && ids.length < 6) fleet.add();
      else if (what < 0.84 && ids.length > 2) {
        // Until the newcomers have met the others, those must not all go.
        await fleet.pass(300);
        counted -= fleet.kill(id);
      } else {
        const { requests } = await fleet.scrape(id);
        const why = `seed ${seed}, step ${step}, worker ${id}`;
        assert.ok(requests >= shown, `${why}: ${requests} after ${shown}`);
        assert.equal(requests, counted, why);
        shown = requests;
      }
    }
    await fleet.end();
  });

  test('messages that are not understood are ignored', async () => {
    const fleet = await Fleet.of(1);
    const { members } = fleet.at(1);
    const row = { kind: 'requests', labels: ['default', 'GET', '200'], values: [1] };
    const odd: unknown[] = [
      undefined, null, 5, 'x', [], {}, { me: 5 }, { me: 'a', change: 7 }, { me: 'a', change: { seq: 'x', add: [row] } },
      { me: 'a', change: { seq: 1, add: 'rows', retire: 5 } },
      { me: 'a', change: { seq: 2, add: [{ ...row, kind: 'other' }, { ...row, labels: ['x'] }] } },
      { me: 'a', change: { seq: 2, add: [{ ...row, values: [-1] }, { ...row, values: ['1'] }] } },
      { me: 'a', change: { seq: 3, add: [{ ...row, kind: 'toString' }, null, 3], retire: [null, { pool: 5 }] } },
      { me: 'a', state: { rows: [row], seqs: {} } }, { me: 'a', answer: { to: 5, ask: {}, gauges: [] } },
    ];
    for (const message of odd) members.heard(message, 7);
    members.left(7);
    assert.equal((await fleet.scrape(1)).requests, 0);
    await fleet.end();
  });
});

describe('the counters of upstreams that come and go', () => {
  const rowOf = (origin: string): Row => ({ kind: 'attempts', labels: ['default', origin, '200'], values: [1] });

  test('100,000 origins leave a bounded number of series, and their sum stays', async () => {
    const fleet = await Fleet.of(2);
    fleet.at(1).owners = fleet.at(2).owners = [{ pool: 'default', upstream: 'http://stays:1' }];
    fleet.at(1).rows.push(rowOf('http://stays:1'));
    for (let i = 0; i < 100_000; i++) {
      fleet.at(1 + i % 2).rows.push(rowOf(`http://${i}:1`));
      if (i % 5_000 === 4_999) await fleet.pass(100);
    }
    await fleet.pass(1_000);
    for (const id of [1, 2]) {
      const { totals } = await fleet.gather(id);
      assert.equal(sum(totals, 'attempts'), 100_001);
      assert.ok(totals.owners < 3_000, `${totals.owners} upstreams`);
      assert.ok([...totals.of('attempts')].some(({ labels }) => labels[1] === 'http://stays:1'));
      assert.ok([...totals.of('attempts')].some(({ labels }) => labels[1] === REMOVED));
    }
    await fleet.end();
  });

  test('a removed upstream keeps its series for ten minutes', async () => {
    const time = new VirtualTime();
    const worker = new Worker(1, undefined, time);
    worker.owners = [];
    worker.rows.push(rowOf('http://a:1'));
    const origins = async (): Promise<string[]> => {
      const { totals } = await worker.members.gather();
      return [...totals.of('attempts')].map(({ labels }) => labels[1] ?? '');
    };
    assert.deepEqual(await origins(), ['http://a:1']);
    time.advance(599_000);
    assert.deepEqual(await origins(), ['http://a:1']);
    time.advance(2_000);
    assert.deepEqual(await origins(), [REMOVED]);
    await worker.members.close();
  });
});
