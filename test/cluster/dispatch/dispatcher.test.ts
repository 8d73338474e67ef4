import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { leastConnections } from '../../../strategies/least-connections.ts';
import { Dispatcher } from '../../../src/cluster/dispatch/dispatcher.ts';
import type { Outcome, Strategy, WorkerCandidate } from '../../../src/strategy.ts';
import { VirtualTime } from '../../../src/testing/time.ts';

const first: Strategy<WorkerCandidate> = { name: 'first', pick: (candidates) => candidates[0] };

describe('a connection', () => {
  test('goes to the worker that the strategy picks, and is counted until it has closed', () => {
    const under = new Under(leastConnections({ rng: () => 0.9 }), 2);
    for (let i = 0; i < 4; i++) under.connect();
    assert.deepEqual(under.counts(), [2, 2]);
    under.dispatcher.news(1, { taken: [1, 2, 3, 4], closed: under.of(1) });
    assert.deepEqual(under.counts(), [0, 2]);
    under.connect();
    under.connect();
    assert.deepEqual(under.counts(), [2, 2]);
  });

  test('is closed in the primary when the worker has it, not before', () => {
    const under = new Under(first, 1);
    const socket = under.connect();
    assert.equal(socket.destroyed, false);
    under.dispatcher.news(1, { taken: [1], closed: [] });
    assert.equal(socket.destroyed, true);
  });

  test('that a worker had not accepted when it died goes to another one', () => {
    const under = new Under(first, 2);
    const [taken, untaken] = [under.connect(), under.connect()];
    under.dispatcher.news(1, { taken: [1], closed: [] });
    under.dispatcher.gone(1);
    assert.deepEqual(under.sent, [[1, taken], [1, untaken], [2, untaken]]);
    assert.equal(untaken.destroyed, false);
  });

  test('waits until a worker is ready', () => {
    const under = new Under(first, 0);
    const socket = under.connect();
    assert.deepEqual(under.sent, []);
    under.dispatcher.add(1, 1001);
    assert.deepEqual(under.sent, [[1, socket]]);
  });

  test('does not go to a worker that drains', () => {
    const under = new Under(first, 2);
    under.dispatcher.drain(1);
    const socket = under.connect();
    assert.deepEqual(under.sent, [[2, socket]]);
  });

  test('does not go to a worker that does not accept what it was sent, while there is another', () => {
    const under = new Under(first, 2);
    const sentTo = (): number | undefined => {
      under.connect();
      return under.sent.at(-1)?.[0];
    };
    assert.equal(sentTo(), 1);
    under.time.advance(10);
    assert.equal(sentTo(), 1, 'it is not late yet');
    under.time.advance(1);
    assert.equal(sentTo(), 2);
    under.time.advance(11);
    assert.equal(sentTo(), 1, 'neither takes them');
    under.dispatcher.news(1, { taken: [1, 2, 4], closed: [] });
    under.dispatcher.news(2, { taken: [3], closed: [] });
    assert.equal(sentTo(), 1);
  });

  test('is closed after the end', () => {
    const under = new Under(first, 0);
    const waiting = under.connect();
    under.dispatcher.close();
    under.dispatcher.add(1, 1001);
    const late = under.connect();
    assert.deepEqual([waiting.destroyed, late.destroyed, under.sent.length], [true, true, 0]);
  });
});

describe('the strategy', () => {
  test('sees the ready workers, and is notified of changes and closed connections', () => {
    const seen: string[] = [];
    const outcomes: Outcome[] = [];
    const under = new Under({
      name: 'watching',
      changed: (candidates) => void seen.push(candidates.map(({ id }) => id).join()),
      pick: (candidates, context) => {
        const { attempt, request } = context;
        context.note = seen.length;
        seen.push(candidates.map(({ id, weight, pid, inFlight }) => [id, weight, pid, inFlight].join(':')).join());
        assert.deepEqual([attempt, request], [1, undefined]);
        return candidates[0];
      },
      settled: (_candidate, outcome) => void outcomes.push(outcome),
    }, 2);
    under.connect();
    under.connect();
    under.time.advance(50);
    under.dispatcher.news(1, { taken: [1, 2], closed: [1] });
    under.dispatcher.gone(1);
    assert.deepEqual(seen, ['1', '1,2', '1:1:1001:0,2:1:1002:0', '1:1:1001:1,2:1:1002:0', '2']);
    assert.deepEqual(outcomes, [
      { ok: true, status: undefined, durationMs: 50, error: undefined, now: 1_000_050, note: 2 },
      { ok: false, status: undefined, durationMs: 50, error: 'WORKER_GONE', now: 1_000_050, note: 3 },
    ]);
  });

  test('sees how busy a worker is; a silent one counts as busy', () => {
    let loads: readonly number[] = [];
    const under = new Under({
      name: 'loads',
      pick: (candidates) => {
        loads = candidates.map(({ load }) => load);
        return candidates[0];
      },
    }, 2);
    under.time.advance(600);
    under.dispatcher.busy(1, 0.25);
    under.time.advance(600);
    under.connect();
    assert.deepEqual(loads, [0.25, 1]);
  });

  const faults: readonly [what: string, strategy: Strategy<WorkerCandidate>, fault: string | undefined][] = [
    ['declines', { name: 'bad', pick: () => undefined }, undefined],
    ['throws', { name: 'bad', pick: () => { throw new Error('no luck'); } },
      'strategy bad threw in pick: no luck; the connection was closed'],
    ['picks something that is not a candidate', { name: 'bad', pick: ([one]) => one && { ...one } },
      'strategy bad picked something that is not a candidate; the connection was closed'],
  ];
  for (const [what, strategy, fault] of faults) {
    test(`that ${what}: the connection is closed`, () => {
      const under = new Under(strategy, 2);
      assert.equal(under.connect().destroyed, true);
      assert.deepEqual([under.sent, under.faults], [[], fault === undefined ? [] : [fault]]);
    });
  }

  const nameless: readonly [what: string, read: () => string][] = [
    ['throws', () => { throw new Error('no name'); }],
    ['is not a string', () => Symbol('bad') as unknown as string],
  ];
  for (const [what, read] of nameless) {
    test(`whose name ${what} still has its faults reported`, () => {
      const throwing: Strategy<WorkerCandidate> = {
        get name() { return read(); },
        pick: () => { throw new Error('no luck'); },
      };
      assert.equal(faultOf(throwing), 'strategy without a name threw in pick: no luck; the connection was closed');
      const straying: Strategy<WorkerCandidate> = {
        get name() { return read(); },
        pick: ([one]) => one && { ...one },
      };
      assert.equal(faultOf(straying),
        'strategy without a name picked something that is not a candidate; the connection was closed');
    });
  }
});

/** The one fault that dispatching a connection reports. */
function faultOf(strategy: Strategy<WorkerCandidate>): string | undefined {
  const under = new Under(strategy, 1);
  assert.equal(under.connect().destroyed, true);
  assert.equal(under.faults.length, 1);
  return under.faults[0];
}

class Under {
  readonly time = new VirtualTime();
  readonly sent: [worker: number, socket: Socket][] = [];
  readonly faults: string[] = [];
  readonly dispatcher: Dispatcher;
  readonly #workers: number;
  readonly #numbers: [worker: number, connection: number][] = [];
  #candidates: readonly WorkerCandidate[] = [];

  constructor(strategy: Strategy<WorkerCandidate>, workers: number) {
    this.#workers = workers;
    const watched: Strategy<WorkerCandidate> = {
      get name() {
        return strategy.name;
      },
      pick: (candidates, context) => strategy.pick(candidates, context),
      settled: (candidate, outcome) => strategy.settled?.(candidate, outcome),
      changed: (candidates) => {
        this.#candidates = candidates;
        strategy.changed?.(candidates);
      },
    };
    this.dispatcher = new Dispatcher(watched, {
      send: (worker, connection, socket) => {
        this.sent.push([worker, socket]);
        this.#numbers.push([worker, connection]);
      },
      onFault: (why) => this.faults.push(why),
      now: () => this.time.now(),
    });
    for (let id = 1; id <= workers; id++) this.dispatcher.add(id, 1000 + id);
  }

  connect(): Socket {
    const socket = new Socket();
    this.dispatcher.dispatch(socket);
    return socket;
  }

  /** The numbers of the connections sent to a worker. */
  of(worker: number): number[] {
    return this.#numbers.filter(([other]) => other === worker).map(([, connection]) => connection);
  }

  /** What each worker has in flight. */
  counts(): number[] {
    assert.equal(this.#candidates.length, this.#workers);
    return this.#candidates.map(({ inFlight }) => inFlight);
  }
}
