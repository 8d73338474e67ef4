/**
 * Frames and header blocks that RFC 9113 forbids, written octet by octet. node:http2 refuses most of them, our own
 * rules the rest. Whoever does, nothing may reach an upstream as a complete request, nothing may stay in flight, and
 * another connection is served.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { TestOptions } from '../support/balancer.ts';
import { serve } from '../support/fronts.ts';
import { ask, H2C, type Http2Kind, startHttp2 } from '../support/http2.ts';
import {
  block, connectFrames, CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, type FrameClient, get, HEADERS, post,
  PRIORITY, pseudo, RST_STREAM, settings, uint32, WINDOW_UPDATE,
} from '../support/http2-frames.ts';
import { echo, request, response, startUpstream } from '../support/upstream.ts';

/** Node 20 stops reading after some errors, and does not see that the client has left: its sockets are destroyed. */
const KIND: Http2Kind = {
  ...H2C,
  open: async (balancer) => {
    const sockets: Socket[] = [];
    const server = H2C.server(balancer.handle).on('connection', (socket: Socket) => sockets.push(socket));
    const door = await serve(server);
    return {
      port: door.port,
      close: () => {
        for (const socket of sockets) socket.destroy();
        return door.close();
      },
    };
  },
};

async function start(t: TestContext, options: Partial<TestOptions> = {}) {
  const upstream = await startUpstream(t, echo);
  const { under, session } = await startHttp2(t, KIND, [upstream], options);
  return { upstream, under, session, client: await connectFrames(t, under.port) };
}

/** The header block of a request with these fields besides, or in place of, its pseudo-header fields. */
function headers(fields: readonly (readonly [string, string])[], flags = END_STREAM | END_HEADERS): Buffer {
  return frame(HEADERS, flags, 1, block(fields));
}

const GET = pseudo('GET', '/');
const ends = END_STREAM | END_HEADERS;

describe('a malformed request over HTTP/2', () => {
  const malformed: [what: string, frames: readonly Buffer[], ending?: RegExp][] = [
    ['an upper-case name', [headers([...GET, ['X-Name', '1']])]],
    ['a path with a line feed', [headers([...pseudo('GET', '/a\r\nX: y')])]],
    ['a path with a space', [headers([...pseudo('GET', '/a HTTP/1.1')])]],
    ['a method with a space', [headers([...pseudo('GET /x', '/')])]],
    ['a pseudo-header after others', [headers([[':method', 'GET'], [':scheme', 'http'], ['x-a', '1'],
      [':authority', 'a'], [':path', '/']])]],
    ['two paths', [headers([...GET, [':path', '/2']])]],
    ['two methods', [headers([...GET, [':method', 'POST']])]],
    ['two authorities', [headers([...GET, [':authority', 'other']])]],
    ['two schemes', [headers([...GET, [':scheme', 'https']])]],
    ['an unknown pseudo-header', [headers([...GET, [':other', '1']])]],
    ['a pseudo-header of responses', [headers([...GET, [':status', '200']])]],
    [':protocol without CONNECT', [headers([...GET, [':protocol', 'websocket']])]],
    ['no path', [headers([[':method', 'GET'], [':scheme', 'http'], [':authority', 'a']])]],
    ['an empty path', [headers([...pseudo('GET', '')])]],
    ['no method', [headers([[':scheme', 'http'], [':authority', 'a'], [':path', '/']])]],
    ['no scheme', [headers([[':method', 'GET'], [':authority', 'a'], [':path', '/']])]],
    ['neither an authority nor a Host', [headers([[':method', 'GET'], [':scheme', 'http'], [':path', '/']])]],
    ['an authority with user information', [headers([...pseudo('GET', '/', 'user@example.com')])]],
    ['an authority with a path', [headers([...pseudo('GET', '/', 'example.com/x')])]],
    ['a Host that differs', [headers([...GET, ['host', 'other.example']])], /^400$/],
    ['a Host with another port', [headers([...GET, ['host', 'example.com:8080']])], /^400$/],
    ['two Host lines', [headers([...GET.filter(([name]) => name !== ':authority'), ['host', 'a'], ['host', 'b']])]],
    ['Connection', [headers([...GET, ['connection', 'keep-alive']])]],
    ['Keep-Alive', [headers([...GET, ['keep-alive', '1']])]],
    ['Proxy-Connection', [headers([...GET, ['proxy-connection', 'close']])]],
    ['Transfer-Encoding', [headers([...GET, ['transfer-encoding', 'chunked']])]],
    ['Upgrade', [headers([...GET, ['upgrade', 'websocket']])]],
    ['TE other than trailers', [headers([...GET, ['te', 'gzip']])]],
    ['TE: trailers and more', [headers([...GET, ['te', 'trailers, gzip']])]],
    ['a length that is not a number', [headers([...GET, ['content-length', 'x']], END_HEADERS)]],
    ['two lengths', [headers([...GET, ['content-length', '1'], ['content-length', '2']], END_HEADERS)]],
    ['a length without a body', [headers([...GET, ['content-length', '5']])]],
    ['more DATA than its length', [post(1, '/', ['content-length', '3']), frame(DATA, END_STREAM, 1, 'four')]],
    ['less DATA than its length', [post(1, '/', ['content-length', '5']), frame(DATA, END_STREAM, 1, 'four')]],
    ['trailers with a pseudo-header', [post(1), frame(DATA, 0, 1, 'x'), headers([[':path', '/2']])]],
    ['trailers with an upper-case name', [post(1), frame(DATA, 0, 1, 'x'), headers([['X-Sum', '1']])]],
    ['trailers without END_STREAM', [post(1), frame(DATA, 0, 1, 'x'), headers([['x-sum', '1']], END_HEADERS)]],
    ['a path that is absolute', [headers([...pseudo('GET', 'http://other.example/')])]],
    ['an asterisk for another method than OPTIONS', [headers([...pseudo('GET', '*')])]],
  ];
  for (const [what, frames, ending = /^(RST 1|400|GOAWAY [12])$/] of malformed) {
    test(what, async (t) => {
      const { upstream, under, session, client } = await start(t);
      client.send(...frames);
      assert.match(await client.ending(1), ending);
      // What was begun may have been cut, but nothing may look complete.
      assert.deepEqual(upstream.requests, []);
      assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
      assert.ok(under.outcomes.every(({ ok, error }) => ok || error === 'DOWNSTREAM_GONE'));
    });
  }
});

describe('a field that HTTP forbids, and that node:http2 drops without a word', () => {
  for (const [what, field] of [
    ['a name with a space', ['x name', '1']], ['an empty name', ['', '1']], ['a name with a colon', ['x:name', '1']],
    ['a value with a line feed', ['x-name', 'a\nb: c']], ['a value with a carriage return', ['x-name', 'a\rb']],
    ['a value with NUL', ['x-name', 'a\0b']],
  ] as const) {
    test(`${what} goes no further`, async (t) => {
      const { upstream, client } = await start(t);
      client.send(headers([...GET, field, ['x-kept', '1']]));
      assert.match(await client.ending(1), /^(200|RST 1|GOAWAY 1)$/);
      for (const { head } of upstream.requests) {
        assert.equal(head.get('x-kept'), '1');
        assert.ok(!head.fields.some(([name]) => /^(x name|x:name|x-name|b|)$/.test(name)));
      }
    });
  }
});

describe('frames that break the rules of the connection', () => {
  const broken: [what: string, frames: readonly Buffer[]][] = [
    ['HEADERS on stream 0', [frame(HEADERS, ends, 0, block(GET))]],
    ['HEADERS on an even stream', [frame(HEADERS, ends, 2, block(GET))]],
    ['DATA on stream 0', [frame(DATA, 0, 0, 'x')]],
    ['DATA on an idle stream', [frame(DATA, 0, 1, 'x')]],
    ['CONTINUATION alone', [frame(CONTINUATION, END_HEADERS, 1, block(GET))]],
    ['another frame within a header block', [frame(HEADERS, END_STREAM, 1, block(GET)), frame(DATA, 0, 1, 'x')]],
    ['RST_STREAM of an idle stream', [frame(RST_STREAM, 0, 1, uint32(8))]],
    ['WINDOW_UPDATE by nothing on the connection', [frame(WINDOW_UPDATE, 0, 0, uint32(0))]],
    ['a window beyond 2^31-1', [frame(WINDOW_UPDATE, 0, 0, uint32(0x7f_ff_ff_ff))]],
    ['SETTINGS of an odd size', [frame(4, 0, 0, 'abc')]],
    ['ENABLE_PUSH of 2', [settings([2, 2])]],
    ['an initial window beyond 2^31-1', [settings([4, 0x80_00_00_00])]],
    ['a frame beyond the greatest size', [frame(DATA, 0, 1, Buffer.alloc(16_385))]],
    ['a header block that HPACK cannot read', [frame(HEADERS, ends, 1, Buffer.from([0x80]))]],
    ['PUSH_PROMISE', [frame(5, END_HEADERS, 1, Buffer.concat([uint32(2), block(GET)]))]],
  ];
  for (const [what, frames] of broken) {
    test(`${what}: GOAWAY with an error`, async (t) => {
      const { upstream, session, client } = await start(t);
      client.send(...frames);
      // Node 20 does not always close the connection itself.
      assert.notEqual(await client.failure(), 0);
      assert.deepEqual(upstream.requests, []);
      assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
    });
  }

  const harmless: [what: string, frames: readonly Buffer[]][] = [
    ['an unknown frame', [frame(0xfa, 0xff, 0, 'anything'), get(1)]],
    ['an unknown setting', [settings([0xfafa, 1]), get(1)]],
    ['priorities and a tree of them', [
      ...Array.from({ length: 50 }, (_, i) => {
        return frame(PRIORITY, 0, 2 * i + 3, Buffer.concat([uint32(2 * i + 1), Buffer.of(9)]));
      }),
      get(101),
    ]],
    ['PRIORITY_UPDATE (RFC 9218)', [frame(0x10, 0, 0, Buffer.concat([uint32(1), Buffer.from('u=1')])), get(1)]],
    ['a header block in pieces of an octet', [
      frame(HEADERS, END_STREAM, 1, ''),
      ...[...block(GET)].slice(0, 4).map((octet) => frame(CONTINUATION, 0, 1, Buffer.of(octet))),
      frame(CONTINUATION, END_HEADERS, 1, block(GET).subarray(4)),
    ]],
    ['TE: trailers', [get(1, '/', ['te', 'trailers'])]],
    ['a Host that is the same but for case and port', [get(1, '/', ['host', 'EXAMPLE.com:80'])]],
  ];
  for (const [what, frames] of harmless) {
    test(`${what}: served`, async (t) => {
      const { client } = await start(t);
      client.send(...frames);
      assert.equal(await client.ending(what.startsWith('priorities') ? 101 : 1), '200');
    });
  }

  test('DATA for a stream that is over is dropped, and the connection goes on', async (t) => {
    const upstream = await startUpstream(t, [[request, response('done')], echo]);
    const { under } = await startHttp2(t, KIND, [upstream]);
    const client = await connectFrames(t, under.port);
    client.send(post(1), frame(DATA, 0, 1, 'half'), frame(RST_STREAM, 0, 1, uint32(8)));
    client.send(...Array.from({ length: 20 }, () => frame(DATA, 0, 1, 'more')));
    await client.ping();
    client.send(get(3, '/3'));
    assert.match(await client.ending(3), /^(200|GOAWAY 5)$/);
    assert.ok(upstream.requests.every(({ head }) => head.line !== 'POST / HTTP/1.1'));
  });
});

describe('the head of a request over HTTP/2', () => {
  test('the Host that is sent is :authority; crumbs of a cookie are joined in order; priority passes', async (t) => {
    const { upstream, client } = await start(t);
    client.send(get(1, '/', ['host', 'example.com'], ['cookie', 'a=1'], ['priority', 'u=1, i'], ['cookie', 'b=2'],
      ['x-a', '1'], ['cookie', 'c=3'], ['te', 'trailers']));
    assert.equal(await client.status(1), 200);
    const { head } = upstream.requests[0] ?? {};
    assert.deepEqual(head?.fields.filter(([name]) => /^host$/i.test(name)).map(([, value]) => value), ['example.com']);
    assert.equal(head.get('cookie'), 'a=1; b=2; c=3');
    assert.equal(head.get('priority'), 'u=1, i');
    assert.equal(head.get('te'), 'trailers');
    assert.ok(head.fields.every(([name]) => !name.startsWith(':')));
  });

  test('Host alone will do', async (t) => {
    const { upstream, client } = await start(t);
    client.send(headers([[':method', 'GET'], [':scheme', 'http'], [':path', '/'], ['host', 'old.example']]));
    assert.equal(await client.status(1), 200);
    assert.equal(upstream.requests[0]?.head.get('host'), 'old.example');
  });

  test('OPTIONS of the server', async (t) => {
    const { upstream, client } = await start(t);
    client.send(headers(pseudo('OPTIONS', '*')));
    assert.equal(await client.status(1), 200);
    assert.equal(upstream.requests[0]?.head.line, 'OPTIONS * HTTP/1.1');
  });

  const large = (count: number, size: number): (readonly [string, string])[] => {
    return Array.from({ length: count }, (_, i) => [`x-${i}`, 'v'.repeat(size)]);
  };
  function refused(client: FrameClient, fields: (readonly [string, string])[]): Promise<string> {
    const whole = block([...GET, ...fields]);
    const pieces: Buffer[] = [];
    for (let at = 0; at < whole.length; at += 16_000) {
      const last = at + 16_000 >= whole.length;
      pieces.push(frame(at === 0 ? HEADERS : CONTINUATION, (at === 0 ? END_STREAM : 0) | (last ? END_HEADERS : 0), 1,
        whole.subarray(at, at + 16_000)));
    }
    client.send(...pieces);
    return client.ending(1);
  }

  test('more fields than maxFields: 431', async (t) => {
    const { client, under } = await start(t);
    assert.equal(await refused(client, large(105, 4)), '431');
    assert.equal(under.picks.length, 0);
  });

  test('more octets than maxHeadBytes: 431', async (t) => {
    const { client, under } = await start(t);
    assert.equal(await refused(client, large(9, 2_000)), '431');
    assert.equal(under.picks.length, 0);
  });

  for (const [what, count, size] of [['too many for node:http2', 500, 4], ['too long for it', 20, 8_000]] as const) {
    test(`${what}: the stream is reset, or the connection ended`, async (t) => {
      const { client, under } = await start(t);
      assert.match(await refused(client, large(count, size)), /^(RST 11|RST 7|GOAWAY|431|closed)/);
      assert.equal(under.picks.length, 0);
    });
  }
});
