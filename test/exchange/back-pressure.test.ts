import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { type Inbox, pattern } from '../support/message.ts';
import { response, startUpstream } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

const PIECE = pattern(64 << 10);
const TOTAL = 64 << 20;
/**
 * What may be buffered between a sender and a reader that does not read: the kernel's buffers of two connections, of
 * up to 4 MiB (sending, Linux) and 6 MiB (receiving) each, and a few reads of the balancer.
 */
const BOUND = 24 << 20;

const CHUNKED_PIECE = Buffer.concat([Buffer.from(`${PIECE.length.toString(16)}\r\n`), PIECE, Buffer.from('\r\n')]);

/** Sends all pieces as fast as they are taken, and counts. */
class Flood {
  sent = 0;
  readonly done: Promise<void>;

  constructor(stream: Duplex, piece: Buffer, end = '') {
    this.done = this.#run(stream, piece, end);
  }

  async #run(stream: Duplex, piece: Buffer, end: string): Promise<void> {
    for (let at = 0; at < TOTAL; at += PIECE.length) {
      await new Promise<void>((resolve) => {
        stream.write(piece, (error) => {
          if (!error) this.sent += piece.length;
          resolve();
        });
      });
      if (stream.destroyed) return;
    }
    if (end !== '') stream.write(end);
  }

  /** Resolves with what was taken once no more is taken. */
  async stalled(): Promise<number> {
    for (let still = 0, last = -1; still < 300; still++) {
      if (this.sent !== last) {
        last = this.sent;
        still = 0;
      }
      await turns(1);
    }
    return this.sent;
  }
}

async function digest(inbox: Inbox, length: number): Promise<string> {
  const hash = createHash('sha256');
  for (let left = length; left > 0;) {
    const part = await inbox.exactly(Math.min(left, PIECE.length));
    hash.update(part);
    left -= part.length;
  }
  return hash.digest('hex');
}

function expected(piece: Buffer): string {
  const hash = createHash('sha256');
  for (let at = 0; at < TOTAL; at += PIECE.length) hash.update(piece);
  return hash.digest('hex');
}

for (const front of FRONTS) {
  describe(`back-pressure through ${front.name}, 64 MiB`, () => {
    const framings: [name: string, head: string, piece: Buffer, end: string, closes: boolean][] = [
      ['of known length', `HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`, PIECE, '', false],
      ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', CHUNKED_PIECE, '0\r\n\r\n', false],
      ['until close', 'HTTP/1.1 200 OK\r\n\r\n', PIECE, '', true],
    ];
    for (const [name, responseHead, piece, end, closes] of framings) {
      test(`a downstream that does not read holds a response ${name}`, async (t) => {
        let flood: Flood | undefined;
        const upstream = await startUpstream(t, [async (peer) => {
          await peer.request();
          peer.send(responseHead);
          flood = new Flood(peer.socket, piece, end);
          await flood.done;
          if (closes) peer.socket.end();
        }]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send('GET / HTTP/1.0\r\n\r\n');
        await client.head();
        assert.ok(flood !== undefined);
        const sent = await flood.stalled();
        assert.ok(sent < BOUND, `${sent} bytes were taken off the upstream's hands`);
        assert.equal(under.outcomes.length, 0);
        // And all of it arrives once it is read.
        assert.equal(await digest(client.inbox, TOTAL), expected(PIECE));
        await flood.done;
        await under.settled(1);
      });
    }

    const uploads: [name: string, fields: string, piece: Buffer, end: string][] = [
      ['of known length', `Content-Length: ${TOTAL}\r\n`, PIECE, ''],
      ['in chunks', 'Transfer-Encoding: chunked\r\n', CHUNKED_PIECE, '0\r\n\r\n'],
    ];
    for (const [name, fields, piece, end] of uploads) {
      test(`an upstream that does not read holds an upload ${name}`, async (t) => {
        const reading = gate();
        const upstream = await startUpstream(t, [async (peer) => {
          const head = await peer.head();
          await reading.opened;
          const body = await peer.body(head);
          peer.send('HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n');
          peer.send(createHash('sha256').update(body.bytes).digest('hex'));
        }]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/', fields, 'POST'));
        await upstream.saw('1 POST /');
        const flood = new Flood(client.socket, piece, end);
        const sent = await flood.stalled();
        assert.ok(sent < BOUND, `${sent} bytes were taken off the downstream's hands`);
        reading.open();
        assert.equal((await client.response()).text, expected(PIECE));
      });
    }

    test('a downstream that goes away while its response is held releases the upstream', async (t) => {
      let flood: Flood | undefined;
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`);
        flood = new Flood(peer.socket, PIECE);
        await flood.done;
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get());
      await client.head();
      assert.ok(flood !== undefined);
      await flood.stalled();
      client.destroy();
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
      await upstream.gone(1);
    });

    test('a tunnel holds each direction on its own', async (t) => {
      const reading = gate();
      let down: Flood | undefined;
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.head();
        peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n');
        down = new Flood(peer.socket, PIECE);
        await reading.opened;
        assert.equal(await digest(peer.inbox, TOTAL), expected(PIECE));
        await down.done;
        peer.socket.end();
      }]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      assert.match((await client.head()).line, /101/);
      const up = new Flood(client.socket, PIECE);
      assert.ok(await up.stalled() < BOUND);
      assert.ok(down !== undefined);
      assert.ok(await down.stalled() < BOUND);
      reading.open();
      assert.equal(await digest(client.inbox, TOTAL), expected(PIECE));
      await up.done;
      client.end();
      assert.equal(await client.over(), 'end');
      await under.settled(1);
      assert.equal(under.outcomes[0]?.ok, true);
    });
  });
}

test('pipelined requests that cannot be served yet are read only up to a limit', async (t) => {
  const answering = gate();
  const upstream = await startUpstream(t, async (peer) => {
    for (;;) {
      await peer.request();
      await answering.opened;
      peer.send(response('late'));
    }
  });
  const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
  const client = await under.connect();
  client.send(get());
  await upstream.saw('1 GET /');
  const line = get(`/${'x'.repeat(1000)}`);
  const flood = new Flood(client.socket, Buffer.from(line.repeat(Math.ceil(PIECE.length / line.length))));
  const sent = await flood.stalled();
  assert.ok(sent < BOUND, `${sent} bytes were taken in`);
  client.destroy();
  answering.open();
});
