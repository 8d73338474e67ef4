/**
 * What HTTP/1.1 allows in a response and HTTP/2, or node:http2, does not: it arrives as far as possible, and the
 * process survives.
 */
import assert from 'node:assert/strict';
import http2, { type ServerHttp2Session } from 'node:http2';
import { describe, test } from 'node:test';
import { ask, H2, H2C, type Http2Kind, startHttp2 } from '../support/http2.ts';
import { serve } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { echo, request, response, serve as answering, startUpstream, when } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** A body in chunks with these trailer lines. */
function trailed(lines: string, fields = ''): string {
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${fields}\r\n${String(chunked('hello', 2, lines))}`;
}

for (const kind of [H2C, H2]) {
  describe(`a response under ${kind.name}`, { skip: kind.skip }, () => {
    const lines: [what: string, lines: string, name: string, value: string | undefined][] = [
      ['equal lines are one', 'X-Content-Type-Options: nosniff\r\nX-Content-Type-Options: nosniff\r\n',
        'x-content-type-options', 'nosniff'],
      ['of other lines of a single value the first counts', 'ETag: "a"\r\nETag: "b"\r\n', 'etag', '"a"'],
      ['a list is joined', 'Content-Language: de\r\nContent-Language: en\r\n', 'content-language', 'de, en'],
      ['so are codings', 'Content-Encoding: gzip\r\ncontent-encoding: br\r\n', 'content-encoding', 'gzip, br'],
      ['equal codings are one', 'Content-Encoding: br\r\nContent-Encoding: br\r\n', 'content-encoding', 'br'],
      ['other lines arrive one by one', 'Vary: a\r\nVary: b\r\n', 'vary', 'a, b'],
      ['TE goes', 'TE: gzip\r\n', 'te', undefined],
      ['TE: trailers as well', 'TE: trailers\r\n', 'te', undefined],
      ['HTTP2-Settings goes', 'HTTP2-Settings: x\r\n', 'http2-settings', undefined],
      ['Upgrade goes', 'Connection: Upgrade\r\nUpgrade: h2c\r\n', 'upgrade', undefined],
      ['Trailer stays', 'Trailer: X-Sum\r\n', 'trailer', 'X-Sum'],
      ['octets above 0x7f arrive as they came', 'X-Name: caf\xe9 \xc3\xa9\r\n', 'x-name', 'caf\xe9 \xc3\xa9'],
    ];
    for (const [what, sent, name, value] of lines) {
      test(`${what}: ${sent.trim().replace(/\r\n/g, ', ')}`, async (t) => {
        const upstream = await startUpstream(t, answering(() => response('hello', sent)));
        const { under, session } = await startHttp2(t, kind, [upstream]);
        const answer = await ask(session, { ':path': '/' });
        assert.equal(answer.status, 200);
        assert.equal(answer.fields[name], value);
        assert.equal(answer.body.toString(), 'hello');
        assert.deepEqual(under.reports, []);
      });
    }

    // The fields that node:http2 accepts only once, as far as a response can have them.
    for (const name of [
      'Access-Control-Allow-Credentials', 'Access-Control-Max-Age', 'Access-Control-Request-Method', 'Age',
      'Authorization', 'Content-Location', 'Content-MD5', 'Content-Range', 'Content-Type', 'Date', 'DNT', 'Expires',
      'From', 'Host', 'If-Match', 'If-Modified-Since', 'If-None-Match', 'If-Range', 'If-Unmodified-Since',
      'Last-Modified', 'Location', 'Max-Forwards', 'Proxy-Authorization', 'Range', 'Referer', 'Retry-After', 'Tk',
      'Upgrade-Insecure-Requests', 'User-Agent',
    ]) {
      test(`${name} twice arrives, in the head and in trailers`, async (t) => {
        const twice = `${name}: 1\r\n${name}: 2\r\n`;
        const upstream = await startUpstream(t, answering(() => trailed(twice, twice)));
        const { session } = await startHttp2(t, kind, [upstream]);
        const answer = await ask(session, { ':path': '/' });
        assert.equal(answer.status, 200);
        assert.match(String(answer.fields[name.toLowerCase()]), /^1/);
        assert.equal(answer.body.toString(), 'hello');
      });
    }

    test('trailers that HTTP/2 forbids are left out; of others each line arrives', async (t) => {
      const sent = 'HTTP2-Settings: x\r\nKeep-Alive: timeout=1\r\nX-Sum: 5\r\nX-Sum: 6\r\n'
        + 'ETag: "a"\r\nETag: "a"\r\n';
      const upstream = await startUpstream(t, answering(() => trailed(sent)));
      const { under, session } = await startHttp2(t, kind, [upstream]);
      const answer = await ask(session, { ':path': '/' });
      assert.equal(answer.body.toString(), 'hello');
      assert.deepEqual(Object.entries(answer.trailers ?? {}), [['x-sum', '5, 6'], ['etag', '"a"']]);
      assert.deepEqual(under.reports, []);
    });

    test('only forbidden trailers', async (t) => {
      const upstream = await startUpstream(t, answering(() => trailed('HTTP2-Settings: x\r\n')));
      const { session } = await startHttp2(t, kind, [upstream]);
      assert.equal((await ask(session, { ':path': '/' })).body.toString(), 'hello');
      assert.equal((await ask(session, { ':path': '/' })).status, 200);
    });

    test('426 with Upgrade', async (t) => {
      const offer = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
      const upstream = await startUpstream(t, answering(() => response('no', offer, '426 Upgrade Required')));
      const { under, session } = await startHttp2(t, kind, [upstream]);
      const answer = await ask(session, { ':path': '/' });
      assert.deepEqual([answer.status, answer.body.toString()], [426, 'no']);
      assert.equal(answer.fields.upgrade, undefined);
      assert.deepEqual(under.reports, []);
    });

    test('205 with a body, which HTTP/2 ends with its head', async (t) => {
      const upstream = await startUpstream(t, answering(() => response('hello', '', '205 Reset Content')));
      const { under, session } = await startHttp2(t, kind, [upstream]);
      const answer = await ask(session, { ':path': '/' });
      assert.deepEqual([answer.status, answer.body.length], [205, 0]);
      assert.equal((await ask(session, { ':path': '/' })).status, 205);
      assert.deepEqual(under.reports, []);
    });

    test('a status that HTTP/2 does not know is 502, reported', async (t) => {
      const upstream = await startUpstream(t, answering(() => response('hello', '', '600 Odd')));
      const { under, session } = await startHttp2(t, kind, [upstream]);
      assert.equal((await ask(session, { ':path': '/' })).status, 502);
      assert.deepEqual(under.reports, ['RESPONSE_MALFORMED']);
    });

    test('early hints after the stream is gone, and ones that node:http2 rejects', async (t) => {
      const gone = gate();
      const hints = 'HTTP/1.1 103 Early Hints\r\nLink: nonsense\r\n\r\n';
      const upstream = await startUpstream(t, [[request, hints, response('done'), request, when(gone.opened), hints]]);
      const { under, session } = await startHttp2(t, kind, [upstream]);
      assert.equal((await ask(session, { ':path': '/' })).body.toString(), 'done');
      const stream = session.request({ ':path': '/late' });
      stream.on('error', () => undefined);
      await upstream.read(2).catch(() => undefined);
      stream.close(http2.constants.NGHTTP2_CANCEL);
      gone.open();
      await under.settled(2);
    });

    test('a session that its client is about to leave (GOAWAY) has its streams finished', async (t) => {
      const asked = gate();
      const body = pattern(200_000);
      const upstream = await startUpstream(t, [[request, CHUNKED, when(asked.opened), chunked(body, 9_000)]]);
      const { under, session } = await startHttp2(t, kind, [upstream]);
      const stream = session.request({ ':path': '/' });
      const parts: Buffer[] = [];
      const over = new Promise<void>((resolve, reject) => {
        stream.on('data', (part: Buffer) => parts.push(part)).on('error', reject).on('close', resolve);
      });
      stream.once('response', () => {
        session.close();
        asked.open();
      });
      await within(over, () => 'the stream to close');
      assert.deepEqual(Buffer.concat(parts), body);
      await under.settled(1);
    });

    for (const way of ['close', 'destroy'] as const) {
      test(`a session that its server ${way}s in the middle of a body`, async (t) => {
        const sessions: ServerHttp2Session[] = [];
        const seen: Http2Kind = {
          ...kind,
          open: (balancer) => serve(kind.server(balancer.handle).on('session', (session) => sessions.push(session))),
        };
        const left = gate();
        const upstream = await startUpstream(t, [[
          request, `${CHUNKED}5\r\nhello\r\n`, when(left.opened), '5\r\nthere\r\n0\r\n\r\n',
        ]]);
        const { under, session } = await startHttp2(t, seen, [upstream]);
        const stream = session.request({ ':path': '/' });
        stream.on('error', () => undefined);
        const parts: Buffer[] = [];
        const over = new Promise<void>((resolve) => {
          stream.on('close', resolve);
        });
        stream.on('data', (part: Buffer) => {
          if (parts.push(part) > 1) return;
          sessions[0]?.[way]();
          left.open();
        });
        await within(over, () => 'the stream to close');
        await under.settled(1);
        assert.equal(Buffer.concat(parts).toString(), way === 'close' ? 'hellothere' : 'hello');
        assert.equal(under.outcomes[0]?.error, way === 'close' ? undefined : 'DOWNSTREAM_GONE');
      });
    }

    test('headers set by middleware that HTTP/2 forbids are dropped, its length as well', async (t) => {
      const preset: Http2Kind = {
        ...kind,
        open: (balancer) => serve(kind.server((asked, answer) => {
          for (const name of ['Keep-Alive', 'Upgrade', 'Transfer-Encoding']) answer.setHeader(name, 'x');
          answer.setHeader('Content-Length', '1');
          answer.setHeader('Set-Cookie', 'mine=1');
          answer.setHeader('X-Kept', 'yes');
          balancer.handle(asked, answer);
        })),
      };
      const upstream = await startUpstream(t, answering(() => trailed('', 'Set-Cookie: yours=1\r\n')));
      const { session, under } = await startHttp2(t, preset, [upstream]);
      const answer = await ask(session, { ':path': '/' });
      assert.deepEqual([answer.status, answer.body.toString()], [200, 'hello']);
      assert.deepEqual(answer.fields['set-cookie'], ['mine=1', 'yours=1']);
      assert.equal(answer.fields['x-kept'], 'yes');
      assert.equal(answer.fields['content-length'], undefined);
      assert.deepEqual(under.reports, []);
    });

    test('still echoes after all that', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { session } = await startHttp2(t, kind, [upstream]);
      assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
    });
  });
}
