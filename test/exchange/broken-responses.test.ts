import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, request, startUpstream } from '../support/upstream.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const FIELDS_LIMIT = 100;

const BROKEN: readonly (readonly [name: string, bytes: string])[] = [
  ['no HTTP at all', 'hello\r\n\r\n'],
  ['HTTP/0.9', '<html></html>'],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a version in lower case', 'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'],
  ['no status', 'HTTP/1.1  OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of 99', 'HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n'],
  ['a status of 1000', 'HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n'],
  ['a status with a sign', 'HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status with a letter', 'HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n'],
  ['a letter behind the status', 'HTTP/1.1 200x OK\r\nContent-Length: 0\r\n\r\n'],
  ['a tab behind the status', 'HTTP/1.1 200\tOK\r\nContent-Length: 0\r\n\r\n'],
  ['a byte first', `x${OK}Content-Length: 0\r\n\r\n`],
  ['a space first', ` ${OK}Content-Length: 0\r\n\r\n`],
  ['a bare line feed first', `\n${OK}Content-Length: 0\r\n\r\n`],
  ['a NUL first', `\0${OK}Content-Length: 0\r\n\r\n`],
  ['a chunk first', `5\r\nhello\r\n${OK}Content-Length: 0\r\n\r\n`],
  ['an empty line first', `\r\n${OK}Content-Length: 0\r\n\r\n`],
  ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['a bare line feed behind a field', `${OK}X: y\nContent-Length: 0\r\n\r\n`],
  ['a bare carriage return in a value', `${OK}X: y\rz\r\nContent-Length: 0\r\n\r\n`],
  ['a NUL in a value', `${OK}X: y\0z\r\nContent-Length: 0\r\n\r\n`],
  ['a NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n'],
  ['a bare carriage return in the reason', 'HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n'],
  ['a field behind a bare line feed in the reason', 'HTTP/1.1 200 OK\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n'],
  ['a response behind bare line feeds in a value', `${OK}X: y\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`],
  ['a control character in a value', `${OK}X: y\x01z\r\nContent-Length: 0\r\n\r\n`],
  ['a DEL in a value', `${OK}X: y\x7fz\r\nContent-Length: 0\r\n\r\n`],
  ['two carriage returns', `${OK}X: y\r\r\nContent-Length: 0\r\n\r\n`],
  ['a NUL in a name', `${OK}X\0: y\r\nContent-Length: 0\r\n\r\n`],
  ['a space in a name', `${OK}Set Cookie: y\r\nContent-Length: 0\r\n\r\n`],
  ['a high byte in a name', `${OK}X\xa0: y\r\nContent-Length: 0\r\n\r\n`],
  ['a folded field', `${OK}X: y\r\n z\r\nContent-Length: 0\r\n\r\n`],
  ['a field folded by a tab', `${OK}X: y\r\n\tSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n`],
  ['a folded status line', `${OK} X: y\r\nContent-Length: 0\r\n\r\n`],
  ['a space before the colon', `${OK}Content-Length : 0\r\n\r\n`],
  ['a field without a colon', `${OK}Content-Length\r\n\r\n`],
  ['a field without a name', `${OK}: 0\r\n\r\n`],
  ['a length of letters', `${OK}Content-Length: five\r\n\r\nhello`],
  ['a negative length', `${OK}Content-Length: -5\r\n\r\nhello`],
  ['a signed length', `${OK}Content-Length: +5\r\n\r\nhello`],
  ['a length in hex', `${OK}Content-Length: 0x5\r\n\r\nhello`],
  ['a length beyond all bounds', `${OK}Content-Length: 99999999999999999999\r\n\r\nhello`],
  ['an empty length', `${OK}Content-Length:\r\n\r\nhello`],
  ['two lengths that differ', `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
  ['two lengths that are the same', `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['two lengths in one', `${OK}Content-Length: 5, 6\r\n\r\nhello`],
  ['a length and chunks', `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks and a length', `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ['an unknown coding', `${OK}Transfer-Encoding: gzip\r\n\r\nhello`],
  ['a coding behind the chunks', `${OK}Transfer-Encoding: chunked, gzip\r\n\r\nhello`],
  ['chunks twice', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['chunks in quotes', `${OK}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
  ['chunks with a letter before', `${OK}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['a length and chunks of a 204',
    'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['too many fields', `${OK}${'X: y\r\n'.repeat(FIELDS_LIMIT + 1)}\r\n`],
  ['too large a head', `${OK}X: ${'y'.repeat(17_000)}\r\n\r\n`],
  ['a head that never ends', `${OK}${`X: ${'y'.repeat(100)}\r\n`.repeat(90)}X: ${'y'.repeat(17_000)}`],
  ['a broken interim response', `HTTP/1.1 103 Early\r\nX y\r\n\r\n${OK}Content-Length: 0\r\n\r\n`],
  ['an interim response with a bare line feed', `HTTP/1.1 103 Early\nX: y\r\n\r\n${OK}Content-Length: 0\r\n\r\n`],
  ['an interim response with a body',
    `HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\nhello${OK}Content-Length: 0\r\n\r\n`],
  ['an interim response with chunks',
    `HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${OK}Content-Length: 0\r\n\r\n`],
  ['bytes behind an interim response', `HTTP/1.1 103 Early\r\n\r\nx${OK}Content-Length: 0\r\n\r\n`],
  ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
];

/** Bodies that break after their head was passed on: the response is cut there. */
const BROKEN_BODIES: readonly (readonly [name: string, bytes: string])[] = [
  ['a chunk size that is none', 'zz\r\nhello\r\n0\r\n\r\n'],
  ['an empty chunk size', '\r\nhello\r\n0\r\n\r\n'],
  ['a negative chunk size', '-5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk size beyond all bounds', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['a chunk longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
  ['a bare line feed behind a chunk size', '5\nhello\r\n0\r\n\r\n'],
  ['a bare line feed behind a chunk', '5\r\nhello\n0\r\n\r\n'],
  ['a chunk size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
  ['a chunk size with a space', '5 \r\nhello\r\n0\r\n\r\n'],
  ['a line feed in a chunk extension', '5;a\n\r\nhello\r\n0\r\n\r\n'],
  ['a NUL in a chunk extension', '5;a=\0\r\nhello\r\n0\r\n\r\n'],
  ['a bare line feed behind the last chunk', '5\r\nhello\r\n0\n\r\n'],
  ['a bare line feed in a trailer', '5\r\nhello\r\n0\r\nX: y\nSet-Cookie: a=b\r\n\r\n'],
  ['a bare carriage return in a trailer', '5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n'],
  ['a NUL in a trailer', '5\r\nhello\r\n0\r\nX: y\0z\r\n\r\n'],
  ['a folded trailer', '5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n'],
  ['a space before the colon of a trailer', '5\r\nhello\r\n0\r\nX : y\r\n\r\n'],
  ['a length as a trailer', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
  ['chunks as a trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['too many trailers', `5\r\nhello\r\n0\r\n${'X: y\r\n'.repeat(FIELDS_LIMIT + 1)}\r\n`],
  ['a trailer that is no field', '5\r\nhello\r\n0\r\nnonsense\r\n\r\n'],
  ['a trailer section too large', `5\r\nhello\r\n0\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`],
];

for (const front of FRONTS) {
  describe(`a broken response, through ${front.name}, is answered 502 and its connection is not reused`, () => {
    for (const [name, bytes] of BROKEN) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, [[request, bytes], echo]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(get());
        assert.equal(answer.status, 502);
        assert.equal(under.outcomes.length, 1);
        assert.equal(under.outcomes[0]?.ok, false);
        assert.match(under.reports.join(), /^(RESPONSE_MALFORMED|RESPONSE_HEAD_TOO_LARGE|UPGRADE_UNASKED) at /);
        await upstream.gone(1);
        // The downstream has done nothing wrong.
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.equal(upstream.peers.length, 2);
      });
    }
  });

  describe(`a body that breaks, through ${front.name}, is cut and its connection is not reused`, () => {
    for (const [name, bytes] of BROKEN_BODIES) {
      for (const together of [true, false]) {
        test(`${name}, ${together ? 'with' : 'behind'} its head`, async (t) => {
          const head = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
          const upstream = await startUpstream(t, [
            together ? [request, head + bytes] : async (peer) => {
              await peer.request();
              peer.send(head);
              await relayed;
              peer.send(bytes);
            },
            echo,
          ]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          let tell = (): void => undefined;
          const relayed = new Promise<void>((resolve) => {
            tell = resolve;
          });
          client.send(get());
          // Even if everything is read at once: an end without a byte would look like that of an idle connection.
          assert.match((await client.head()).line, / 200 /);
          tell();
          await assert.rejects(client.inbox.until('\r\n0\r\n\r\n'), { name: 'Broken' });
          await under.settled(1);
          assert.deepEqual(under.reports, [`RESPONSE_MALFORMED at ${upstream.origin}`]);
          await upstream.gone(1);
          assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
          assert.equal(upstream.peers.length, 2);
        });
      }
    }
  });
}
