import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import type { Response } from '../support/client.ts';
import { type FrontKind, FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { type Peer, type Received, startUpstream } from '../support/upstream.ts';

/** A body that would be a response if it were read as one. */
const BODY = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

interface Row {
  readonly name: string;
  readonly head: string;
  /** What follows the head in answer to any method but HEAD. */
  readonly sent?: string;
  /** Whether the upstream closes after it, in answer to any method but HEAD. */
  readonly closes?: true;
  /** Whether its connection is reused. Default: yes. */
  readonly kept?: false;
  /** Whether its connection is reused after HEAD, where that differs. */
  readonly keptAfterHead?: true;
  readonly status?: number;
  readonly body?: string;
  readonly trailers?: string;
  /** How the response is framed for an HTTP/1.1 downstream: the length, `chunked`, or nothing. */
  readonly framing: string | undefined;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const OLD = 'HTTP/1.0 200 OK\r\n';
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const KEEP = 'Connection: keep-alive\r\n';
const CLOSE = 'Connection: close\r\n';
const WITH_LENGTH = { sent: BODY, body: BODY, framing: `${BODY.length}` } as const;
const UNTIL_CLOSE = { sent: BODY, body: BODY, closes: true, kept: false, framing: 'chunked' } as const;

const ROWS: readonly Row[] = [
  { name: 'Content-Length: 0', head: `${OK}Content-Length: 0\r\n\r\n`, framing: '0' },
  { name: 'Content-Length', head: `${OK}${LENGTH}\r\n`, ...WITH_LENGTH },
  { name: 'Content-Length, then close', head: `${OK}${CLOSE}${LENGTH}\r\n`, ...WITH_LENGTH, kept: false },
  { name: 'no chunk but the last', head: `${OK}${CHUNKED}\r\n`, sent: inChunks(''), framing: 'chunked' },
  { name: 'one chunk', head: `${OK}${CHUNKED}\r\n`, sent: inChunks(BODY), body: BODY, framing: 'chunked' },
  { name: 'several chunks', head: `${OK}${CHUNKED}\r\n`, sent: inChunks(BODY, 7), body: BODY, framing: 'chunked' },
  {
    name: 'chunks and trailers',
    head: `${OK}Trailer: X-Sum\r\n${CHUNKED}\r\n`,
    sent: inChunks(BODY, 7, 'X-Sum: 1\r\n'),
    body: BODY,
    trailers: 'X-Sum: 1\r\n',
    framing: 'chunked',
  },
  {
    name: 'chunks, then close',
    head: `${OK}${CLOSE}${CHUNKED}\r\n`,
    sent: inChunks(BODY),
    body: BODY,
    kept: false,
    framing: 'chunked',
  },
  { name: 'until close', head: `${OK}\r\n`, ...UNTIL_CLOSE, keptAfterHead: true },
  { name: 'until close, as announced', head: `${OK}${CLOSE}\r\n`, ...UNTIL_CLOSE },
  {
    name: 'until close, empty', head: `${OK}\r\n`, closes: true, kept: false, keptAfterHead: true, framing: 'chunked',
  },
  { name: 'HTTP/1.0 until close', head: `${OLD}\r\n`, ...UNTIL_CLOSE },
  { name: 'HTTP/1.0 with keep-alive, until close', head: `${OLD}${KEEP}\r\n`, ...UNTIL_CLOSE, keptAfterHead: true },
  { name: 'HTTP/1.0 with Content-Length', head: `${OLD}${LENGTH}\r\n`, ...WITH_LENGTH, kept: false },
  { name: 'HTTP/1.0 with Content-Length and keep-alive', head: `${OLD}${KEEP}${LENGTH}\r\n`, ...WITH_LENGTH },
  { name: '204', head: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, framing: undefined },
  {
    // RFC 9110 §8.6: a 204 has no length; it must be neither passed on nor awaited.
    name: '204 with Content-Length', head: `HTTP/1.1 204 No Content\r\n${LENGTH}\r\n`, status: 204, framing: undefined,
  },
  { name: '204 of HTTP/1.0', head: 'HTTP/1.0 204 No Content\r\n\r\n', status: 204, kept: false, framing: undefined },
  { name: '304', head: 'HTTP/1.1 304 Not Modified\r\n\r\n', status: 304, framing: undefined },
  {
    name: '304 with Content-Length',
    head: `HTTP/1.1 304 Not Modified\r\n${LENGTH}\r\n`,
    status: 304,
    framing: `${BODY.length}`,
  },
  {
    // RFC 9112 §6.1: the coding of what would have been sent; there is none to pass on.
    name: '304 with chunked', head: `HTTP/1.1 304 Not Modified\r\n${CHUNKED}\r\n`, status: 304, framing: undefined,
  },
  { name: '205', head: 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n', status: 205, framing: '0' },
  { name: '404', head: `HTTP/1.1 404 Not Found\r\n${LENGTH}\r\n`, status: 404, ...WITH_LENGTH },
];

for (const front of FRONTS) {
  for (const minor of [1, 0] as const) {
    describe(`through ${front.name} to HTTP/1.${minor} a response is framed as it is for its request, be it`, () => {
      for (const method of METHODS.filter((name) => name !== 'CONNECT')) {
        test(method, (t) => walk(t, front, method, minor));
      }
      // Not HEAD: methods are case-sensitive (RFC 9110 §9.1).
      for (const method of front === SOCKET ? ['FOO-BAR', 'head'] : []) {
        test(method, (t) => walk(t, front, method, minor));
      }
    });
  }
}

/** Requests all rows, with a plain request after each, and judges what the downstream reads. */
async function walk(t: TestContext, front: FrontKind, method: string, minor: 0 | 1): Promise<void> {
  const upstream = await startUpstream(t, play);
  const under = await startBalancer(t, { upstreams: [upstream], front });
  const head = method === 'HEAD';
  let client = await under.connect();
  /** Resolves with the answer, and whether the connection was closed after it, as announced. */
  const ask = async (verb: string, target: string): Promise<Response & { closed: boolean }> => {
    const keep = minor === 0 ? KEEP : '';
    const answer = await client.exchange(`${verb} ${target} HTTP/1.${minor}\r\nHost: example.test\r\n${keep}\r\n`);
    const said = answer.head.get('connection')?.toLowerCase();
    const closed = minor === 1 ? said === 'close' : said !== 'keep-alive';
    if (closed) {
      assert.equal(await client.over(), 'end');
      client = await under.connect();
    }
    return { ...answer, closed };
  };
  for (const [i, row] of ROWS.entries()) {
    const what = `${method}, ${row.name}`;
    const answer = await ask(method, `/${i}`);
    assert.equal(answer.status, row.status ?? 200, what);
    assert.equal(answer.text, head ? '' : row.body ?? '', what);
    assert.equal(answer.trailers, head || minor === 0 ? '' : row.trailers ?? '', what);
    const lengths = answer.head.all('content-length');
    const isChunked = row.framing === 'chunked';
    assert.deepEqual(lengths, row.framing === undefined || isChunked ? [] : [row.framing], what);
    const codings = answer.head.all('transfer-encoding');
    // RFC 9112 §6.1: a response to HEAD may name the coding that one to GET would have, or leave it out.
    if (!head || codings.length > 0) assert.deepEqual(codings, isChunked && minor === 1 ? ['chunked'] : [], what);
    // What the end of the connection ends is closed; node:http closes an HTTP/1.0 one behind all without a length.
    const ends = minor === 0 && (front === SOCKET ? isChunked && !head : lengths.length === 0);
    assert.equal(answer.closed, ends, `${what}: the downstream's connection`);

    const next = await ask('GET', '/next');
    assert.equal(next.text, '/next', what);
    const [peer, other] = upstream.peers.filter(({ requests }) => requests.some(isFor(`${method} /${i} `)));
    assert.ok(peer !== undefined && other === undefined, `${what}: sent once`);
    const kept = head && row.keptAfterHead === true ? true : row.kept ?? true;
    assert.equal(peer.requests.slice(-1).some(isFor('GET /next ')), kept, `${what}: the upstream's connection`);
    if (!kept) await upstream.gone(peer.number);
  }
  assert.deepEqual(under.reports, []);
}

function isFor(start: string): (received: Received) => boolean {
  return ({ head }) => head.line.startsWith(start);
}

/** Answers each request by the row that its target names, and closes where the row does. */
async function play(peer: Peer): Promise<void> {
  for (;;) {
    const { head: { line } } = await peer.request();
    const [method, target = ''] = line.split(' ');
    const row = ROWS[Number(target.slice(1))];
    if (row === undefined) peer.send(`${OK}Content-Length: ${target.length}\r\n\r\n${target}`);
    else if (method === 'HEAD') peer.send(row.head);
    else {
      peer.send(row.head + (row.sent ?? ''));
      if (row.closes === true) peer.socket.end();
    }
  }
}

function inChunks(body: string, size?: number, trailers?: string): string {
  return String(chunked(body, size, trailers));
}
