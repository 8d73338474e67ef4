import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { BodyPull, type BodySource, sourceOf } from '../../../src/exchange/hooks/body-pull.ts';
import { NotingSink, turns, unhandledDuring } from './body-sink.ts';

const octets = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A stream of these pieces, and whether it was cancelled, and how often it was asked for more. */
function streamOf(pieces: readonly unknown[]): { stream: ReadableStream; cancelled: unknown[]; asked: () => number } {
  const cancelled: unknown[] = [];
  let asked = 0;
  const stream = new ReadableStream<unknown>({
    pull(controller) {
      const piece = pieces[asked++];
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
    cancel(reason) { cancelled.push(reason); },
  }, { highWaterMark: 0 });
  return { stream, cancelled, asked: () => asked };
}

function pullOf(stream: unknown): { pull: BodyPull; sink: NotingSink } {
  const sink = new NotingSink();
  return { pull: new BodyPull(sourceOf(stream, 'the body'), sink), sink };
}

test('a body comes piece by piece, then its end', async () => {
  const { stream } = streamOf([octets('one'), octets(''), octets('two')]);
  const { pull, sink } = pullOf(stream);
  assert.deepEqual(sink.told, []);
  pull.resume();
  assert.deepEqual(sink.told, [], 'nothing is told by the resume itself');
  await sink.over;
  assert.deepEqual(sink.told, ['one', 'two', 'end']);
});

test('views into larger buffers, Buffers and bytes of another realm are octets too', async () => {
  const foreign = runInNewContext('new Uint8Array([102, 111, 114])') as unknown;
  const { stream } = streamOf([octets('xxviewxx').subarray(2, 6), Buffer.from('buffer'), foreign]);
  const { pull, sink } = pullOf(stream);
  pull.resume();
  await sink.over;
  assert.deepEqual(sink.told, ['view', 'buffer', 'for', 'end']);
});

test('a paused body is not read, but for the piece that is on its way', async () => {
  const { stream, asked } = streamOf([octets('a'), octets('b'), octets('c')]);
  const { pull, sink } = pullOf(stream);
  await turns();
  assert.equal(asked(), 0);
  sink.onData = () => { pull.pause(); };
  pull.resume();
  await turns();
  assert.deepEqual([sink.told, asked()], [['a'], 1]);
  pull.resume();
  await turns();
  assert.deepEqual([sink.told, asked()], [['a', 'b'], 2]);
});

test('what comes while it is paused is kept', async () => {
  let give: (piece: Uint8Array | undefined) => void = () => undefined;
  const source: BodySource = {
    read: async () => new Promise((resolve) => {
      give = (value) => { resolve(value === undefined ? { done: true } : { done: false, value }); };
    }),
    cancel: () => undefined,
  };
  const sink = new NotingSink();
  const pull = new BodyPull(source, sink);
  pull.resume();
  await turns();
  pull.pause();
  give(octets('late'));
  await turns();
  assert.deepEqual(sink.told, []);
  pull.resume();
  pull.pause();
  pull.resume();
  await turns();
  assert.deepEqual(sink.told, ['late']);
  pull.pause();
  give(undefined);
  await turns();
  assert.deepEqual(sink.told, ['late']);
  pull.resume();
  pull.resume();
  await turns();
  assert.deepEqual(sink.told, ['late', 'end']);
});

test('a cancelled body tells nothing more, and its stream why', async () => {
  const { stream, cancelled } = streamOf([octets('a'), octets('b')]);
  const { pull, sink } = pullOf(stream);
  const reason = new Error('gone');
  sink.onData = () => { pull.cancel(reason); };
  pull.resume();
  await turns();
  assert.deepEqual([sink.told, cancelled], [['a'], [reason]]);
  pull.cancel(new Error('again'));
  pull.resume();
  await turns();
  assert.deepEqual([sink.told, cancelled.length], [['a'], 1]);
});

test('a body that breaks off', async () => {
  const stream = new ReadableStream({
    pull(controller) { controller.error(new Error('boom')); },
  }, { highWaterMark: 0 });
  const { pull, sink } = pullOf(stream);
  pull.resume();
  await sink.over;
  assert.deepEqual(sink.told, ['failed: boom']);
});

describe('what is no piece of a body', () => {
  const table: readonly [value: unknown, message: string][] = [
    ['text', '(got a string); encode text with a TextEncoderStream'],
    [5, '(got a number)'],
    [null, '(got null)'],
    [new ArrayBuffer(1), '(got an object: ArrayBuffer)'],
    [new Uint16Array(1), '(got an object: Uint16Array)'],
    [{ [Symbol.toStringTag]: 'Uint8Array', length: 1 }, '(got an object: Uint8Array)'],
    [{ get [Symbol.toStringTag](): string { throw new Error('no tag'); } }, '(got no tag)'],
  ];
  for (const [value, message] of table) {
    test(message, async () => {
      const { stream, cancelled } = streamOf([octets('a'), value]);
      const { pull, sink } = pullOf(stream);
      pull.resume();
      await sink.over;
      assert.deepEqual(sink.told, ['a', `failed: a piece of a body must be a Uint8Array ${message}`]);
      assert.equal(cancelled.length, 1);
    });
  }
});

test('a source without an end and without a pause leaves others their turn', async () => {
  let reads = 0;
  const source: BodySource = {
    read: () => Promise.resolve({ done: false, value: new Uint8Array(reads++ % 2) }),
    cancel: () => undefined,
  };
  const sink = new NotingSink();
  const pull = new BodyPull(source, sink);
  pull.resume();
  await turns(20);
  pull.cancel(undefined);
  const before = reads;
  assert.ok(before > 100 && before < 1_000, `${before} reads`);
  await turns();
  assert.equal(reads, before);
});

describe('a hostile source', () => {
  const boom = new Error('boom');
  const table: readonly [name: string, read: () => unknown, message: string][] = [
    ['throws', () => { throw boom; }, 'boom'],
    ['rejects', () => Promise.reject(boom), 'boom'],
    ['gives no promise', () => 5, 'the result of read() must be an object (got 5)'],
    ['gives nothing', () => Promise.resolve(), 'the result of read() must be an object (got undefined)'],
    ['has a getter that throws', () => ({ get done(): boolean { throw boom; } }), 'boom'],
    ['has a then that throws', () => ({ get then(): unknown { throw boom; } }), 'boom'],
    ['has a then that calls twice', () => ({
      then: (yes: (value: unknown) => void, no: (cause: unknown) => void) => {
        no(boom);
        yes({ done: true });
        no(boom);
      },
    }), 'boom'],
  ];
  const cancels: readonly [name: string, cancel: () => unknown][] = [
    ['', () => undefined],
    [', and so does its cancel', () => { throw boom; }],
    [', and its cancel rejects', () => Promise.reject(boom)],
  ];
  for (const [name, read, message] of table) {
    for (const [more, cancel] of cancels) {
      test(name + more, async () => {
        const sink = new NotingSink();
        const unhandled = await unhandledDuring(async () => {
          new BodyPull({ read, cancel } as unknown as BodySource, sink).resume();
          await sink.over;
        });
        assert.deepEqual([sink.told, unhandled], [[`failed: ${message}`], []]);
      });
    }
  }
  test('that never answers can be cancelled', async () => {
    const sink = new NotingSink();
    let reason: unknown;
    const never = new Promise<never>(() => undefined);
    const pull = new BodyPull({ read: () => never, cancel: (why) => { reason = why; } }, sink);
    pull.resume();
    await turns();
    pull.cancel('gone');
    assert.deepEqual([sink.told, reason], [[], 'gone']);
  });
});

describe('what is no stream to read', () => {
  const locked = new ReadableStream();
  locked.getReader();
  const table: readonly [value: unknown, message: RegExp][] = [
    [undefined, /^TypeError: the body must be a ReadableStream \(got undefined\)$/],
    ['text', /^TypeError: the body must be a ReadableStream \(got "text"\)$/],
    [{}, /^TypeError: the body must be a ReadableStream \(got {}\)$/],
    [locked, /^TypeError: the body is locked: something reads it already$/],
    [{ getReader: () => { throw new Error('boom'); } }, /boom/],
  ];
  for (const [value, message] of table) {
    test(String(message), () => { assert.throws(() => sourceOf(value, 'the body'), message); });
  }
});
