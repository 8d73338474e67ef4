import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** Sends bytes one by one, each in a separate packet. */
async function trickle(client: Client, text: string): Promise<void> {
  for (const byte of Buffer.from(text, 'latin1')) {
    await new Promise<void>((resolve) => {
      client.socket.write(Buffer.of(byte), () => {
        resolve();
      });
    });
  }
}

for (const front of FRONTS) {
  test(`a head that comes byte by byte through ${front.name} is the same head`, async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    const fields = 'Accept: */*\r\nX-Empty:\r\nCookie: a=b\r\nCookie: c=d\r\nX-Latin: caf\xe9\r\n';
    client.send(get('/whole?a=b', fields));
    await client.response();
    await trickle(client, get('/whole?a=b', fields));
    assert.equal((await client.response()).text, '/whole?a=b');
    assert.equal(upstream.requests[1]?.head.text, upstream.requests[0]?.head.text);
    assert.deepEqual(upstream.requests[0]?.head.all('cookie'), ['a=b', 'c=d']);
    assert.equal(upstream.requests[0].head.get('x-latin'), 'caf\xe9');
  });

  test(`empty lines before a request through ${front.name} are skipped (RFC 9112 §2.2)`, async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    assert.equal((await client.exchange(`\r\n${get('/1')}`)).text, '/1');
    await trickle(client, `\r\n${get('/2')}`);
    assert.equal((await client.response()).text, '/2');
  });
}

describe('a head on a socket of our own that cannot be served is refused, and its connection closed', () => {
  const HOST = 'Host: a\r\n';
  const long = 'x'.repeat(9_000);
  const table: [name: string, bytes: string, status: number][] = [
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['a preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`, 505],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    ['a length and chunks', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    ['two lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    ['chunks in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, 400],
    ['an unknown coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 501],
    ['an unknown expectation', `GET / HTTP/1.1\r\n${HOST}Expect: x\r\n\r\n`, 417],
    ['a long target', `GET /${long} HTTP/1.1\r\n${HOST}\r\n`, 414],
    ['a long target without an end', `GET /${long}`, 414],
    ['a long method without an end', long, 414],
    ['a large head', `GET / HTTP/1.1\r\n${HOST}A: ${long}\r\nB: ${long}\r\n\r\n`, 431],
    ['a large head without an end', `GET / HTTP/1.1\r\n${HOST}A: ${long}\r\nB: ${long}`, 431],
    ['many fields', `GET / HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(100)}\r\n`, 431],
    ['empty lines without end', '\r\n'.repeat(10_000), 431],
  ];
  for (const [name, bytes, status] of table) {
    test(`${name}: ${status}`, async (t) => {
      const under = await startBalancer(t, { upstreams: [], front: SOCKET });
      const client = await under.connect();
      client.send(bytes);
      const answer = await client.response();
      assert.equal(answer.status, status);
      assert.equal(answer.head.get('connection'), 'close');
      assert.match(answer.head.get('proxy-status') ?? '', /^equipoise; error=http_request_(error|denied)$/);
      assert.ok(answer.head.get('date') !== undefined);
      // What follows is discarded, not served, and the answer is not lost to a reset.
      client.send(get('/evil'));
      assert.equal(await client.over(), 'end');
      assert.equal(under.picks.length, 0);
    });
  }

  test('a head just within the limits is served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: SOCKET, maxRequestLineBytes: 100, maxFields: 3, maxHeadBytes: 1_024,
    });
    const client = await under.connect();
    const line = (length: number): string => `GET /${'x'.repeat(length - 'GET / HTTP/1.1\r\n'.length)} HTTP/1.1\r\n`;
    assert.equal((await client.exchange(`${line(100)}${HOST}\r\n`)).status, 200);
    assert.equal((await client.exchange(`GET / HTTP/1.1\r\n${HOST}A: b\r\nA: b\r\n\r\n`)).status, 200);
    const head = (length: number): string => {
      const start = `GET / HTTP/1.1\r\n${HOST}A: `;
      return `${start}${'x'.repeat(length - start.length - 4)}\r\n\r\n`;
    };
    assert.equal((await client.exchange(head(1_024))).status, 200);
    for (const [bytes, status] of [
      [`${line(101)}${HOST}\r\n`, 414],
      [`GET / HTTP/1.1\r\n${HOST}A: b\r\nA: b\r\nA: b\r\n\r\n`, 431],
      [head(1_025), 431],
    ] as const) {
      assert.equal((await (await under.connect()).exchange(bytes)).status, status);
    }
  });
});

describe('the head timeout on a socket of our own', () => {
  const headTimeoutMs = 5_000;

  test('expires: 408, and the connection is closed', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET, headTimeoutMs });
    const client = await under.connect();
    client.send('GET / HT');
    await seen(under);
    await under.advance(headTimeoutMs - 1);
    assert.equal(client.socket.readableLength, 0);
    await under.advance(1);
    const answer = await client.response();
    assert.equal(answer.status, 408);
    assert.equal(answer.head.get('connection'), 'close');
    assert.equal(answer.head.get('proxy-status'), 'equipoise; error=http_request_error');
    assert.equal(await client.over(), 'end');
  });

  test('runs from its first byte: trickling does not extend it', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET, headTimeoutMs });
    const client = await under.connect();
    for (const byte of 'GET /') {
      client.send(byte);
      await seen(under);
      await under.advance(headTimeoutMs / 5);
    }
    assert.equal((await client.response()).status, 408);
  });

  test('stands alone: that of the connection does not run meanwhile', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: SOCKET, headTimeoutMs, keepAliveTimeoutMs: 1_000,
    });
    const client = await under.connect();
    await client.exchange(get('/1'));
    await under.advance(999);
    client.send('GET /2 HTTP/1.1\r\n');
    await seen(under);
    await under.advance(headTimeoutMs - 1);
    assert.equal((await client.exchange('Host: a\r\n\r\n')).text, '/2');
  });

  test('is the same for a second head on the connection', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET, headTimeoutMs });
    const client = await under.connect();
    await client.exchange(get('/1'));
    client.send('GET /2');
    await seen(under);
    await under.advance(headTimeoutMs);
    assert.equal((await client.response()).status, 408);
  });

  test('also runs for empty lines', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET, headTimeoutMs });
    const client = await under.connect();
    client.send('\r\n');
    await seen(under);
    await under.advance(headTimeoutMs);
    await client.over();
  });
});

/** Resolves when everything sent before has been read: a request on another connection is answered after it. */
async function seen(under: Awaited<ReturnType<typeof startBalancer>>): Promise<void> {
  const other = await under.connect();
  await other.exchange(get('/seen'));
  other.destroy();
}
