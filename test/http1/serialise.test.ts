import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from '../../src/http1/framing.ts';
import { RequestHead } from '../../src/http1/request.ts';
import { ResponseHead } from '../../src/http1/response.ts';
import { downstreamFraming, interimHead, requestHead, responseHead } from '../../src/http1/serialise.ts';
import { LIMITS } from './heads.ts';

const DATE = 'Thu, 01 Jan 1970 00:00:00 GMT';

describe('the request head for an upstream', () => {
  const table: readonly [what: string, received: string, sent: string][] = [
    ['a plain one', 'GET /p?q HTTP/1.1\r\nHost: a.example\r\n\r\n', 'GET /p?q HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['fields in their order, Host first',
      'GET / HTTP/1.1\r\nX-A: 1\r\nHost: a.example\r\nx-a:2\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nx-a:2\r\n\r\n'],
    ['HTTP/1.0, sent on as HTTP/1.1',
      'GET / HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['absolute form', 'GET http://b.example/p HTTP/1.1\r\nHost: a.example\r\n\r\n',
      'GET /p HTTP/1.1\r\nHost: b.example\r\n\r\n'],
    ['a length, written anew', 'POST / HTTP/1.1\r\nHost: a.example\r\ncontent-length:\t005 \r\nX-A: 1\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n'],
    ['a length of nothing', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n'],
    ['chunks', 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: Chunked\r\nX-A: 1\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['an expectation', 'POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'],
    ['an expectation without a body', 'GET / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['trailers taken', 'GET / HTTP/1.1\r\nHost: a.example\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: TE\r\nTE: trailers\r\n\r\n'],
    ['codings taken, which are for this hop', 'GET / HTTP/1.1\r\nHost: a.example\r\nTE: gzip\r\nConnection: TE\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['an upgrade, and trailers taken',
      'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: te, upgrade\r\nTE: trailers\r\nUpgrade: websocket\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, TE\r\nTE: trailers\r\nUpgrade: websocket\r\n\r\n'],
    ['what is for this hop alone',
      'GET / HTTP/1.1\r\nHost: a.example\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n' +
        'Connection: close\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
  ];
  for (const [what, received, sent] of table) {
    test(what, () => {
      const head = parsedRequest(received);
      assert.equal(requestHead(head, head.host, ''), sent);
    });
    test(`${what}: reads as it was meant`, () => {
      const meant = parsedRequest(received);
      const read = parsedRequest(requestHead(meant, meant.host, ''));
      for (const name of ['method', 'target', 'host', 'fields', 'framing', 'contentLength', 'expectContinue', 'upgrade',
        'trailers'] as const) {
        assert.deepEqual(read[name], meant[name], name);
      }
      assert.equal(read.keepAlive, true, 'the connection to the upstream is kept');
    });
  }
  test('with another host, and the fields about earlier hops', () => {
    const head = parsedRequest('GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nVia: 1.0 x\r\n\r\n');
    assert.equal(requestHead(head, 'b.example:81', 'X-Forwarded-For: 1.2.3.4\r\nVia: 1.1 me\r\n'),
      'GET / HTTP/1.1\r\nHost: b.example:81\r\nX-A: 1\r\nX-Forwarded-For: 1.2.3.4\r\nVia: 1.1 me\r\n\r\n');
  });
});

describe('the framing of a response for a downstream', () => {
  const table: readonly [read: Framing, ofMinor1: Framing, ofMinor0: Framing][] = [
    [NONE, NONE, NONE],
    [LENGTH, LENGTH, LENGTH],
    // HTTP/1.0 has no chunks (RFC 9112 §6.1); where there are chunks, the end of a connection is not a clean end.
    [CHUNKED, CHUNKED, UNTIL_CLOSE],
    [UNTIL_CLOSE, CHUNKED, UNTIL_CLOSE],
  ];
  for (const [read, ofMinor1, ofMinor0] of table) {
    test(`read as ${read}`, () => {
      const head = new ResponseHead();
      head.framing = read;
      assert.deepEqual([downstreamFraming(head, 1), downstreamFraming(head, 0)], [ofMinor1, ofMinor0]);
    });
  }
});

describe('the response head for a downstream', () => {
  type Row = readonly [
    what: string, method: string, received: string, minor: number, keepAlive: boolean, sent: string,
  ];
  const dated = `Date: ${DATE}\r\n`;
  const table: readonly Row[] = [
    ['a length', 'GET', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\nDate: x\r\n\r\n', 1, true,
      'HTTP/1.1 200 OK\r\ncontent-length: 5\r\nDate: x\r\n\r\n'],
    ['no Date yet', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${dated}\r\n`],
    ['chunks', 'GET', 'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\n${dated}Transfer-Encoding: chunked\r\n\r\n`],
    ['chunks, to HTTP/1.0', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 0, false,
      `HTTP/1.1 200 OK\r\n${dated}Connection: close\r\n\r\n`],
    ['all up to the end of the connection', 'GET', 'HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\nX-A: 1\r\n${dated}Transfer-Encoding: chunked\r\n\r\n`],
    ['all up to the end of the connection, to HTTP/1.0', 'GET', 'HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\n', 0, false,
      `HTTP/1.1 200 OK\r\nX-A: 1\r\n${dated}Connection: close\r\n\r\n`],
    ['a connection that closes', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 1, false,
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${dated}Connection: close\r\n\r\n`],
    ['a connection of HTTP/1.0 that is kept', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 0, true,
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${dated}Connection: keep-alive\r\n\r\n`],
    ['an upstream that closes, which is nobody else\'s concern', 'GET',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${dated}\r\n`],
    ['to HEAD, with the length that GET would have', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${dated}\r\n`],
    ['to HEAD, with the chunks that GET would have', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 1,
      true, `HTTP/1.1 200 OK\r\n${dated}Transfer-Encoding: chunked\r\n\r\n`],
    ['to HEAD in HTTP/1.0', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 0, false,
      `HTTP/1.1 200 OK\r\n${dated}Connection: close\r\n\r\n`],
    ['to HEAD, without a word of a body', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 1, true,
      `HTTP/1.1 200 OK\r\n${dated}\r\n`],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 1, true,
      `HTTP/1.1 204 No Content\r\n${dated}\r\n`],
    // RFC 9112 §6.1: never with 204, and not for a 304 to a GET either without a body to encode.
    ['204 that says it has chunks', 'GET', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n', 1, true,
      `HTTP/1.1 204 No Content\r\n${dated}\r\n`],
    ['304 that says it has chunks', 'GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', 1, true,
      `HTTP/1.1 304 Not Modified\r\n${dated}\r\n`],
    ['304 with the length that 200 has', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 1, true,
      `HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n${dated}\r\n`],
    ['no reason', 'GET', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', 1, true,
      `HTTP/1.1 200 \r\nContent-Length: 0\r\n${dated}\r\n`],
    ['what is for this hop alone', 'GET',
      'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: x-a\r\nX-A: 1\r\nUpgrade: h2c\r\n' +
        'Content-Length: 0\r\n\r\n', 1, true, `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${dated}\r\n`],
  ];
  for (const [what, method, received, minor, keepAlive, sent] of table) {
    test(what, () => {
      const head = parsedResponse(received, method);
      assert.equal(responseHead(head, downstreamFraming(head, minor), minor, keepAlive, DATE), sent);
    });
    test(`${what}: reads as it was meant`, () => {
      const meant = parsedResponse(received, method);
      const framing = downstreamFraming(meant, minor);
      const read = parsedResponse(responseHead(meant, framing, minor, keepAlive, DATE), method);
      assert.deepEqual([read.status, read.framing, read.contentLength, read.keepAlive],
        [meant.status, framing, meant.contentLength, keepAlive]);
    });
  }
  test('426 names what to upgrade to (RFC 9110 §15.5.22), others do not', () => {
    for (const [status, upgrade] of [[426, 'websocket'], [200, ''], [404, '']] as const) {
      const text = `HTTP/1.1 ${status} X\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n`;
      const meant = parsedResponse(text, 'GET');
      for (const keepAlive of [true, false]) {
        const read = parsedResponse(responseHead(meant, meant.framing, 1, keepAlive, DATE), 'GET');
        assert.deepEqual([read.upgrade, read.keepAlive], [upgrade, keepAlive]);
      }
    }
  });
  test('a response of our own', () => {
    const head = new ResponseHead();
    head.compose(503, 'Service Unavailable', 'Retry-After: 1\r\n', 12);
    assert.equal(responseHead(head, head.framing, 1, false, DATE),
      `HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 12\r\n${dated}Connection: close\r\n\r\n`);
  });
});

describe('the head of an interim response', () => {
  const table: readonly [received: string, sent: string][] = [
    ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\nConnection: x-a\r\nX-A: 1\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n'],
    ['HTTP/1.1 102 Processing\r\nContent-Length: 5\r\nTransfer-Encodinx: a\r\n\r\n',
      'HTTP/1.1 102 Processing\r\nTransfer-Encodinx: a\r\n\r\n'],
    ['HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ];
  for (const [received, sent] of table) {
    test(JSON.stringify(received), () => {
      assert.equal(interimHead(parsedResponse(received, 'GET')), sent);
    });
  }
});

function parsedRequest(text: string): RequestHead {
  const head = new RequestHead();
  const bytes = Buffer.from(text, 'latin1');
  assert.equal(head.parse(bytes, bytes.length, LIMITS), text.length, `${head.error}: ${JSON.stringify(text)}`);
  return head;
}

function parsedResponse(text: string, method: string): ResponseHead {
  const head = new ResponseHead();
  const bytes = Buffer.from(text, 'latin1');
  assert.equal(head.parse(bytes, bytes.length, method, LIMITS), text.length, `${head.error}: ${JSON.stringify(text)}`);
  return head;
}
