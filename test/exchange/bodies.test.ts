import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import {
  close, echo, request, response, type Script, type Step, serve, startUpstream,
} from '../support/upstream.ts';

const ALL_BYTES = pattern(256);
const MEGABYTE = pattern(1 << 20);
const CHUNKED_HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

interface ResponseCase {
  readonly name: string;
  readonly method?: string;
  /** What the upstream sends, and whether it closes behind it. */
  readonly sends: readonly (string | Buffer)[];
  readonly closes?: boolean;
  readonly status?: number;
  readonly body?: string | Buffer;
  /** What the framing fields are for an HTTP/1.1 downstream, where it matters. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
}

const RESPONSES: readonly ResponseCase[] = [
  { name: 'of a known length', sends: [response('hello')], body: 'hello', fields: { 'content-length': '5' } },
  { name: 'of length 0', sends: [response('')], body: '', fields: { 'content-length': '0' } },
  { name: 'with every byte value', sends: [response(ALL_BYTES.toString('latin1'))], body: ALL_BYTES },
  {
    name: 'in chunks',
    sends: [CHUNKED_HEAD, chunked('hello world', 4)],
    body: 'hello world',
    fields: { 'transfer-encoding': 'chunked', 'content-length': undefined },
  },
  {
    name: 'in chunks, none but the last',
    sends: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    body: '',
    fields: { 'transfer-encoding': 'chunked' },
  },
  {
    name: 'in chunks with extensions',
    sends: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d;e"\r\nhello\r\n0;last\r\n\r\n'],
    body: 'hello',
  },
  {
    name: 'until the connection closes',
    sends: ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n', 'hello ', 'world'],
    closes: true,
    body: 'hello world',
    fields: { 'transfer-encoding': 'chunked', 'content-length': undefined },
  },
  {
    name: 'in HTTP/1.0 until the connection closes',
    sends: ['HTTP/1.0 200 OK\r\n\r\nhello'],
    closes: true,
    body: 'hello',
    fields: { 'transfer-encoding': 'chunked' },
  },
  {
    name: 'in HTTP/1.0 of a known length',
    sends: ['HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    body: 'hello',
    fields: { 'content-length': '5' },
  },
  {
    name: 'empty, until the connection closes',
    sends: ['HTTP/1.1 200 OK\r\n\r\n'],
    closes: true,
    body: '',
  },
  {
    name: 'to HEAD, with the length of what GET would get',
    method: 'HEAD',
    sends: ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    body: '',
    fields: { 'content-length': '5' },
  },
  {
    name: 'to HEAD, without a length',
    method: 'HEAD',
    sends: ['HTTP/1.1 200 OK\r\n\r\n'],
    body: '',
    fields: { 'content-length': undefined },
  },
  {
    name: 'to HEAD, chunked if GET had asked',
    method: 'HEAD',
    sends: [CHUNKED_HEAD],
    body: '',
    fields: { 'content-length': undefined },
  },
  {
    name: '204',
    sends: ['HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n'],
    status: 204,
    body: '',
    fields: { 'x-a': 'b', 'content-length': undefined, 'transfer-encoding': undefined },
  },
  {
    name: '204 with a length that it may not have (RFC 9110 §8.6)',
    sends: ['HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
    status: 204,
    body: '',
    fields: { 'content-length': undefined },
  },
  {
    name: '304 with the length of what it stands for',
    sends: ['HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 1234\r\n\r\n'],
    status: 304,
    body: '',
    fields: { etag: '"x"', 'content-length': '1234' },
  },
  { name: 'an error with a body', sends: [response('gone', '', '410 Gone')], status: 410, body: 'gone' },
  {
    name: 'of 1 MiB, length known',
    sends: [`HTTP/1.1 200 OK\r\nContent-Length: ${MEGABYTE.length}\r\n\r\n`, MEGABYTE],
    body: MEGABYTE,
  },
  {
    name: 'of 1 MiB in chunks of 1,000',
    sends: [CHUNKED_HEAD, chunked(MEGABYTE, 1000)],
    body: MEGABYTE,
  },
  {
    name: 'of 1 MiB in one chunk',
    sends: [CHUNKED_HEAD, chunked(MEGABYTE)],
    body: MEGABYTE,
  },
  {
    name: 'of 1 MiB until the connection closes',
    sends: ['HTTP/1.1 200 OK\r\n\r\n', MEGABYTE],
    closes: true,
    body: MEGABYTE,
  },
];

/** Answers the first request as the case says and all others, on any connection, with their targets. */
function playing({ sends, closes }: ResponseCase): readonly Script[] {
  const steps: Step[] = [request, ...sends];
  return closes === true ? [[...steps, close], echo] : [[...steps, echo], echo];
}

for (const front of FRONTS) {
  describe(`a response through ${front.name} arrives whole`, () => {
    for (const one of RESPONSES) {
      test(one.name, async (t) => {
        const upstream = await startUpstream(t, playing(one));
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(get('/', '', one.method));
        assert.equal(answer.status, one.status ?? 200);
        assert.deepEqual(answer.bytes, Buffer.from(one.body ?? ''));
        for (const [name, value] of Object.entries(one.fields ?? {})) assert.equal(answer.head.get(name), value, name);
        assert.equal(answer.head.get('connection') === 'close', false);
        // The next response starts where this one ended.
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        const outcomes = under.outcomes.map(({ ok, status }) => [ok, status]);
        assert.deepEqual(outcomes, [[true, one.status ?? 200], [true, 200]]);
      });
    }
  });

  describe(`a response through ${front.name} for an HTTP/1.0 downstream ends with the connection or its length`, () => {
    for (const one of RESPONSES) {
      test(one.name, async (t) => {
        const upstream = await startUpstream(t, playing(one));
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(`${one.method ?? 'GET'} / HTTP/1.0\r\nHost: example.test\r\n\r\n`);
        assert.equal(answer.status, one.status ?? 200);
        assert.deepEqual(answer.bytes, Buffer.from(one.body ?? ''));
        // RFC 9112 §6.1: no coding for a client that has not announced HTTP/1.1.
        assert.equal(answer.head.get('transfer-encoding'), undefined);
        assert.equal(await client.over(), 'end');
      });
    }
  });

  describe(`a request through ${front.name} arrives whole`, () => {
    const table: [name: string, bytes: Buffer, body: Buffer, framing: Record<string, string | undefined>][] = [
      ['of a known length', post('/', 'hello'), Buffer.from('hello'), { 'content-length': '5' }],
      ['of length 0', post('/', ''), Buffer.alloc(0), { 'content-length': '0', 'transfer-encoding': undefined }],
      ['with every byte value', post('/', ALL_BYTES), ALL_BYTES, {}],
      ['in chunks', inChunks(Buffer.from('hello world'), 4), Buffer.from('hello world'), {
        'content-length': undefined, 'transfer-encoding': 'chunked',
      }],
      ['in chunks, none but the last', inChunks(Buffer.alloc(0)), Buffer.alloc(0), { 'transfer-encoding': 'chunked' }],
      ['of 1 MiB, length known', post('/', MEGABYTE), MEGABYTE, {}],
      ['of 1 MiB in chunks of 1,000', inChunks(MEGABYTE, 1000), MEGABYTE, {}],
      ['of 1 MiB in one chunk', inChunks(MEGABYTE), MEGABYTE, {}],
      ['GET with a body', post('/', 'hello', '', 'GET'), Buffer.from('hello'), { 'content-length': '5' }],
      ['DELETE with a body', post('/', 'hello', '', 'DELETE'), Buffer.from('hello'), { 'content-length': '5' }],
      ['PUT in chunks', inChunks(Buffer.from('hello'), 1, 'PUT'), Buffer.from('hello'), {}],
      ['HTTP/1.0 of a known length',
        Buffer.from('POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello'),
        Buffer.from('hello'), { 'content-length': '5' }],
    ];
    for (const [name, bytes, body, framing] of table) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        assert.equal((await client.exchange(bytes)).status, 200);
        // The next request starts where this one ended, on both sides.
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.deepEqual(upstream.requests[0]?.body.bytes, body);
        assert.equal(upstream.requests[1]?.head.line, 'GET /next HTTP/1.1');
        for (const [field, value] of Object.entries(framing)) {
          assert.equal(upstream.requests[0].head.get(field), value, field);
        }
        assert.equal(upstream.peers.length, 1, 'the connection is used again');
      });
    }

    for (const [name, bytes, body] of table.filter(([, { length }]) => length < 1000)) {
      test(`${name}, byte by byte`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        for (const byte of bytes) await written(client.socket, Buffer.of(byte));
        assert.equal((await client.response()).status, 200);
        assert.deepEqual(upstream.requests[0]?.body.bytes, body);
      });
    }
  });

  test(`through ${front.name} pieces of a body are passed on as they come, not once all have arrived`, async (t) => {
    const upstream = await startUpstream(t, [async (peer) => {
      const head = await peer.head();
      peer.send(CHUNKED_HEAD);
      // Each piece is answered before the next is sent: a proxy that held one back would wait forever.
      for (let i = 0; i < 5; i++) peer.send(chunked(await peer.inbox.exactly(1)).subarray(0, -5));
      peer.send('0\r\n\r\n');
      assert.equal(head.get('content-length'), '5');
    }]);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    client.send(get('/', 'Content-Length: 5\r\n', 'POST'));
    assert.match((await client.head()).line, /200/);
    for (const letter of 'abcde') {
      client.send(letter);
      assert.equal(await client.inbox.until(`${letter}\r\n`), `1\r\n${letter}\r\n`);
    }
    assert.equal(await client.inbox.until('\r\n\r\n'), '0\r\n\r\n');
  });

  test(`through ${front.name} each direction has its own framing`, async (t) => {
    const upstream = await startUpstream(t, serve(({ body }) => {
      return Buffer.concat([Buffer.from(CHUNKED_HEAD), chunked(body.bytes, 3)]);
    }));
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    for (let length = 0; length < 20; length++) {
      const body = pattern(length);
      assert.deepEqual((await client.exchange(post('/', body))).bytes, body);
      assert.deepEqual((await client.exchange(inChunks(body, 7))).bytes, body);
    }
  });
}

function inChunks(body: Buffer, size?: number, method = 'POST'): Buffer {
  return Buffer.concat([Buffer.from(get('/', 'Transfer-Encoding: chunked\r\n', method)), chunked(body, size)]);
}

/** Resolves when the kernel has the bytes: later ones go in another packet. */
function written(socket: NodeJS.WritableStream, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    socket.write(bytes, () => {
      resolve();
    });
  });
}
