import assert from 'node:assert/strict';
import http2, { type ClientHttp2Stream } from 'node:http2';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { ask, certificate, H2, H2C, startHttp2 as start } from '../support/http2.ts';
import { chunked, pattern } from '../support/message.ts';
import {
  close, echo, head, request, reset, response, serve as answering, startUpstream, when,
} from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

for (const kind of [H2C, H2]) {
  describe(`balancer.handle under ${kind.name}`, { skip: kind.skip }, () => {
    test('serves requests, many at once', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, session } = await start(t, kind, [upstream]);
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(session, { ':path': `/${i}` })));
      for (const [i, { status, body }] of answers.entries()) {
        assert.equal(status, 200);
        assert.equal(body.toString(), `/${i}`);
      }
      await under.settled(50);
    });

    test('sends the upstream an HTTP/1.1 request, with the client address', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, session } = await start(t, kind, [upstream]);
      await ask(session, { ':path': '/a?b', 'x-mine': ['1', '2'], cookie: ['a=b', 'c=d'], te: 'trailers' });
      const { head: asked } = upstream.requests[0] ?? {};
      assert.equal(asked?.line, 'GET /a?b HTTP/1.1');
      assert.equal(asked.get('host'), `127.0.0.1:${under.port}`);
      assert.equal(asked.get('x-mine'), '1, 2');
      assert.equal(asked.get('cookie'), 'a=b; c=d');
      assert.equal(asked.get('te'), 'trailers');
      assert.equal(asked.get('x-forwarded-proto'), kind === H2 ? 'https' : 'http');
      assert.equal(asked.get('x-forwarded-for'), '127.0.0.1');
      assert.equal(asked.get('x-forwarded-host'), `127.0.0.1:${under.port}`);
      assert.equal(asked.get('transfer-encoding'), undefined);
      assert.ok(asked.fields.every(([name]) => !name.startsWith(':')));
    });

    test('bodies both ways, with a length and without', async (t) => {
      const large = pattern(1 << 20);
      const upstream = await startUpstream(t, answering(({ body }) => {
        return Buffer.concat([Buffer.from(CHUNKED), chunked(body.bytes, 9_000)]);
      }));
      const { session } = await start(t, kind, [upstream]);
      const post = { ':method': 'POST', ':path': '/' };
      assert.ok((await ask(session, post, large)).body.equals(large));
      assert.ok((await ask(session, { ...post, 'content-length': large.length }, large)).body.equals(large));
      assert.ok((await ask(session, post, Buffer.alloc(0))).body.equals(Buffer.alloc(0)));
      assert.deepEqual([...new Set(upstream.requests.map((sent) => sent.head.line))], ['POST / HTTP/1.1']);
      assert.equal(upstream.requests[1]?.head.get('content-length'), String(large.length));
    });

    test('trailers both ways', async (t) => {
      const upstream = await startUpstream(t, answering(() => {
        return `${CHUNKED}${String(chunked('hello', 2, 'X-Sum: 5\r\n'))}`;
      }));
      const { session } = await start(t, kind, [upstream]);
      const post = { ':method': 'POST', ':path': '/' };
      const answer = await ask(session, post, Buffer.from('hi'), { 'x-total': '2' });
      assert.equal(answer.trailers?.['x-sum'], '5');
      assert.equal(upstream.requests[0]?.body.trailers, 'x-total: 2\r\n');
    });

    test('HEAD, 204 and 304 have no body', async (t) => {
      const upstream = await startUpstream(t, answering(({ head: { line } }) => {
        if (line.startsWith('HEAD')) return LENGTH;
        if (line.includes('204')) return 'HTTP/1.1 204 No Content\r\n\r\n';
        return 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n';
      }));
      const { session } = await start(t, kind, [upstream]);
      const headed = await ask(session, { ':method': 'HEAD', ':path': '/' });
      assert.deepEqual([headed.status, headed.fields['content-length'], headed.body.length], [200, '10', 0]);
      assert.equal((await ask(session, { ':path': '/204' })).status, 204);
      const unchanged = await ask(session, { ':path': '/304' });
      assert.deepEqual([unchanged.status, unchanged.fields.etag], [304, '"x"']);
    });

    test('early hints', async (t) => {
      const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n';
      const upstream = await startUpstream(t, [[request, hints, response('done')]]);
      const { session } = await start(t, kind, [upstream]);
      const answer = await ask(session, { ':path': '/' });
      assert.deepEqual(answer.interims.map(({ link }) => link), ['</a.css>; rel=preload; as=style']);
      assert.equal(answer.body.toString(), 'done');
    });

    test('connection headers are left out', async (t) => {
      const fields = 'Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-Two: a\r\nX-Two: b\r\n'
        + 'Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nProxy-Connection: x\r\n';
      const upstream = await startUpstream(t, answering(() => response('x', fields)));
      const { session } = await start(t, kind, [upstream]);
      const { fields: got } = await ask(session, { ':path': '/' });
      for (const name of ['connection', 'keep-alive', 'x-hop', 'proxy-connection', 'transfer-encoding']) {
        assert.equal(got[name], undefined, name);
      }
      assert.equal(got['x-two'], 'a, b');
      assert.deepEqual(got['set-cookie'], ['a=b', 'c=d']);
    });

    // What HTTP/1.1 allows and HTTP/2 does not must not end the process.
    const odd: [name: string, bytes: string][] = [
      ['a status beyond 599', 'HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n'],
      ['status 999', 'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n'],
      ['Content-Type twice', response('x', 'Content-Type: text/plain\r\nContent-Type: text/html\r\n')],
      ['Date twice', response('x', 'Date: a\r\nDate: b\r\n')],
      ['ETag twice', response('x', 'ETag: "a"\r\nETag: "b"\r\n')],
      ['TE', response('x', 'TE: gzip\r\n')],
      ['HTTP2-Settings', response('x', 'HTTP2-Settings: x\r\n')],
      ['bytes beyond ASCII', response('x', 'X-Name: caf\xe9\r\n')],
      ['a reason', response('x', '', '200 caf\xe9')],
      ['an empty value', response('x', 'X-Empty:\r\n')],
    ];
    for (const [name, bytes] of odd) {
      test(`a response with ${name} does no harm`, async (t) => {
        const upstream = await startUpstream(t, [[request, bytes, echo], echo]);
        const { session, under } = await start(t, kind, [upstream]);
        const answer = await ask(session, { ':path': '/' }).catch((cause: unknown) => cause as Error);
        if (!(answer instanceof Error)) assert.ok([200, 502].includes(answer.status ?? 0), String(answer.status));
        await under.settled(1);
        assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
      });
    }

    test('errors of our own', async (t) => {
      const { session } = await start(t, kind, []);
      const answer = await ask(session, { ':path': '/' });
      assert.equal(answer.status, 503);
      assert.equal(answer.fields['retry-after'], '1');
      assert.equal(answer.fields['proxy-status'], 'equipoise; error=destination_unavailable');
      assert.equal(answer.body.toString(), 'No upstream is available for the request.\n');
    });

    for (const [name, way] of [['closes', close], ['resets', reset]] as const) {
      for (const [framing, sent] of [
        ['a body of known length', `${LENGTH}hello`], ['a chunked body', `${CHUNKED}5\r\nhello\r\n`],
      ] as const) {
        test(`an upstream that ${name} in the middle of ${framing}: the stream is reset, not ended`, async (t) => {
          const read = gate();
          const upstream = await startUpstream(t, [[request, sent, when(read.opened), way], echo]);
          const { session, under } = await start(t, kind, [upstream]);
          const stream = session.request({ ':path': '/' });
          const broken = new Promise<number>((resolve) => {
            stream.on('close', () => {
              resolve(stream.rstCode);
            });
          });
          stream.on('error', () => undefined);
          stream.once('data', () => {
            stream.resume();
            read.open();
          });
          // NO_ERROR would mean a complete response (RFC 9113 §8.1).
          assert.notEqual(await within(broken, () => 'the stream to close'), http2.constants.NGHTTP2_NO_ERROR);
          await under.settled(1);
          assert.equal(session.destroyed, false);
          assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
        });
      }
    }

    test('a stream that its downstream resets cancels only its own upstream request', async (t) => {
      const upstream = await startUpstream(t, [[request], [request], echo]);
      const { session, under } = await start(t, kind, [upstream]);
      const [one, two] = [session.request({ ':path': '/1' }), session.request({ ':path': '/2' })];
      for (const stream of [one, two]) stream.on('error', () => undefined);
      await upstream.read(2);
      one.close(http2.constants.NGHTTP2_CANCEL);
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
      assert.equal(under.balancer.upstreams[0]?.inFlight, 1);
      two.close(http2.constants.NGHTTP2_CANCEL);
      await under.settled(2);
      assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
    });

    const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = http2.constants;
    for (const [name, leave] of [
      ['cancels it', (stream: ClientHttp2Stream) => {
        stream.close(NGHTTP2_CANCEL);
      }],
      ['resets it with NO_ERROR', (stream: ClientHttp2Stream) => {
        stream.close(NGHTTP2_NO_ERROR);
      }],
      ['destroys it', (stream: ClientHttp2Stream) => stream.destroy()],
      ['breaks its session', (stream: ClientHttp2Stream) => stream.session?.destroy()],
    ] as const) {
      for (const fields of [{}, { 'content-length': '1000' }]) {
        const known = 'content-length' in fields;
        // Node's client ends a stream that it closes with a code (END_STREAM, then RST_STREAM): on the wire that is a
        // whole body, where no length says otherwise.
        if (!known && name !== 'destroys it' && name !== 'breaks its session') continue;
        const framing = known ? 'of known length' : 'of unknown length';
        test(`half an upload ${framing} does not count as complete where its downstream ${name}`, async (t) => {
          const upstream = await startUpstream(t, [[request]]);
          const { session, under } = await start(t, kind, [upstream]);
          const stream = session.request({ ':method': 'POST', ':path': '/', ...fields }, { endStream: false });
          stream.on('error', () => undefined);
          stream.write('half');
          await upstream.saw('1 POST /');
          leave(stream);
          await under.settled(1);
          await upstream.gone(1);
          assert.equal(upstream.requests.length, 0);
          assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
        });
      }
    }

    test('a session that breaks cancels all its streams', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
      });
      const { session, under } = await start(t, kind, [upstream]);
      for (let i = 0; i < 5; i++) session.request({ ':path': `/${i}` }).on('error', () => undefined);
      await upstream.read(5);
      session.destroy();
      await under.settled(5);
    });

    test('an early response lets the upload finish, or cancels it', async (t) => {
      const body = pattern(300_000);
      const upstream = await startUpstream(t, [[head, response('early'), async (peer) => {
        const received = await peer.inbox.rest().catch(() => Buffer.alloc(0));
        // A partial body must not pass for a complete one.
        if (received.includes('\r\n0\r\n\r\n')) assert.ok(received.length > body.length);
      }], echo]);
      const { session, under } = await start(t, kind, [upstream]);
      const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
      stream.on('error', () => undefined);
      const ended = new Promise<Buffer>((resolve) => {
        const parts: Buffer[] = [];
        stream.on('data', (part: Buffer) => {
          parts.push(part);
          if (Buffer.concat(parts).toString() === 'early') stream.end(body);
        });
        stream.on('close', () => {
          resolve(Buffer.concat(parts));
        });
      });
      stream.write(body.subarray(0, 1_000));
      void under.settled(1).then(() => upstream.peers[0]?.socket.destroy());
      assert.equal((await within(ended, () => 'the stream to close')).toString(), 'early');
    });
  });
}

test('HTTP/1.1 clients of an HTTP/2 server are served as well', { skip: H2.skip }, async (t) => {
  const { connect } = await import('node:tls');
  const { adopt, get } = await import('../support/client.ts');
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], front: H2 });
  const socket = connect({ host: '127.0.0.1', port: under.port, ...(certificate && { ca: certificate.cert }) });
  const client = adopt(t, socket);
  assert.equal((await client.exchange(get('/1'))).text, '/1');
  assert.equal((await client.exchange(get('/2'))).text, '/2');
  assert.equal(upstream.requests[0]?.head.get('x-forwarded-proto'), 'https');
});
