import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from '../../src/http1/framing.ts';
import { type Flusher, MessageWriter } from '../../src/streams/message-writer.ts';
import { Turn } from '../../src/loop/turn.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { turns } from '../support/wait.ts';
import { oneOf } from '../http1/heads.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n\r\n';
const SMALL = 'hello';
/** Larger than what is copied into the text. */
const LARGE = 'L'.repeat(20_000);
/** More octets than the buffers of two sockets hold; one that is full may take more a moment later. */
const MORE_THAN_BUFFERS = 32_000_000;

describe('a message is written with its framing', () => {
  type Row = readonly [what: string, framing: Framing, data: readonly string[], trailers: string, body: string];
  const size = LARGE.length.toString(16);
  const table: readonly Row[] = [
    ['no body', NONE, [], '', ''],
    ['a length', LENGTH, [SMALL, ' ', 'world'], '', 'hello world'],
    ['a length, large', LENGTH, [LARGE], '', LARGE],
    ['a length, small and large in turns', LENGTH, [SMALL, LARGE, SMALL, LARGE, LARGE, SMALL], '',
      SMALL + LARGE + SMALL + LARGE + LARGE + SMALL],
    ['a length: trailers have no place', LENGTH, [SMALL], 'X-T: 1\r\n', SMALL],
    ['up to the end of the connection', UNTIL_CLOSE, [SMALL, LARGE], '', SMALL + LARGE],
    ['no chunks', CHUNKED, [], '', '0\r\n\r\n'],
    ['a chunk', CHUNKED, [SMALL], '', '5\r\nhello\r\n0\r\n\r\n'],
    ['chunks', CHUNKED, [SMALL, 'x'.repeat(300)], '', `5\r\nhello\r\n12c\r\n${'x'.repeat(300)}\r\n0\r\n\r\n`],
    ['a large chunk', CHUNKED, [LARGE], '', `${size}\r\n${LARGE}\r\n0\r\n\r\n`],
    ['chunks, small and large in turns', CHUNKED, [LARGE, SMALL, LARGE], '',
      `${size}\r\n${LARGE}\r\n5\r\nhello\r\n${size}\r\n${LARGE}\r\n0\r\n\r\n`],
    ['chunks with trailers', CHUNKED, [SMALL], 'X-T: 1\r\nX-U:\r\n', '5\r\nhello\r\n0\r\nX-T: 1\r\nX-U:\r\n\r\n'],
    // An empty chunk would be the last one.
    ['no data is no chunk', CHUNKED, ['', SMALL, ''], '', '5\r\nhello\r\n0\r\n\r\n'],
    ['octets of all kinds', LENGTH, ['\0\xff\r\n\x80', `\xe9${LARGE}\0`], '', `\0\xff\r\n\x80\xe9${LARGE}\0`],
  ];
  for (const [what, framing, data, trailers, body] of table) {
    for (const often of [false, true]) {
      test(`${what}${often ? ', flushed at each step' : ''}`, async (t) => {
        const { near, far } = await socketPair(t);
        const received = readAll(far);
        const flushed = new Flushes(near);
        const { writer } = flushed;
        const step = async (): Promise<void> => {
          if (often) await flushed.flush();
        };
        // Two messages, so that leftovers of the first would show in the second.
        for (let i = 0; i < 2; i++) {
          writer.begin(HEAD, framing);
          await step();
          for (const part of data) {
            // Not the start of the buffer: what surrounds the data must not be sent.
            const bytes = Buffer.from(`<${part}>`, 'latin1');
            writer.data(bytes, 1, bytes.length - 1);
            await step();
          }
          writer.end(trailers);
          await step();
        }
        writer.text('interim');
        await flushed.flush();
        near.end();
        assert.equal(await received, `${HEAD}${body}${HEAD}${body}interim`);
      });
    }
  }
});

test('nothing is written before a flush, not even large parts', async (t) => {
  const { near, far } = await socketPair(t);
  const received: string[] = [];
  far.on('data', (bytes: Buffer) => received.push(bytes.toString('latin1'))).resume();
  const flushed = new Flushes(near);
  flushed.writer.begin(HEAD, LENGTH);
  const bytes = Buffer.from(LARGE);
  flushed.writer.data(bytes, 0, bytes.length);
  await turns(5);
  assert.deepEqual(received, []);
  assert.equal(near.bytesWritten, near.writableLength, 'what is counted is held back');
  await flushed.flush();
  near.end();
  await once(far, 'end');
  assert.equal(received.join(''), HEAD + LARGE);
});

test('an empty flush has room', async (t) => {
  const { near } = await socketPair(t);
  const writer = new MessageWriter(near, { drained: unexpected, sinkFailed: unexpected });
  assert.equal(writer.flush(), true);
  writer.begin('', UNTIL_CLOSE);
  writer.end('');
  assert.equal(writer.flush(), true);
  assert.equal(near.bytesWritten, 0);
});

describe('a flush that may wait for the end of the turn', () => {
  const rows: readonly (readonly [what: string, size: number, waits: boolean])[] = [
    ['little', 100, true],
    ['as much text as may wait', 16_384, true],
    ['more text', 16_385, false],
    ['a part that is not copied', 20_000, false],
  ];
  for (const [what, size, waits] of rows) {
    test(`with ${what} ${waits ? 'does' : 'goes at once'}`, async (t) => {
      const { near, far } = await socketPair(t);
      const received = readAll(far);
      const writer = new MessageWriter(near, { drained: unexpected, sinkFailed: unexpected });
      const turn = new Turn();
      writer.begin(HEAD, UNTIL_CLOSE);
      assert.equal(writer.unsent, true);
      const left = size - HEAD.length;
      const piece = size === 20_000 ? left : 4_000;
      for (let at = 0; at < left; at += piece) writer.data(Buffer.alloc(left, 'x'), at, Math.min(left, at + piece));
      assert.equal(writer.flush(turn), true);
      assert.equal(near.bytesWritten, waits ? 0 : size);
      assert.equal(writer.unsent, waits);
      assert.equal(writer.flush(turn), true, 'it waits already, or has nothing');
      await turns(1);
      assert.equal(near.bytesWritten, size);
      assert.equal(writer.unsent, false);
      near.end();
      assert.equal((await received).length, size);
    });
  }

  test('and one that may not wait writes everything; later ones may wait again', async (t) => {
    const { near, far } = await socketPair(t);
    const received = readAll(far);
    const writer = new MessageWriter(near, { drained: unexpected, sinkFailed: unexpected });
    const turn = new Turn();
    writer.text('a');
    writer.flush(turn);
    writer.text('b');
    assert.equal(writer.flush(), true);
    assert.equal(near.bytesWritten, 2);
    writer.text('c');
    writer.flush(turn);
    assert.equal(near.bytesWritten, 2);
    await turns(1);
    near.end();
    assert.equal(await received, 'abc');
  });

  test('sends nothing to a sink that is gone by then', async (t) => {
    const { near } = await socketPair(t);
    const writer = new MessageWriter(near, { drained: unexpected, sinkFailed: unexpected });
    near.on('error', unexpected);
    writer.begin(HEAD, NONE);
    assert.equal(writer.flush(new Turn()), true);
    near.destroy();
    await turns(3);
    assert.equal(near.bytesWritten, 0);
    assert.equal(writer.unsent, true);
  });

  test('to a reader that reads nothing: the next one says that there is no room', async (t) => {
    const { near, far } = await socketPair(t);
    const flushed = new Flushes(near);
    const { writer } = flushed;
    writer.begin('', UNTIL_CLOSE);
    const bytes = Buffer.alloc(4_000, 'x');
    let sent = 0;
    let room = true;
    while (room) {
      const turn = new Turn();
      writer.data(bytes, 0, bytes.length);
      sent += bytes.length;
      room = writer.flush(turn);
      await turns(1);
    }
    const received = readAll(far);
    await flushed.done(1);
    near.end();
    assert.equal((await received).length, sent);
  });
});

describe('a reader that reads nothing', () => {
  for (const [what, size] of [['small', 4_000], ['large', 60_000]] as const) {
    test(`${what} data: flush says that there is no room, and tells when there is again`, async (t) => {
      const { near, far } = await socketPair(t);
      const flushed = new Flushes(near);
      flushed.writer.begin('', UNTIL_CLOSE);
      const bytes = Buffer.alloc(size, 'x');
      let sent = 0;
      do {
        flushed.writer.data(bytes, 0, size);
        sent += size;
      } while (flushed.writer.flush() || sent < MORE_THAN_BUFFERS);
      assert.ok(near.writableLength > 0, 'what has no room is held back');
      await turns(10);
      assert.equal(flushed.calls, 0, 'nobody reads, so nothing was flushed');
      assert.equal(flushed.writer.flush(), false, 'there still is no room');

      const received = readAll(far);
      await flushed.done(1);
      assert.equal(near.writableLength, 0);
      assert.equal(flushed.writer.flush(), true);
      near.end();
      assert.equal((await received).length, sent);
      assert.equal(flushed.calls, 1, 'told once');
    });
  }

  test('again and again: a writer leaves no listeners on its sink', async (t) => {
    const { near, far } = await socketPair(t);
    far.resume();
    const listeners = (): number => near.listenerCount('drain');
    const bytes = Buffer.alloc(4_000, 'x');
    const before = listeners();
    for (let i = 0; i < 20; i++) {
      const flushed = new Flushes(near);
      flushed.writer.begin('', UNTIL_CLOSE);
      do flushed.writer.data(bytes, 0, bytes.length);
      while (flushed.writer.flush());
      assert.equal(flushed.writer.flush(), false, 'it waits already');
      assert.equal(listeners(), before + 1);
      await flushed.done(1);
      assert.equal(listeners(), before);
    }
  });

  test('that goes away: no drain is reported', async (t) => {
    const { near, far } = await socketPair(t);
    const writer = new MessageWriter(near, { drained: unexpected, sinkFailed: unexpected });
    writer.begin('', UNTIL_CLOSE);
    writer.data(Buffer.alloc(MORE_THAN_BUFFERS), 0, MORE_THAN_BUFFERS);
    assert.equal(writer.flush(), false);
    const closed = new Promise((resolve) => near.on('error', resolve).on('close', resolve));
    far.resetAndDestroy();
    await closed;
    await turns(3);
  });

  test('a large part is not free until the kernel has taken all of it', async (t) => {
    const { near, far } = await socketPair(t);
    const flushed = new Flushes(near);
    const bytes = Buffer.alloc(MORE_THAN_BUFFERS, 'a');
    flushed.writer.begin('', UNTIL_CLOSE);
    flushed.writer.data(bytes, 0, bytes.length);
    assert.equal(flushed.writer.flush(), false);
    const received = readAll(far);
    await flushed.done(1);
    bytes.fill('b');
    near.end();
    const text = await received;
    assert.equal(text.length, bytes.length);
    assert.equal(text.indexOf('b'), -1, 'the buffer was still in use when it was said to be free');
  });

  test('a large part that went out at once says nothing about later flushes', async (t) => {
    const { near, far } = await socketPair(t);
    const flushed = new Flushes(near);
    const bytes = Buffer.alloc(20_000);
    flushed.writer.begin('', UNTIL_CLOSE);
    flushed.writer.data(bytes, 0, bytes.length);
    assert.equal(flushed.writer.flush(), true, 'the kernel takes this much of a new connection at once');
    // In the same turn, as for responses to pipelined requests.
    for (let sent = 0; sent < MORE_THAN_BUFFERS; sent += 4_000) flushed.writer.data(bytes, 0, 4_000);
    assert.equal(flushed.writer.flush(), false);
    await turns(10);
    assert.ok(near.writableLength > 0, 'nobody reads');
    assert.equal(flushed.calls, 0, 'told of what has not gone out');
    far.resume();
    await flushed.done(1);
    assert.equal(near.writableLength, 0);
  });
});

const seed = testSeed();

test(`one buffer, reused as soon as it is free, to a slow reader (EQUIPOISE_SEED=${seed})`, async (t) => {
  const rng = seededRandom(seed);
  const { near, far } = await socketPair(t);
  const flushed = new Flushes(near);
  const { writer } = flushed;
  const buffer = Buffer.alloc(65_536);
  const sent: string[] = [];
  const reading = readSlowly(far, rng);
  let waits = 0;
  writer.begin('', UNTIL_CLOSE);
  for (let i = 0; i < 600; i++) {
    const parts = 1 + Math.floor(rng() * 3);
    let from = 0;
    for (let part = 0; part < parts; part++) {
      const room = buffer.length - from;
      const length = Math.min(room, Math.floor(rng() * oneOf([20, 9_000, 65_536], rng)));
      buffer.fill(String.fromCharCode(0x61 + ((i + part) % 26)), from, from + length);
      sent.push(buffer.toString('latin1', from, from + length));
      writer.data(buffer, from, from + length);
      from += length;
    }
    if (!writer.flush()) {
      waits++;
      await flushed.done(waits);
      assert.equal(near.writableLength, 0, 'what was said to be flushed is still held');
    }
    buffer.fill('!');
    // As between two reads of a socket.
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
  }
  near.end();
  const text = await reading;
  assert.ok(waits > 0, 'the reader was slow enough to be waited for');
  assert.equal(flushed.calls, waits, 'told once for each flush that returned false');
  // Millions of octets: a failure must not print them all.
  const expected = sent.join('');
  assert.equal(text.length, expected.length);
  assert.ok(text === expected, 'what was received is not what was sent');
});

/** A writer, and how often it reported that it has drained. */
class Flushes implements Flusher {
  readonly writer: MessageWriter;
  calls = 0;
  #wake: (() => void) | undefined;

  constructor(sink: Socket) {
    this.writer = new MessageWriter(sink, this);
  }

  drained(): void {
    this.calls++;
    this.#wake?.();
  }

  sinkFailed(cause: unknown): void {
    throw cause;
  }

  /** Flushes, and resolves when there is room. */
  async flush(): Promise<void> {
    const next = this.calls + 1;
    if (!this.writer.flush()) await this.done(next);
  }

  /** Resolves when there were `calls` of them. */
  async done(calls: number): Promise<void> {
    while (this.calls < calls) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Two ends of one connection. The far one reads nothing until asked to. */
async function socketPair(t: TestContext): Promise<{ near: Socket; far: Socket }> {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = net.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  server.close();
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far };
}

async function readAll(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('latin1');
}

/** Reads a piece now and then. */
async function readSlowly(socket: Socket, rng: () => number): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of socket) {
    parts.push(part as Buffer);
    await turns(Math.floor(rng() * 3));
  }
  return Buffer.concat(parts).toString('latin1');
}

function unexpected(): void {
  assert.fail('told that it has drained');
}
