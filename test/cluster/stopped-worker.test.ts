/**
 * A worker that does not read its messages.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Heard } from '../../src/cluster/channels/worker-channels.ts';
import { Relay } from '../../src/cluster/channels/relay.ts';
import { Program, signalIfThere } from './program.ts';

/** A relay to workers, some of which do not read their messages. */
class Reading {
  readonly told = new Map<number, Heard[][]>();
  readonly relay: Relay;
  readonly #stopped = new Map<number, (() => void)[]>();
  #soon: (() => void)[] = [];

  constructor() {
    this.relay = new Relay({
      send: (worker, heard, sent) => {
        this.told.set(worker, [...(this.told.get(worker) ?? []), [...heard]]);
        const waiting = this.#stopped.get(worker);
        if (waiting === undefined) sent();
        else waiting.push(sent);
      },
      soon: (then) => {
        this.#soon.push(then);
      },
    });
  }

  stop(worker: number): void {
    this.#stopped.set(worker, []);
  }

  resume(worker: number): void {
    const waiting = this.#stopped.get(worker) ?? [];
    this.#stopped.delete(worker);
    for (const sent of waiting) sent();
  }

  /** Sends a message and relays it. */
  send(from: number, value: unknown, channel = 'news'): void {
    this.relay.hear(from, { type: 'send', channel, value });
    this.turn();
  }

  turn(): void {
    for (const then of this.#soon.splice(0)) then();
  }

  take(worker: number): Heard[][] {
    const told = this.told.get(worker) ?? [];
    this.told.delete(worker);
    return told;
  }
}

function three(): Reading {
  const reading = new Reading();
  for (const worker of [1, 2, 3]) {
    for (const channel of ['news', 'other']) reading.relay.hear(worker, { type: 'join', channel });
  }
  reading.turn();
  reading.told.clear();
  return reading;
}

describe('to a worker that does not read', () => {
  test('nothing more is sent until the last message has been written; then all in one message, in order', () => {
    const reading = three();
    reading.stop(2);
    for (let i = 0; i < 10; i++) reading.send(1, i);
    const values = (told: Heard[][]): unknown[][] => {
      return told.map((all) => all.map((heard) => (heard.type === 'heard' ? heard.value : heard.type)));
    };
    assert.deepEqual(values(reading.take(2)), [[0]]);
    assert.equal(reading.take(3).length, 10, 'others are told at once');
    reading.resume(2);
    assert.deepEqual(values(reading.take(2)), [[1, 2, 3, 4, 5, 6, 7, 8, 9]]);
  });

  test('a limited number of messages waits; beyond that it learns that it missed some, and whether it leads', () => {
    const reading = three();
    reading.stop(2);
    for (let i = 0; i < 10_000; i++) reading.send(1, i);
    reading.send(1, 'here', 'other');
    reading.relay.gone(1);
    reading.turn();
    reading.take(2);
    reading.resume(2);
    assert.deepEqual(reading.take(2), [[
      { type: 'missed', channel: 'news' }, { type: 'leads', channel: 'news', leading: true },
      { type: 'heard', channel: 'other', from: 1, value: 'here' }, { type: 'left', channel: 'other', from: 1 },
      { type: 'leads', channel: 'other', leading: true },
    ]]);
    reading.send(3, 'after');
    assert.deepEqual(reading.take(2), [[{ type: 'heard', channel: 'news', from: 3, value: 'after' }]]);
  });

  test('other workers get all messages', () => {
    const reading = three();
    reading.stop(2);
    for (let i = 0; i < 1_000; i++) reading.send(1, i);
    assert.equal(reading.take(3).flat().filter(({ type }) => type === 'heard').length, 1_000);
  });

  test('nothing is sent after it has exited', () => {
    const reading = three();
    reading.stop(2);
    for (let i = 0; i < 1_000; i++) reading.send(1, i);
    reading.relay.gone(2);
    reading.take(2);
    reading.resume(2);
    assert.deepEqual(reading.take(2), []);
  });
});

test('a stopped worker does not fill the memory of the primary, and learns that it missed messages', async (t) => {
  const program = new Program(t, `
    import cluster from 'node:cluster';
    if (cluster.isPrimary) {
      process.on('SIGUSR2', () => {
        gc();
        process.stdout.write('memory ' + Math.round(process.memoryUsage().rss / 2 ** 20) + '\\n');
      });
    }
    let sent = 0;
    await launch(({ channel }) => {
      const news = 'x'.repeat(20_000);
      const tell = () => seat.send(news, () => {
        if (++sent % 500 === 0) process.stdout.write('sent ' + sent + '\\n');
        if (sent < 10_000) setImmediate(tell);
      });
      process.on('SIGUSR2', () => tell());
      const seat = channel('news').join({
        heard() {}, left() {}, leads() {}, missed() { process.stdout.write('missed by ' + process.pid + '\\n'); },
      });
      return () => {};
    }, { workers: 2 });`, { flags: ['--expose-gc'] });
  await program.logged(/all workers are ready/);
  const [talking = 0, stopped = 0] = program.workers;
  process.kill(stopped, 'SIGSTOP');
  t.after(() => {
    signalIfThere(stopped, 'SIGKILL');
  });
  const memory = async (): Promise<number> => {
    const before = [...program.stdout.matchAll(/memory \d+/g)].length;
    program.signal('SIGUSR2');
    await program.printed(new RegExp(`(memory \\d+\\n[^]*){${before + 1}}`));
    return Number([...program.stdout.matchAll(/memory (\d+)/g)].at(-1)?.[1]);
  };
  const atFirst = await memory();
  process.kill(talking, 'SIGUSR2');
  // 200 MB in total.
  await program.printed(/sent 10000/);
  let atLast = await memory();
  // What waits for a stopped worker stays; what the system has not got back yet, it gets soon.
  for (let i = 0; i < 50 && atLast - atFirst >= 100; i++) atLast = await memory();
  assert.ok(atLast - atFirst < 100, `${atFirst} MB, then ${atLast} MB`);
  process.kill(stopped, 'SIGCONT');
  await program.printed(new RegExp(`missed by ${stopped}`));
});
