import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ChannelMember, ChannelSeat } from '../../../src/channel.ts';
import { FakeWorkers } from '../../support/channel.ts';

/** A member of a channel, and everything that it received. */
class Member implements ChannelMember {
  readonly events: string[] = [];
  readonly seat: ChannelSeat;

  constructor(workers: FakeWorkers, worker: number, channel?: string) {
    this.seat = workers.channel(worker, channel).join(this);
  }

  heard(message: unknown, from: number): void {
    this.events.push(`${from}: ${JSON.stringify(message)}`);
  }

  left(from: number): void {
    this.events.push(`${from} left`);
  }

  leads(leading: boolean): void {
    this.events.push(leading ? 'leads' : 'leads no more');
  }

  /** What it received since the last call. */
  take(): string[] {
    return this.events.splice(0);
  }
}

function launch(count: number): { workers: FakeWorkers; members: Member[] } {
  const workers = new FakeWorkers();
  const members = Array.from({ length: count }, (_, i) => new Member(workers, i + 1));
  workers.deliver();
  for (const member of members) member.take();
  return { workers, members };
}

describe('on a channel', () => {
  test('all members but the sender get each message, in order', () => {
    const { workers, members: [a, b, c] } = launch(3);
    a?.seat.send({ n: 1 });
    b?.seat.send('two');
    a?.seat.send([3]);
    workers.deliver();
    assert.deepEqual([a?.take(), b?.take(), c?.take()], [
      ['2: "two"'], ['1: {"n":1}', '1: [3]'], ['1: {"n":1}', '2: "two"', '1: [3]'],
    ]);
  });

  test('the messages of one turn are delivered together', () => {
    const { workers, members: [a, b] } = launch(3);
    workers.told.length = 0;
    for (let i = 0; i < 10; i++) {
      a?.seat.send(i);
      b?.seat.send(i);
    }
    workers.deliver();
    assert.deepEqual(workers.told.map(([worker, heard]) => [worker, heard.length]), [[1, 10], [2, 10], [3, 20]]);
  });

  test('members do not get messages of other channels', () => {
    const { workers, members: [a] } = launch(2);
    const other = new Member(workers, 1, 'other');
    const another = new Member(workers, 2, 'other');
    workers.deliver();
    other.take();
    other.seat.send('here');
    workers.deliver();
    assert.deepEqual([another.take(), a?.take()], [['1: "here"'], []]);
  });

  test('a member that left gets nothing, cannot send, and may join again', () => {
    const { workers, members: [a, b, c] } = launch(3);
    b?.seat.leave();
    b?.seat.leave();
    let sent = 0;
    b?.seat.send('after', () => sent++);
    a?.seat.send('one');
    workers.deliver();
    assert.deepEqual([a?.take(), b?.take(), c?.take(), sent], [['2 left'], [], ['2 left', '1: "one"'], 1]);
    const again = new Member(workers, 2);
    a?.seat.send('two');
    workers.deliver();
    assert.deepEqual(again.take(), ['1: "two"']);
    b?.seat.send('by the seat that was left');
    workers.deliver();
    assert.deepEqual(a?.take(), []);
  });

  test('a worker joins once', () => {
    const { workers } = launch(1);
    const message = /'upstreams': this worker has joined it already/;
    assert.throws(() => new Member(workers, 1), { code: 'OPTIONS_INVALID', message });
  });

  test('the others are notified when a process ends, and nothing is kept for it', () => {
    const { workers, members: [a, b] } = launch(2);
    b?.seat.send('last word');
    a?.seat.send('too late');
    workers.end(2);
    workers.deliver();
    assert.deepEqual([a?.take(), b?.take()], [['2: "last word"', '2 left'], []]);
  });

  test('without members, nothing is sent', () => {
    const workers = new FakeWorkers();
    workers.channel(1);
    workers.channel(2, 'other');
    workers.deliver();
    assert.deepEqual([workers.said, workers.told], [[], []]);
  });

  test('messages of a worker that has not joined are dropped', () => {
    const { workers, members: [a] } = launch(1);
    workers.relay.hear(7, { type: 'send', channel: 'upstreams', value: 1 });
    workers.relay.hear(7, { type: 'send', channel: 'nowhere', value: 1 });
    workers.relay.hear(7, { type: 'leave', channel: 'upstreams' });
    workers.deliver();
    assert.deepEqual(a?.take(), []);
  });
});

describe('the leader of a channel', () => {
  test('is the member that joined first', () => {
    const workers = new FakeWorkers();
    const [a, b] = [new Member(workers, 1), new Member(workers, 2)];
    workers.deliver();
    assert.deepEqual([a.take(), b.take()], [['leads'], []]);
  });

  for (const [name, end] of [
    ['it drains', (workers: FakeWorkers) => { workers.relay.drain(1); }],
    ['its process ends', (workers: FakeWorkers) => { workers.end(1); }],
    ['it leaves', (_: FakeWorkers, a: Member) => { a.seat.leave(); }],
  ] as const) {
    test(`is another member when ${name}`, () => {
      const { workers, members: [a, b, c] } = launch(3);
      assert.ok(a !== undefined);
      end(workers, a);
      workers.deliver();
      const [told, toldC] = [b?.take().filter((event) => event !== '1 left'), c?.take()];
      assert.deepEqual([told, toldC?.includes('leads')], [['leads'], false]);
      assert.deepEqual(a.take(), name === 'it drains' ? ['leads no more'] : []);
    });
  }

  test('is never a draining member; the next one that can lead does', () => {
    const { workers, members: [a, b] } = launch(2);
    workers.relay.drain(2);
    workers.relay.drain(1);
    workers.deliver();
    assert.deepEqual([a?.take(), b?.take()], [['leads no more'], []]);
    const late = new Member(workers, 3);
    workers.deliver();
    assert.deepEqual(late.take(), ['leads']);
    workers.end(1);
    workers.end(2);
    workers.deliver();
    assert.deepEqual(late.take(), ['1 left', '2 left']);
  });
});
