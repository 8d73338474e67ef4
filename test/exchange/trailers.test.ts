import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { echo, request, startUpstream } from '../support/upstream.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n';

// RFC 9110 §6.5.1: what frames, routes or authenticates has no place in a trailer section.
const FORBIDDEN = [
  'Host: evil.test', 'Keep-Alive: timeout=5', 'Set-Cookie: a=b',
  'Authorization: Basic x', 'Content-Type: text/html', 'Via: 1.1 x', 'TE: trailers',
].map((line) => `${line}\r\n`).join('');

// In a request only the balancer may set them; in a response, the upstream.
const FORWARDED = 'X-Forwarded-For: 1.2.3.4\r\nx-forwarded-client-cert: a\r\n'
  + 'X_Forwarded_Proto: b\r\nX-Forwarded-: c\r\n';

for (const front of FRONTS) {
  describe(`trailers through ${front.name}`, () => {
    const table: [name: string, sent: string, received: string][] = [
      ['one', 'X-Sum: 5\r\n', 'X-Sum: 5\r\n'],
      ['several, of one name as well', 'X-Sum: 5\r\nX-Two: a\r\nX-Two: b\r\n', 'X-Sum: 5\r\nX-Two: a\r\nX-Two: b\r\n'],
      ['none', '', ''],
      ['forbidden ones are dropped', `${FORBIDDEN}X-Sum: 5\r\n`, 'X-Sum: 5\r\n'],
      ['nothing but forbidden ones', FORBIDDEN, ''],
    ];
    for (const [name, sent, received] of table) {
      test(`of a response: ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, CHUNKED, chunked('hello', 2, sent), echo]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(get('/', 'TE: trailers\r\n'));
        assert.equal(answer.text, 'hello');
        assert.equal(answer.trailers, received);
        assert.equal(answer.head.get('trailer'), 'X-Sum');
        assert.equal((await client.exchange(get('/next'))).text, '/next');
      });

      test(`of a request: ${name}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/', 'Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n', 'POST'));
        client.send(chunked('hello', 2, sent));
        assert.equal((await client.response()).status, 200);
        assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
        assert.equal(upstream.requests[0].body.trailers, received);
        assert.equal((await client.exchange(get('/next'))).text, '/next');
      });
    }

    test('of a request: X-Forwarded-* is dropped', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', 'Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n', 'POST'));
      client.send(chunked('hello', 2, `${FORWARDED}X-Sum: 5\r\n`));
      assert.equal((await client.response()).status, 200);
      assert.equal(upstream.requests[0]?.body.trailers, 'X-Sum: 5\r\n');
    });

    test('of a response: X-Forwarded-* passes on, in the head as well', async (t) => {
      const head = CHUNKED.replace('\r\n\r\n', `\r\n${FORWARDED}\r\n`);
      const upstream = await startUpstream(t, [[request, head, chunked('hello', 2, FORWARDED)]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const answer = await (await under.connect()).exchange(get('/', 'TE: trailers\r\n'));
      assert.equal(answer.head.get('x-forwarded-for'), '1.2.3.4');
      assert.equal(answer.head.get('x-forwarded-client-cert'), 'a');
      assert.equal(answer.trailers, FORWARDED);
    });

    // Node's parser refuses these outright, so we do.
    for (const line of ['Content-Length: 3', 'Transfer-Encoding: chunked']) {
      test(`of a request: ${line} is refused`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST')).send(chunked('hello', 2, `${line}\r\n`));
        assert.equal((await client.response()).status, 400);
        assert.notEqual(await client.over(), undefined);
        assert.deepEqual(upstream.requests, []);
      });

    }

    test('of a response: Content-Length aborts it', async (t) => {
      const upstream = await startUpstream(t, [[request, CHUNKED, chunked('hello', 2, 'Content-Length: 3\r\n')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await assert.rejects(client.exchange(get()), { name: 'Broken' });
      assert.deepEqual(under.reports, [`RESPONSE_MALFORMED at ${upstream.origin}`]);
    });

    // A sender may announce trailers that a response has no place for: they must not be sent, nor do harm.
    const placeless: [name: string, method: string, head: string, body: string][] = [
      ['of known length', 'GET', 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
      ['to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n', ''],
      ['to HEAD, of known length', 'HEAD', 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 5\r\n\r\n', ''],
      ['204', 'GET', 'HTTP/1.1 204 No Content\r\nTrailer: X-Sum\r\n\r\n', ''],
      ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nTrailer: X-Sum\r\n\r\n', ''],
    ];
    for (const [name, method, sent, body] of placeless) {
      test(`announced for a response ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, sent, echo]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        assert.equal((await client.exchange(get('/', '', method))).text, body);
        assert.equal((await client.exchange(get('/next'))).text, '/next');
      });
    }

    test('of a response without a body', async (t) => {
      const upstream = await startUpstream(t, [[request, CHUNKED, chunked('', 1, 'X-Sum: 0\r\n'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(get('/', 'TE: trailers\r\n'));
      assert.equal(answer.trailers, 'X-Sum: 0\r\n');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('of a response are left out for an HTTP/1.0 downstream', async (t) => {
      const upstream = await startUpstream(t, [[request, CHUNKED, chunked('hello', 2, 'X-Sum: 5\r\n')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange('GET / HTTP/1.0\r\n\r\n');
      assert.equal(answer.text, 'hello');
      assert.equal(await client.over(), 'end');
    });

    test('are requested from the upstream if the downstream accepts them', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get('/', 'TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n'));
      await client.exchange(get('/'));
      assert.deepEqual(upstream.requests.map(({ head }) => head.get('te')), ['trailers', undefined]);
    });
  });
}
