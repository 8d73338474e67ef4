import assert from 'node:assert/strict';
import { Duplex, Transform } from 'node:stream';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { BodyTransform, dropStage, type Stage, stageOf } from '../../../src/exchange/hooks/body-transform.ts';
import { seededRandom, testSeed } from '../../../src/testing/random.ts';
import { NotingSink, turns, unhandledDuring } from './body-sink.ts';

interface Pair { readonly readable: unknown; readonly writable: unknown }

function transformOf(...pairs: readonly Pair[]): { transform: BodyTransform; sink: NotingSink } {
  const sink = new NotingSink();
  const stages = pairs.map(stageOf) as [Stage, ...Stage[]];
  return { transform: new BodyTransform(stages, sink), sink };
}

/** A transform of each piece as text. */
function mapping(map: (text: string) => string): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      controller.enqueue(Buffer.from(map(Buffer.from(piece).toString('latin1')), 'latin1'));
    },
  });
}

const upperCase = (): Pair => mapping((text) => text.toUpperCase());
const doubled = (): Pair => mapping((text) => text + text);

test('a body goes through one transform', async () => {
  const { transform, sink } = transformOf(upperCase());
  transform.resume();
  transform.write(Buffer.from('abc'));
  await turns();
  assert.equal(sink.text, 'ABC');
  transform.end();
  await sink.over;
  assert.deepEqual(sink.told.filter((each) => each !== 'drained'), ['ABC', 'end']);
});

test('and through several, in their order', async () => {
  const { transform, sink } = transformOf(upperCase(), doubled(), mapping((text) => `<${text}>`));
  transform.resume();
  transform.write(Buffer.from('ab'));
  transform.end();
  await sink.over;
  assert.equal(sink.text, '<ABAB>');
});

test('what passes between two transforms may be anything', async () => {
  const { transform, sink } = transformOf(new TextDecoderStream(), new TransformStream<string, string>({
    transform(piece, controller) { controller.enqueue(piece.toUpperCase()); },
  }), new TextEncoderStream());
  transform.resume();
  transform.write(Buffer.from('a\xe4'));
  transform.end();
  await sink.over;
  assert.equal(Buffer.concat(sink.pieces).toString(), 'A\xc4');
});

test('an empty body has what the transform adds at its end', async () => {
  const { transform, sink } = transformOf(new TransformStream({
    flush(controller) { controller.enqueue(Buffer.from('footer')); },
  }));
  transform.resume();
  assert.equal(transform.write(Buffer.alloc(0)), true);
  transform.end();
  await sink.over;
  assert.deepEqual(sink.told, ['footer', 'end']);
});

test('gzip of the platform, over pieces of every size', async () => {
  const seed = testSeed();
  const rng = seededRandom(seed);
  const { transform, sink } = transformOf(new CompressionStream('gzip'));
  const drained: (() => void)[] = [];
  sink.drained = () => { drained.shift()?.(); };
  transform.resume();
  const pieces: Buffer[] = [];
  for (let i = 0; i < 60; i++) {
    const piece = Buffer.alloc(Math.floor(rng() ** 3 * 70_000));
    for (let at = 0; at < piece.length; at++) piece[at] = Math.floor(rng() * 4);
    pieces.push(piece);
    const before = Buffer.from(piece);
    if (!transform.write(before) && i < 59) await new Promise<void>((resolve) => drained.push(resolve));
    // The buffer is ours again: whatever is read into it next must not change what was written.
    before.fill(0xff);
  }
  transform.end();
  await sink.over;
  assert.equal(sink.told.at(-1), 'end');
  assert.ok(gunzipSync(Buffer.concat(sink.pieces)).equals(Buffer.concat(pieces)), `seed ${seed}`);
});

test('a transform of node:stream, by Duplex.toWeb', async () => {
  const { transform, sink } = transformOf(Duplex.toWeb(new Transform({
    transform(piece: Buffer, _, done) { done(null, piece.toString().toUpperCase()); },
  })));
  transform.resume();
  transform.write(Buffer.from('abc'));
  transform.end();
  await sink.over;
  assert.equal(sink.text, 'ABC');
});

describe('back-pressure', () => {
  test('a sink that pauses stops the source, and is not overrun', async () => {
    const { transform, sink } = transformOf(upperCase(), upperCase());
    sink.onData = () => { transform.pause(); };
    transform.resume();
    let written = 0;
    let room = true;
    sink.drained = () => { room = true; };
    for (; room && written < 50; written++) {
      room = transform.write(Buffer.from('a'));
      await turns();
    }
    assert.ok(written > 1 && written < 12, `${written} pieces were taken`);
    assert.equal(sink.text, 'A');
    sink.onData = undefined;
    transform.resume();
    await turns();
    assert.deepEqual([sink.text, room], ['A'.repeat(written), true]);
    transform.end();
    await sink.over;
  });

  test('a slow transform stops the source, once for each time that it is full', async () => {
    const done: (() => void)[] = [];
    const { transform, sink } = transformOf(new TransformStream({
      async transform(piece, controller) {
        await new Promise<void>((resolve) => done.push(resolve));
        controller.enqueue(piece);
      },
    }));
    transform.resume();
    await turns();
    assert.equal(transform.write(Buffer.from('a')), false);
    assert.equal(transform.write(Buffer.from('b')), false);
    await turns();
    assert.deepEqual(sink.told, []);
    for (let i = 0; i < 2; i++) {
      done.shift()?.();
      await turns();
    }
    assert.deepEqual(sink.told, ['a', 'b', 'drained']);
    assert.equal(transform.write(Buffer.from('c')), false);
    done.shift()?.();
    await turns();
    assert.deepEqual(sink.told, ['a', 'b', 'drained', 'c', 'drained']);
    transform.abort(undefined);
  });

  test('nothing is read before it is resumed', async () => {
    let transformed = 0;
    const { transform, sink } = transformOf(new TransformStream({
      transform() { transformed++; },
    }, undefined, { highWaterMark: 0 }));
    transform.write(Buffer.from('a'));
    await turns();
    assert.equal(transformed, 0);
    transform.resume();
    await turns();
    assert.deepEqual([transformed, sink.told], [1, ['drained']]);
    transform.abort(undefined);
  });
});

test('a transform may end a body early', async () => {
  const unhandled = await unhandledDuring(async () => {
    const { transform, sink } = transformOf(new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        controller.enqueue(piece);
        controller.terminate();
      },
    }), upperCase());
    transform.resume();
    transform.write(Buffer.from('enough'));
    transform.write(Buffer.from('more'));
    await sink.over;
    assert.deepEqual(sink.told.filter((each) => each !== 'drained'), ['ENOUGH', 'end']);
    assert.equal(transform.write(Buffer.from('x')), false);
    transform.end();
    transform.abort(new Error('late'));
    await turns();
    assert.equal(sink.told.at(-1), 'end');
  });
  assert.deepEqual(unhandled, []);
});

describe('a transform that fails', () => {
  const boom = new Error('boom');
  const throwing = (at: 'transform' | 'flush' | 'start'): (() => Pair) => () => new TransformStream({
    [at]: () => { throw boom; },
  });
  const rejecting = (at: 'transform' | 'flush'): (() => Pair) => () => new TransformStream({
    [at]: () => Promise.reject(boom),
  });
  const erroring = (): Pair => new TransformStream({
    transform(piece, controller) {
      controller.enqueue(piece);
      controller.error(boom);
    },
  });
  const table: readonly [name: string, pair: () => Pair][] = [
    ['throws', throwing('transform')],
    ['throws at the end', throwing('flush')],
    ['rejects', rejecting('transform')],
    ['rejects at the end', rejecting('flush')],
    ['errors', erroring],
  ];
  const places: readonly [name: string, chain: (pair: Pair) => Pair[]][] = [
    ['', (pair) => [pair]],
    [', as the first', (pair) => [pair, mapping((text) => text)]],
    [', as the last', (pair) => [upperCase(), pair]],
    [', in the middle', (pair) => [upperCase(), pair, mapping((text) => text)]],
  ];
  for (const [name, pair] of table) {
    for (const [place, chain] of places) {
      test(name + place, async () => {
        const unhandled = await unhandledDuring(async () => {
          const { transform, sink } = transformOf(...chain(pair()));
          transform.resume();
          transform.write(Buffer.from('a'));
          await turns();
          transform.end();
          await sink.over;
          const failed = sink.told.filter((each) => each.startsWith('failed: '));
          assert.deepEqual(failed, ['failed: boom']);
          assert.equal(sink.told.includes('end'), false);
          const told = sink.told.length;
          assert.equal(transform.write(Buffer.from('x')), false);
          transform.end();
          transform.abort(boom);
          await turns();
          assert.equal(sink.told.length, told);
        });
        assert.deepEqual(unhandled, []);
      });
    }
  }
  test('gives texts', async () => {
    const { transform, sink } = transformOf(new TextDecoderStream());
    transform.resume();
    transform.write(Buffer.from('a'));
    await sink.over;
    const why = 'failed: a piece of a body must be a Uint8Array (got a string); encode text with a TextEncoderStream';
    assert.deepEqual(sink.told.filter((each) => each !== 'drained'), [why]);
  });
  test('at its start', () => { assert.throws(throwing('start'), boom); });
});

test('an abort ends all stages, and tells the sink nothing', async () => {
  const reasons: unknown[] = [];
  const watched = (): Pair => ({
    readable: new ReadableStream({ cancel(reason) { reasons.push(reason); } }),
    writable: new WritableStream({ abort(reason) { reasons.push(reason); } }),
  });
  const unhandled = await unhandledDuring(async () => {
    const { transform, sink } = transformOf(watched(), watched());
    transform.resume();
    transform.write(Buffer.from('a'));
    await turns();
    const told = sink.told.length;
    const gone = new Error('gone');
    transform.abort(gone);
    await turns();
    assert.deepEqual(reasons, [gone, gone, gone, gone]);
    transform.abort(new Error('again'));
    transform.resume();
    assert.equal(transform.write(Buffer.from('b')), false);
    transform.end();
    await turns();
    assert.deepEqual([sink.told.length, reasons.length], [told, 4]);
  });
  assert.deepEqual(unhandled, []);
});

test('a stage that is not used after all is let go of', async () => {
  const unhandled = await unhandledDuring(async () => {
    const pair = new TransformStream();
    dropStage(stageOf(pair), new Error('not used'));
    await turns();
  });
  assert.deepEqual(unhandled, []);
});

describe('hostile pairs', () => {
  const boom = new Error('boom');
  const source = (read: () => unknown): object => ({ getReader: () => ({ read, cancel: () => Promise.reject(boom) }) });
  const sinkOf = (parts: object): object => {
    const writer = {
      ready: Promise.resolve(), desiredSize: 1, write: () => Promise.resolve(), close: () => Promise.resolve(),
      abort: () => Promise.reject(boom),
    };
    // Not by a spread, which would call the getters.
    return { getWriter: () => Object.defineProperties(writer, Object.getOwnPropertyDescriptors(parts)) };
  };
  const never = (): Promise<never> => new Promise(() => undefined);
  const table: readonly [name: string, pair: () => Pair, told: string[]][] = [
    ['write throws', () => ({
      readable: source(() => Promise.reject(boom)), writable: sinkOf({ write: () => { throw boom; } }),
    }), ['failed: boom']],
    ['all rejects', () => ({ readable: source(() => Promise.reject(boom)), writable: sinkOf({
      write: () => Promise.reject(boom), close: () => Promise.reject(boom), ready: Promise.reject(boom),
      desiredSize: null, closed: Promise.reject(boom),
    }) }), ['failed: boom']],
    ['nothing is a promise', () => ({ readable: source(() => ({ done: true })), writable: sinkOf({
      write: () => 5, close: () => undefined, abort: () => 5, ready: undefined, desiredSize: 0,
    }) }), ['end']],
    ['nothing ever answers', () => ({
      readable: source(never), writable: sinkOf({ write: never, close: never, ready: never() }),
    }), []],
    ['getters throw', () => ({ readable: source(() => ({ get done() { throw boom; } })), writable: sinkOf({
      get ready() { throw boom; }, get desiredSize() { throw boom; },
    }) }), ['failed: boom']],
  ];
  for (const [name, pair, told] of table) {
    for (const chained of [false, true]) {
      test(name + (chained ? ', before another one' : ''), async () => {
        const unhandled = await unhandledDuring(async () => {
          const { transform, sink } = transformOf(pair(), ...(chained ? [upperCase()] : []));
          transform.resume();
          transform.write(Buffer.from('a'));
          transform.end();
          await turns();
          assert.deepEqual(sink.told.filter((each) => each !== 'drained'), told);
          transform.abort(boom);
        });
        assert.deepEqual(unhandled, []);
      });
    }
  }
  test('a writable that throws behind another transform', async () => {
    const unhandled = await unhandledDuring(async () => {
      const bad = { readable: source(() => Promise.reject(boom)), writable: sinkOf({ write: () => { throw boom; } }) };
      const { transform, sink } = transformOf(upperCase(), bad);
      transform.resume();
      transform.write(Buffer.from('a'));
      await sink.over;
      assert.deepEqual(sink.told.filter((each) => each !== 'drained'), ['failed: boom']);
    });
    assert.deepEqual(unhandled, []);
  });
  test('a sink of ours that fails is told of it', async () => {
    const { transform, sink } = transformOf(upperCase());
    sink.data = () => { throw boom; };
    transform.resume();
    transform.write(Buffer.from('a'));
    await sink.over;
    assert.deepEqual(sink.told.filter((each) => each !== 'drained'), ['failed: boom']);
  });
});

describe('what is no transform, or one in use', () => {
  const readLocked = new TransformStream();
  readLocked.readable.getReader();
  const writeLocked = new TransformStream();
  writeLocked.writable.getWriter();
  const { readable } = new TransformStream();
  const table: readonly [pair: unknown, message: RegExp][] = [
    [undefined, /^TypeError: a transform must be a TransformStream \(got undefined\)$/],
    ['gzip', /^TypeError: a transform must be a TransformStream \(got "gzip"\)$/],
    [{}, /^TypeError: writable of a transform must be a WritableStream \(got undefined\)$/],
    [{ readable }, /^TypeError: writable of a transform must be a WritableStream \(got undefined\)$/],
    [{ writable: {}, readable }, /^TypeError: writable of a transform must be a WritableStream \(got {}\)$/],
    [{ writable: new WritableStream() }, /^TypeError: readable of a transform must be a ReadableStream \(got unde/],
    [readLocked, /^TypeError: readable of a transform is locked: something reads it already$/],
    [writeLocked, /^TypeError: writable of a transform is locked: something writes to it already$/],
  ];
  for (const [pair, message] of table) {
    test(String(message), () => { assert.throws(() => stageOf(pair), message); });
  }
  test('the other side is left alone', () => {
    assert.equal(readLocked.writable.locked, false);
    assert.equal(writeLocked.readable.locked, false);
  });
  test('a pair is used once', () => {
    const pair = new TransformStream();
    stageOf(pair);
    assert.throws(() => stageOf(pair), /is locked/);
  });
});
