import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { echo, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';

/** A body that would be a request if it were read as one. */
const BODY = 'GET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n';

interface Row {
  readonly name: string;
  /** The framing field, a whole line; none where there is no body. */
  readonly field: string;
  /** What follows the head. */
  readonly sent: string;
  /** What the upstream must decode. */
  readonly length?: string;
  readonly coding?: string;
  readonly body?: string;
  readonly trailers?: string;
  readonly minor?: 0;
}

const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
const ROWS: readonly Row[] = [
  { name: 'no body', field: '', sent: '' },
  { name: 'Content-Length: 0', field: 'Content-Length: 0\r\n', sent: '', length: '0' },
  { name: 'Content-Length', field: LENGTH, sent: BODY, length: `${BODY.length}`, body: BODY },
  { name: 'no chunk but the last', field: CHUNKED, sent: inChunks(''), coding: 'chunked' },
  { name: 'one chunk', field: CHUNKED, sent: inChunks(BODY), coding: 'chunked', body: BODY },
  { name: 'several chunks', field: CHUNKED, sent: inChunks(BODY, 7), coding: 'chunked', body: BODY },
  {
    name: 'chunks and trailers',
    field: `Trailer: X-Sum\r\n${CHUNKED}`,
    sent: inChunks(BODY, 7, 'X-Sum: 1\r\n'),
    coding: 'chunked',
    body: BODY,
    trailers: 'X-Sum: 1\r\n',
  },
  {
    name: 'no chunk but the last, and trailers',
    field: CHUNKED,
    sent: inChunks('', 1, 'X-Sum: 0\r\n'),
    coding: 'chunked',
    trailers: 'X-Sum: 0\r\n',
  },
  { name: 'HTTP/1.0 without a body', field: '', sent: '', minor: 0 },
  { name: 'HTTP/1.0 with Content-Length: 0', field: 'Content-Length: 0\r\n', sent: '', length: '0', minor: 0 },
  { name: 'HTTP/1.0 with Content-Length', field: LENGTH, sent: BODY, length: `${BODY.length}`, body: BODY, minor: 0 },
];

for (const front of FRONTS) {
  describe(`through ${front.name} a request is framed as it came, be it`, () => {
    for (const method of METHODS.filter((name) => name !== 'CONNECT')) {
      test(method, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        await walk(await under.connect(), upstream, method);
      });
    }
  });
}

describe('on a socket of our own a request is framed as it came, be it', () => {
  // A proxy is method-agnostic (RFC 9110 §9.1), and methods are case-sensitive.
  for (const method of ['FOO-BAR', "!#$%&'*+-.^_`|~09", 'get', 'head', 'connect']) {
    test(method, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
      await walk(await under.connect(), upstream, method);
    });
  }
});

/** Sends all rows over one connection, with a plain request after each, and judges what the upstream decoded. */
async function walk(client: Client, upstream: ScriptedUpstream, method: string): Promise<void> {
  for (const [i, row] of ROWS.entries()) {
    const what = `${method}, ${row.name}`;
    const answer = await client.exchange(requestOf(row, method, `/${i}`));
    assert.equal(answer.status, 200, what);
    assert.equal(answer.text, method === 'HEAD' ? '' : `/${i}`, what);
    // The next request starts where this one ended, on both sides.
    assert.equal((await client.exchange(get(`/${i}/next`))).text, `/${i}/next`, what);
    const [received, next] = upstream.requests.slice(2 * i);
    assert.equal(received?.head.line, `${method} /${i} HTTP/1.1`, what);
    assert.deepEqual(received.head.all('content-length'), row.length === undefined ? [] : [row.length], what);
    assert.deepEqual(received.head.all('transfer-encoding'), row.coding === undefined ? [] : [row.coding], what);
    assert.equal(received.body.bytes.toString('latin1'), row.body ?? '', what);
    assert.equal(received.body.trailers, row.trailers ?? '', what);
    assert.equal(next?.head.line, `GET /${i}/next HTTP/1.1`, what);
  }
  assert.equal(upstream.requests.length, 2 * ROWS.length);
  assert.equal(upstream.peers.length, 1, 'the connection is used again');
}

function requestOf({ field, sent, minor }: Row, method: string, target: string): string {
  if (minor === undefined) return get(target, field, method) + sent;
  return `${method} ${target} HTTP/1.0\r\nHost: example.test\r\nConnection: keep-alive\r\n${field}\r\n${sent}`;
}

function inChunks(body: string, size?: number, trailers?: string): string {
  return String(chunked(body, size, trailers));
}
