import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Sender, Turn } from '../../src/loop/turn.ts';
import { turns } from '../support/wait.ts';

/** Senders that record when they have sent. */
function senders(count: number, log: string[], from = 0): Sender[] {
  return Array.from({ length: count }, (_, i) => ({ send: () => log.push(`${from + i}`) }));
}

describe('the end of a turn', () => {
  test('is when waiting senders send, in order', async () => {
    const turn = new Turn();
    const log: string[] = [];
    for (const sender of senders(12, log)) assert.equal(turn.defers(sender), true);
    await Promise.resolve();
    log.push('still in the turn');
    await turns(1);
    assert.deepEqual(log, ['still in the turn', ...Array.from({ length: 12 }, (_, i) => `${i}`)]);
    await turns(3);
    assert.equal(log.length, 13, 'each once');
  });

  test('comes again and again, for many senders', async () => {
    const turn = new Turn();
    const log: string[] = [];
    for (let round = 0; round < 5; round++) {
      for (const sender of senders(10, log, round * 10)) assert.equal(turn.defers(sender), true);
      await turns(1);
      assert.equal(log.length, (round + 1) * 10);
    }
  });

  test('senders with more to send while others send wait for the next one', async () => {
    const turn = new Turn();
    const log: string[] = [];
    const again: Sender = { send: () => log.push('later') };
    turn.defers({ send: () => log.push(`first: ${turn.defers(again)}`) });
    for (const sender of senders(5, log)) turn.defers(sender);
    await turns(1);
    assert.deepEqual(log, ['first: true', '0', '1', '2', '3', '4']);
    await turns(1);
    assert.equal(log.at(-1), 'later');
  });

  test('a sender that throws does not keep others from sending', async () => {
    const turn = new Turn();
    const log: string[] = [];
    const thrown: unknown[] = [];
    const onError = (cause: unknown): void => {
      thrown.push(cause);
    };
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').on('uncaughtException', onError);
    try {
      const broken = new Error('a stream that throws');
      const [a, b, c, d] = senders(4, log);
      const throws: Sender = {
        send: () => {
          throw broken;
        },
      };
      for (const sender of [a, throws, b, c, throws, d]) assert.ok(sender !== undefined && turn.defers(sender));
      await turns(5);
      assert.deepEqual(log, ['0', '1', '2', '3']);
      assert.deepEqual(thrown, [broken, broken]);
    } finally {
      process.off('uncaughtException', onError);
      for (const other of others) process.on('uncaughtException', other);
    }
  });
});

describe('where a turn has little to send', () => {
  test('the next writes go at once, until the next check; with many they wait from then on', async () => {
    const turn = new Turn();
    const log: string[] = [];
    const one = (): boolean => {
      const [sender] = senders(1, log);
      return sender !== undefined && turn.defers(sender);
    };
    assert.equal(one(), true, 'the first look');
    await turns(1);
    for (let look = 0; look < 3; look++) {
      let atOnce = 0;
      while (!one()) atOnce++;
      assert.equal(atOnce, 32);
      await turns(1);
    }
    let waiting = 0;
    for (let i = 0; i < 100; i++) if (one()) waiting++;
    assert.equal(waiting, 100 - 32);
    await turns(1);
    assert.equal(one(), true, 'a busy turn was seen');
    await turns(1);
    assert.equal(log.length, 1 + 3 + 68 + 1);
  });
});
