import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { CHUNKED, type Framing, LENGTH, NONE } from '../../src/http1/framing.ts';
import type { HeadLimits } from '../../src/http1/grammar.ts';
import { RequestHead } from '../../src/http1/request.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { LIMITS, oneOf, readAtEverySplit, type Reading, readingOf } from './heads.ts';

describe('a request line is read', () => {
  const table: readonly [line: string, method: string, target: string, minor: number][] = [
    ['GET / HTTP/1.1', 'GET', '/', 1],
    ['GET / HTTP/1.0', 'GET', '/', 0],
    ['HEAD /m HTTP/1.1', 'HEAD', '/m', 1],
    ['M-SEARCH /m HTTP/1.1', 'M-SEARCH', '/m', 1],
    // RFC 9110 §9.1: methods are tokens, in any case, known or not.
    ['get / HTTP/1.1', 'get', '/', 1],
    ["X!#$%&'*+-.^_`|~9 / HTTP/1.1", "X!#$%&'*+-.^_`|~9", '/', 1],
    // The target is not decoded, encoded or normalised.
    ['GET //a//b HTTP/1.1', 'GET', '//a//b', 1],
    ['GET /a/../b/./c HTTP/1.1', 'GET', '/a/../b/./c', 1],
    ['GET /%2e%2F%zz?%41 HTTP/1.1', 'GET', '/%2e%2F%zz?%41', 1],
    ['GET /?a=[1]&b={x}|y^z`w"<>\\ HTTP/1.1', 'GET', '/?a=[1]&b={x}|y^z`w"<>\\', 1],
    ['GET /?a=http://b.example/ HTTP/1.1', 'GET', '/?a=http://b.example/', 1],
    ['GET /? HTTP/1.1', 'GET', '/?', 1],
    ['OPTIONS * HTTP/1.1', 'OPTIONS', '*', 1],
    ['OPTIONS /* HTTP/1.1', 'OPTIONS', '/*', 1],
  ];
  for (const [line, method, target, minor] of table) {
    test(line, () => {
      const { head } = accepted(`${line}\r\nHost: a.example\r\n\r\n`);
      assert.deepEqual([head['method'], head['target'], head['minor'], head['host']],
        [method, target, minor, 'a.example']);
    });
  }
});

describe('the absolute form of a target becomes its origin form, and its authority the host (RFC 9112 §3.2.2)', () => {
  const table: readonly [method: string, target: string, host: string, origin: string][] = [
    ['GET', 'http://b.example/p?q=1', 'b.example', '/p?q=1'],
    ['GET', 'HTTP://b.example/p', 'b.example', '/p'],
    ['GET', 'https://b.example/p', 'b.example', '/p'],
    ['GET', 'http://b.example', 'b.example', '/'],
    ['GET', 'http://b.example/', 'b.example', '/'],
    ['GET', 'http://b.example:8080/', 'b.example:8080', '/'],
    ['GET', 'http://b.example:/', 'b.example:', '/'],
    ['GET', 'http://[::1]:80/p', '[::1]:80', '/p'],
    ['GET', 'http://B.Example/P', 'B.Example', '/P'],
    ['GET', 'http://b.example?q=/x', 'b.example', '/?q=/x'],
    ['GET', 'http://b.example/a?b?c=http://d.example/', 'b.example', '/a?b?c=http://d.example/'],
    ['GET', 'http://b.example//x', 'b.example', '//x'],
    // RFC 9112 §3.2.4: the last proxy before the server sends * for it.
    ['OPTIONS', 'http://b.example', 'b.example', '*'],
    ['OPTIONS', 'http://b.example:80', 'b.example:80', '*'],
    ['OPTIONS', 'http://b.example/', 'b.example', '/'],
    ['OPTIONS', 'http://b.example?q', 'b.example', '/?q'],
  ];
  for (const [method, target, host, origin] of table) {
    test(`${method} ${target}`, () => {
      const { head } = accepted(`${method} ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      assert.deepEqual([head['host'], head['hasHost'], head['target']], [host, true, origin]);
    });
  }
  test('also in HTTP/1.0 without a Host', () => {
    const { head } = accepted('GET http://b.example/p HTTP/1.0\r\n\r\n');
    assert.deepEqual([head['host'], head['hasHost'], head['target']], ['b.example', true, '/p']);
  });
});

describe('a request line is refused', () => {
  const bad: ErrorCode = 'REQUEST_MALFORMED';
  const version: ErrorCode = 'VERSION_UNSUPPORTED';
  const table: readonly [line: string, error: ErrorCode][] = [
    ['G ET / HTTP/1.1', bad],
    ['GE\x01T / HTTP/1.1', bad],
    [' / HTTP/1.1', bad],
    [' GET / HTTP/1.1', bad],
    ['\tGET / HTTP/1.1', bad],
    ['\nGET / HTTP/1.1', bad],
    ['\rGET / HTTP/1.1', bad],
    ['\0GET / HTTP/1.1', bad],
    ['GET: / HTTP/1.1', bad],
    ['G\xc9T / HTTP/1.1', bad],
    ['"GET" / HTTP/1.1', bad],
    ['GET  / HTTP/1.1', bad],
    ['GET\t/ HTTP/1.1', bad],
    ['GET /\tHTTP/1.1', bad],
    ['GET /  HTTP/1.1', bad],
    ['GET /a b HTTP/1.1', bad],
    ['GET /a\0b HTTP/1.1', bad],
    ['GET /a\rb HTTP/1.1', bad],
    ['GET /a\nb HTTP/1.1', bad],
    ['GET /a\tb HTTP/1.1', bad],
    ['GET /a\x7fb HTTP/1.1', bad],
    ['GET /a#b HTTP/1.1', bad],
    // A URI cannot contain them, and Node's parser refuses them.
    ['GET /\xe4\xb8\xad HTTP/1.1', bad],
    ['GET /?\x80 HTTP/1.1', bad],
    ['GET http://a.example/\xff HTTP/1.1', bad],
    ['GET HTTP/1.1', bad],
    ['GET', bad],
    ['GET /', bad],
    ['GET / ', bad],
    ['GET / http/1.1', bad],
    ['GET / HTTP/1.10', bad],
    ['GET / HTTP/01.1', bad],
    ['GET / HTTP/1,1', bad],
    ['GET / HTTP/1.', bad],
    ['GET / HTTP/1', bad],
    ['GET / HTTP/.1', bad],
    ['GET / HTTP/1.x', bad],
    ['GET / HTTP 1.1', bad],
    ['GET / HTTP/1.1 ', bad],
    ['GET / HTTP/1.1\t', bad],
    ['GET / HTTP/1.1\r', bad],
    ['GET / HTTP/1.1 x', bad],
    ['GET / ICY/1.0', bad],
    ['GET / HTTPS/1.1', bad],
    ['GET /  ', bad],
    ['x', bad],
    // RFC 9110 §15.6.6
    ['GET / HTTP/1.2', version],
    ['GET / HTTP/2.0', version],
    ['GET / HTTP/0.9', version],
    ['GET / HTTP/3.0', version],
    ['PRI * HTTP/2.0', version],
    // targets (RFC 9112 §3.2)
    ['GET * HTTP/1.1', bad],
    ['OPTIONS ** HTTP/1.1', bad],
    ['OPTIONS *a HTTP/1.1', bad],
    ['GET foo HTTP/1.1', bad],
    ['GET ?q HTTP/1.1', bad],
    ['GET a.example:80 HTTP/1.1', bad],
    ['GET ftp://a.example/ HTTP/1.1', bad],
    ['GET ws://a.example/ HTTP/1.1', bad],
    ['GET http:/a.example/ HTTP/1.1', bad],
    ['GET http:a.example HTTP/1.1', bad],
    ['GET http:// HTTP/1.1', bad],
    ['GET http:///p HTTP/1.1', bad],
    ['GET http://?q HTTP/1.1', bad],
    // RFC 9110 §4.2.1: an empty host makes the URI invalid.
    ['GET http://:80/ HTTP/1.1', bad],
    ['GET http://:/ HTTP/1.1', bad],
    // RFC 9110 §4.2.4: userinfo hides the authority.
    ['GET http://u:p@a.example/ HTTP/1.1', bad],
    ['GET http://u@a.example/ HTTP/1.1', bad],
    ['GET http://@a.example/ HTTP/1.1', bad],
    ['GET http://a.example\\@b.example/ HTTP/1.1', bad],
    ['GET http://a.example,b.example/ HTTP/1.1', bad],
    ['GET http://a.example:80:80/ HTTP/1.1', bad],
    ['GET http://a.example:x/ HTTP/1.1', bad],
    ['GET http://[::1/ HTTP/1.1', bad],
    ['GET http://::1/ HTTP/1.1', bad],
    // A balancer opens no tunnels to a destination of the client's choice.
    ['CONNECT a.example:443 HTTP/1.1', 'METHOD_UNSUPPORTED'],
    ['CONNECT / HTTP/1.1', 'METHOD_UNSUPPORTED'],
  ];
  for (const [line, error] of table) {
    test(JSON.stringify(line), () => {
      refused(`${line}\r\nHost: a.example\r\n\r\n`, error);
    });
  }
  test('a bare LF as a line end', () => {
    refused('GET / HTTP/1.1\nHost: a.example\n\n', 'REQUEST_MALFORMED');
    refused('\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n', 'REQUEST_MALFORMED');
  });
});

describe('empty lines before a request are skipped (RFC 9112 §2.2)', () => {
  for (const count of [0, 1, 2, 9]) {
    test(`${count}`, () => {
      const text = `${'\r\n'.repeat(count)}GET /p HTTP/1.1\r\nHost: a.example\r\nX-A: v\r\n\r\n`;
      const reading = accepted(text);
      assert.equal(reading.length, text.length);
      assert.equal(reading.head['target'], '/p');
      assert.equal(reading.head['fields'], 'X-A: v\r\n');
    });
  }
  test('but only up to a limit', () => {
    const { maxHeadBytes } = LIMITS;
    assert.deepEqual(read('\r\n'.repeat(maxHeadBytes / 2 - 1)), 'more');
    assert.deepEqual(read('\r\n'.repeat(maxHeadBytes / 2)), { refused: 'REQUEST_HEAD_TOO_LARGE' });
  });
});

test('a head ends at its empty line, whatever follows', () => {
  const first = 'POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n';
  for (const rest of ['', 'body', '\r\n\r\n', 'GET /2 HTTP/1.1\r\nHost: b.example\r\nX: y\r\n\r\n', '\0\xff']) {
    assert.deepEqual(read(first + rest), read(first), JSON.stringify(rest));
  }
});

describe('field lines are refused', () => {
  const table: readonly [why: string, lines: string][] = [
    ['a space before the colon', 'X-A : v'],
    ['a tab before the colon', 'X-A\t: v'],
    ['obs-fold', 'X-A: a\r\n b'],
    ['obs-fold by a tab', 'X-A: a\r\n\tb'],
    ['a first line that starts with a space', ' X-A: v'],
    ['no name', ': v'],
    ['no colon', 'X-A'],
    ['brackets in a name', 'X[A]: v'],
    ['obs-text in a name', 'X-\xe9: v'],
    ['NUL in a name', 'X-\0A: v'],
    ['a space in a name', 'X A: v'],
    ['NUL in a value', 'X-A: a\0b'],
    ['a bare CR in a value', 'X-A: a\rb'],
    ['a bare LF in a value', 'X-A: a\nX-B: b'],
    ['a control in a value', 'X-A: a\x07b'],
    ['DEL in a value', 'X-A: a\x7fb'],
    ['CR CR LF', 'X-A: a\r'],
    ['an empty line that ends with a bare CR', 'X-A: a\r\n\rX-B: b'],
    ['a bad name that is otherwise acted on', 'Host : b.example'],
    ['a hidden field behind a bare LF', 'X: a\nTransfer-Encoding: chunked'],
  ];
  for (const [why, lines] of table) {
    test(why, () => {
      refused(`GET / HTTP/1.1\r\n${lines}\r\nHost: a.example\r\n\r\n`, 'REQUEST_MALFORMED');
      refused(`GET / HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n\r\n`, 'REQUEST_MALFORMED');
    });
  }
  test('a head that ends with a bare LF', () => {
    refused('GET / HTTP/1.1\r\nHost: a.example\r\n\nX: y\r\n\r\n', 'REQUEST_MALFORMED');
  });
});

describe('fields are passed on byte for byte, in order', () => {
  const table: readonly [string, string][] = [
    ['values of all kinds', 'X-A: v\r\nX-B:v\r\nX-C: \t v \t \r\nX-D:\r\nX-E: a\tb\r\nX-F: caf\xe9\r\nX_G: a:b\r\n'],
    ['repeated ones', 'X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nx-a: 4\r\n'],
    ['what a client sends of itself', 'Referer: http://x/\r\nAuthorization: Basic x\r\nCookie: a=1\r\nCookie: b=2\r\n'],
    ['names as long as those that do not pass', 'Ti: x\r\nVib: x\r\nHoss: x\r\nExpekt: x\r\nUpgrada: x\r\n' +
      'Forwardes: x\r\nConnectiom: x\r\nKeep-Aliva: x\r\nContent-Langth: x\r\nX-Forwarder-For: x\r\n' +
      'X-Farwarded-Host: x\r\nProxy-Connectiom: x\r\nY-Forwarded-Proto: x\r\nTransfer-Encodinx: x\r\n'],
    ['Trailer, Date and Max-Forwards', 'Trailer: X-T\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nMax-Forwards: 3\r\n'],
    ['none', ''],
  ];
  for (const [what, lines] of table) {
    test(what, () => {
      for (const text of [`Host: a.example\r\n${lines}`, `${lines}Host: a.example\r\n`]) {
        assert.equal(accepted(`GET / HTTP/1.1\r\n${text}\r\n`).head['fields'], lines);
      }
    });
  }
});

describe('headers that the balancer handles or writes itself are not passed on', () => {
  const lines = [
    'Host: a.example', 'TE: gzip', 'Via: 1.1 x', 'Expect: 100-continue', 'Upgrade: websocket', 'Forwarded: for=1.2.3.4',
    'Connection: close', 'Keep-Alive: timeout=5', 'HTTP2-Settings: AAMAAABk', 'Content-Length: 5',
    'X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Host: b.example', 'X-Forwarded-Proto: https',
    'Proxy-Connection: keep-alive', 'Transfer-Encoding: chunked',
  ];
  for (const line of lines) {
    test(line, () => {
      const host = line.startsWith('Host') ? '' : 'Host: a.example\r\n';
      const [name = ''] = line.split(':');
      for (const spelled of [name, name.toLowerCase(), name.toUpperCase()]) {
        const text = `POST / HTTP/1.1\r\n${host}X-A: 1\r\n${line.replace(name, spelled)}\r\nX-B: 2\r\n\r\n`;
        assert.equal(accepted(text).head['fields'], 'X-A: 1\r\nX-B: 2\r\n');
      }
    });
  }
});

// CGI and its successors take X_A for X-A (RFC 3875 §4.1.18).
describe('headers that read like one of ours where _ counts as -', () => {
  for (const name of ['Content_Length', 'content_length', 'Transfer_Encoding', 'TRANSFER_ENCODING']) {
    test(`${name} is refused: it would frame the message`, () => {
      for (const [lines, body] of [['', ''], ['Content-Length: 5\r\n', 'hello']] as const) {
        const value = name.toLowerCase().startsWith('c') ? '0' : 'chunked';
        const text = `POST / HTTP/1.1\r\nHost: a.example\r\n${lines}${name}: ${value}\r\n\r\n`;
        assert.deepEqual(read(text + body), { refused: 'REQUEST_MALFORMED' });
      }
    });
  }
  const forged = ['For', 'Host', 'Proto'].flatMap((last) => [
    `X_Forwarded_${last}`, `X-Forwarded_${last}`, `X_Forwarded-${last}`, `x_forwarded_${last}`.toLowerCase(),
  ]);
  for (const name of forged) {
    test(`${name} is not passed on, and not trusted`, () => {
      const { head } = accepted(`GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n${name}: 6.6.6.6\r\nX_B: 2\r\n\r\n`);
      assert.equal(head['fields'], 'X-A: 1\r\nX_B: 2\r\n');
      assert.deepEqual([head['forwardedFor'], head['forwardedHost'], head['forwardedProto']], ['', '', '']);
    });
  }
  test('other fields with _ are passed on unchanged', () => {
    const lines = 'X_A: 1\r\nContent_Langth: 5\r\nContentxLength: 5\r\nTransfer_Encodinx: x\r\nX_Forwarder_For: x\r\n'
      + 'X_Farwarded_Host: x\r\nY_Forwarded_Proto: x\r\nKeep_Alive: x\r\nuser_id: 5\r\n';
    assert.equal(accepted(`GET / HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n`).head['fields'], lines);
  });
});

describe('fields that Connection nominates are not passed on (RFC 9110 §7.6.1)', () => {
  const fields = 'X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n';
  const table: readonly [connection: string, left: string][] = [
    ['Connection: x-a', 'X-B: 2\r\n'],
    ['Connection: close, X-A , x-b', ''],
    ['Connection: keep-alive, x-b', 'X-A: 1\r\nx-a: 3\r\n'],
    ['Connection: x-a\r\nConnection: x-b', ''],
    ['Connection:\r\nConnection: x-b', 'X-A: 1\r\nx-a: 3\r\n'],
    ['Connection: ,\t,x-b,', 'X-A: 1\r\nx-a: 3\r\n'],
    ['Connection: close', fields],
    ['Connection: keep-alive', fields],
    ['Connection:', fields],
    ['Connection: x', fields],
  ];
  for (const [connection, left] of table) {
    test(JSON.stringify(connection), () => {
      for (const text of [`${connection}\r\n${fields}`, `${fields}${connection}\r\n`]) {
        assert.equal(accepted(`GET / HTTP/1.1\r\nHost: a.example\r\n${text}\r\n`).head['fields'], left);
      }
    });
  }
  // The reader distinguishes `close` and `keep-alive` by length: a name of the same length is still a name.
  for (let length = 1; length <= 24; length++) {
    test(`a name of ${length} characters, alone`, () => {
      const name = 'x-internal-to-this-hop-1'.slice(0, length);
      for (const connection of [name, name.toUpperCase()]) {
        const lines = `Host: a.example\r\n${name}: secret\r\nY: y\r\nConnection: ${connection}\r\n`;
        assert.equal(accepted(`GET / HTTP/1.1\r\n${lines}\r\n`).head['fields'], 'Y: y\r\n');
      }
    });
  }
  test('but never the host, the framing, or the fields about earlier hops', () => {
    const { head } = accepted('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nVia: 1.0 x\r\n' +
      'X-Forwarded-For: 1.2.3.4\r\nConnection: host, content-length, transfer-encoding, x-forwarded-for, via\r\n\r\n');
    assert.deepEqual([head['host'], head['framing'], head['contentLength'], head['forwardedFor'], head['via']],
      ['a.example', LENGTH, 5, '1.2.3.4', '1.0 x']);
  });
});

describe('the host (RFC 9112 §3.2, RFC 9110 §7.2)', () => {
  const good = [
    'a.example', 'A.Example', 'a.example:8080', 'a.example:', 'my_app.local', 'localhost', '10.0.0.1', '10.0.0.1:80',
    '[::1]', '[::1]:80', '[2001:db8::1]', '[fe80::1%25eth0]', 'xn--bcher-kva.example', 'a%20b', "a!$&'()*+;=~-._b", '',
    'a.example:65535',
  ];
  for (const host of good) {
    test(`${JSON.stringify(host)} is valid`, () => {
      const { head } = accepted(`GET / HTTP/1.1\r\nHost: \t${host} \r\n\r\n`);
      assert.deepEqual([head['host'], head['hasHost']], [host, true]);
    });
  }
  const bad = [
    'a.example b.example', 'a.example, b.example', 'a.example,b.example', 'a.example/x', 'a.example/', 'a.example?x',
    'a.example#x', 'u@a.example', 'u:p@a.example', '@', 'http://a.example', 'a.example:80:80', 'a.example:x',
    'a.example:-1', 'a.example:808080', 'a.example: 80', '::1', '[::1', '::1]', '[]', '[::1]x', '[::1]:x', '[[::1]]',
    'a[b]', 'a\\b', '"a.example"', '<a>', 'a|b', 'a^b', 'a`b', '{a}', 'caf\xe9', 'a\tb', '\xa0a',
  ];
  for (const host of bad) {
    test(`${JSON.stringify(host)} is invalid`, () => {
      refused(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'REQUEST_MALFORMED');
      refused(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`, 'REQUEST_MALFORMED');
    });
  }
  test('an invalid one is refused beside an absolute target too', () => {
    // RFC 9112 §3.2: 400 for "a Host header field with an invalid field value", for any form of the target.
    refused('GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n\r\n', 'REQUEST_MALFORMED');
  });
  test('is required in HTTP/1.1, exactly once', () => {
    refused('GET / HTTP/1.1\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET / HTTP/1.1\r\nX-A: v\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET http://a.example/ HTTP/1.1\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET / HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET / HTTP/1.1\r\nHost:\r\nHost: a.example\r\n\r\n', 'REQUEST_MALFORMED');
    refused('GET / HTTP/1.0\r\nHost: a.example\r\nHost: a.example\r\n\r\n', 'REQUEST_MALFORMED');
  });
  test('may be missing in HTTP/1.0, which differs from an empty one', () => {
    const missing = accepted('GET / HTTP/1.0\r\n\r\n').head;
    assert.deepEqual([missing['host'], missing['hasHost']], ['', false]);
    const empty = accepted('GET / HTTP/1.0\r\nHost:\r\n\r\n').head;
    assert.deepEqual([empty['host'], empty['hasHost']], ['', true]);
  });
});

describe('the framing of the body (RFC 9112 §6.3)', () => {
  const good: readonly [fields: string, framing: Framing, length: number][] = [
    ['', NONE, 0],
    ['Content-Length: 5\r\n', LENGTH, 5],
    ['content-length:\t5 \r\n', LENGTH, 5],
    ['Content-Length: 0\r\n', LENGTH, 0],
    ['Content-Length: 9007199254740991\r\n', LENGTH, Number.MAX_SAFE_INTEGER],
    ['Transfer-Encoding: chunked\r\n', CHUNKED, 0],
    ['tRANSFER-eNCODING: cHuNkEd\r\n', CHUNKED, 0],
    ['Transfer-Encoding: \tchunked\r\n', CHUNKED, 0],
    ['Transfer-Encoding:chunked\r\n', CHUNKED, 0],
  ];
  for (const method of ['GET', 'POST', 'HEAD', 'DELETE', 'ANY']) {
    for (const [fields, framing, length] of good) {
      test(`${method} ${JSON.stringify(fields)}`, () => {
        const { head } = accepted(`${method} / HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`);
        assert.deepEqual([head['framing'], head['contentLength'], head['fields']], [framing, length, '']);
      });
    }
  }
  const bad: ErrorCode = 'REQUEST_MALFORMED';
  const unknown: ErrorCode = 'CODING_UNKNOWN';
  const table: readonly [fields: string, error: ErrorCode][] = [
    // A tab behind it is allowed (RFC 9112 §5.1), but Node's parser refuses it.
    ...['', '+5', '-5', '0x5', '5.0', '5e0', '5 5', '5, 5', '5,5', '5;', '"5"', 'five', '1_0', '18446744073709551621',
      '9007199254740992', '\xb2', '5\t'].map((value): [string, ErrorCode] => [`Content-Length: ${value}\r\n`, bad]),
    ['Content-Length: 5\r\nContent-Length: 5\r\n', bad],
    ['Content-Length: 5\r\nContent-Length: 6\r\n', bad],
    ['Content-Length: x\r\nContent-Length: 5\r\n', bad],
    ['Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n', bad],
    ['Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', bad],
    ['Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', bad],
    ['Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', bad],
    ['Content-Length: 5\r\nTransfer-Encoding: identity\r\n', bad],
    ...['', 'identity', 'gzip', 'xchunked', 'chunkedx', 'chunk', 'chunked, chunked', 'gzip, chunked', 'chunked, gzip',
      'chunked, identity', 'chunked,', ',chunked', '"chunked"', 'chunked;q=1', 'chun ked', 'chunked ', 'chunked\t',
      'chunke\xe4', 'c\xa0hunked'].map((value): [string, ErrorCode] => [`Transfer-Encoding: ${value}\r\n`, unknown]),
    ['Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', unknown],
    ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', unknown],
    ['Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', unknown],
    ['Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n', unknown],
  ];
  for (const [fields, error] of table) {
    test(`${JSON.stringify(fields)} is refused`, () => {
      refused(`POST / HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`, error);
    });
  }
  test('a coding in HTTP/1.0 is refused, a length is not', () => {
    refused('POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n', 'REQUEST_MALFORMED');
    const { head } = accepted('POST / HTTP/1.0\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n');
    assert.deepEqual([head['framing'], head['contentLength']], [LENGTH, 5]);
  });
});

describe('whether the connection is kept (RFC 9112 §9.3)', () => {
  const table: readonly [version: string, connection: string, keepAlive: boolean][] = [
    ['1.1', '', true],
    ['1.1', 'Connection: close\r\n', false],
    ['1.1', 'Connection: Close\r\n', false],
    ['1.1', 'connection: keep-alive\r\n', true],
    ['1.1', 'Connection: keep-alive, close\r\n', false],
    ['1.1', 'Connection: close\r\nConnection: keep-alive\r\n', false],
    ['1.1', 'Connection: x-close\r\n', true],
    ['1.1', 'Connection: closed\r\n', true],
    ['1.1', 'Proxy-Connection: close\r\n', false],
    ['1.1', 'Connection: keep-alive\r\nProxy-Connection: x, Close\r\n', false],
    ['1.1', 'Proxy-Connection: x-close\r\n', true],
    ['1.0', '', false],
    ['1.0', 'Connection: keep-alive\r\n', true],
    ['1.0', 'Connection: Keep-Alive\r\n', true],
    ['1.0', 'Connection: x, keep-alive\r\n', true],
    ['1.0', 'Connection: keep-alive, close\r\n', false],
    ['1.0', 'Connection: close\r\n', false],
    ['1.0', 'Connection: x,keep-alive \r\n', true],
    ['1.0', 'Connection: keep-alive\t\r\n', false],
    ['1.0', 'Connection: x,\tkeep-alive\r\n', false],
    ['1.1', 'Connection: close\t\r\n', false],
    ['1.0', 'Connection: keep-alivf\r\n', false],
    ['1.0', 'Proxy-Connection: keep-alive\r\n', false],
    ['1.0', 'Keep-Alive: timeout=5\r\n', false],
  ];
  for (const [version, connection, keepAlive] of table) {
    test(`HTTP/${version} ${JSON.stringify(connection)}`, () => {
      const { head } = accepted(`GET / HTTP/${version}\r\nHost: a.example\r\n${connection}\r\n`);
      assert.equal(head['keepAlive'], keepAlive);
    });
  }
});

describe('Upgrade counts only if Connection nominates it (RFC 9110 §7.8)', () => {
  const table: readonly [fields: string, version: string, upgrade: string][] = [
    ['Connection: Upgrade\r\nUpgrade: websocket\r\n', '1.1', 'websocket'],
    ['Upgrade: websocket\r\nConnection: keep-alive, UPGRADE\r\n', '1.1', 'websocket'],
    ['Upgrade: a\r\nConnection: upgrade\r\nUpgrade: b/2\r\n', '1.1', 'a, b/2'],
    ['Connection: upgrade, close\r\nUpgrade: websocket\r\n', '1.1', 'websocket'],
    ['Upgrade: websocket\r\n', '1.1', ''],
    ['Upgrade: websocket\r\nConnection: keep-alive\r\n', '1.1', ''],
    ['Connection: upgrade\r\n', '1.1', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket\r\n', '1.0', ''],
    // h2c would bypass every rule.
    ['Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n', '1.1', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n', '1.1', ''],
    ['Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n', '1.1', ''],
  ];
  for (const [fields, version, upgrade] of table) {
    test(`HTTP/${version} ${JSON.stringify(fields)}`, () => {
      const { head } = accepted(`GET / HTTP/${version}\r\nHost: a.example\r\n${fields}\r\n`);
      assert.deepEqual([head['upgrade'], head['fields']], [upgrade, '']);
    });
  }
});

describe('Expect (RFC 9110 §10.1.1)', () => {
  const table: readonly [line: string, fields: string, expects: boolean | ErrorCode][] = [
    ['POST / HTTP/1.1', 'Expect: 100-continue\r\nContent-Length: 5\r\n', true],
    ['POST / HTTP/1.1', 'expect: 100-Continue \r\nTransfer-Encoding: chunked\r\n', true],
    ['POST / HTTP/1.1', 'Content-Length: 5\r\n', false],
    ['POST / HTTP/1.1', 'Expect:\r\nContent-Length: 5\r\n', 'EXPECTATION_UNKNOWN'],
    ['GET / HTTP/1.1', 'Expect: \t\r\n', 'EXPECTATION_UNKNOWN'],
    ['GET / HTTP/1.0', 'Expect:\r\n', false],
    ['POST / HTTP/1.1', 'Expect: the-unexpected\r\nContent-Length: 5\r\n', 'EXPECTATION_UNKNOWN'],
    ['POST / HTTP/1.1', 'Expect: 100-continu\xe9\r\nContent-Length: 5\r\n', 'EXPECTATION_UNKNOWN'],
    ['POST / HTTP/1.1', 'Expect: 100-continue, x\r\nContent-Length: 5\r\n', 'EXPECTATION_UNKNOWN'],
    ['POST / HTTP/1.1', 'Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n', 'EXPECTATION_UNKNOWN'],
    ['GET / HTTP/1.1', 'Expect: x\r\n', 'EXPECTATION_UNKNOWN'],
    // Without a body there is nothing to wait for; in HTTP/1.0 it is ignored.
    ['GET / HTTP/1.1', 'Expect: 100-continue\r\n', false],
    ['POST / HTTP/1.0', 'Expect: 100-continue\r\nContent-Length: 5\r\n', false],
    ['POST / HTTP/1.0', 'Expect: x\r\nContent-Length: 5\r\n', false],
  ];
  for (const [line, fields, expects] of table) {
    test(`${line} ${JSON.stringify(fields)}`, () => {
      const text = `${line}\r\nHost: a.example\r\n${fields}\r\n`;
      if (typeof expects === 'string') refused(text, expects);
      else assert.equal(accepted(text).head['expectContinue'], expects);
    });
  }
});

describe('what else is recorded', () => {
  const table: readonly [fields: string, noted: Readonly<Record<string, unknown>>][] = [
    ['TE: trailers\r\n', { trailers: true }],
    ['TE: gzip;q=0.5, Trailers\r\n', { trailers: true }],
    ['TE: trailers\r\nTE: gzip\r\n', { trailers: true }],
    ['TE: gzip\r\n', { trailers: false }],
    ['TE:\r\n', { trailers: false }],
    ['X-Forwarded-For: 1.2.3.4\r\n', { forwardedFor: '1.2.3.4' }],
    ['X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8, ::1\r\n', { forwardedFor: '1.2.3.4, 5.6.7.8, ::1' }],
    ['X-Forwarded-For:\r\nX-Forwarded-For: 5.6.7.8\r\n', { forwardedFor: '5.6.7.8' }],
    ['X-Forwarded-Proto: https\r\n', { forwardedProto: 'https' }],
    ['X-Forwarded-Host: b.example\r\n', { forwardedHost: 'b.example' }],
    ['Forwarded: for=a\r\nForwarded: for=b;proto=http\r\n', { forwarded: 'for=a, for=b;proto=http' }],
    ['Via: 1.0 x\r\nVia: 1.1 y, 1.1 z\r\n', { via: '1.0 x, 1.1 y, 1.1 z' }],
  ];
  for (const [fields, noted] of table) {
    test(JSON.stringify(fields), () => {
      const { head } = accepted(`GET / HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`);
      const found = Object.fromEntries(Object.keys(noted).map((name) => [name, head[name]]));
      assert.deepEqual({ ...found, fields: head['fields'] }, { ...noted, fields: '' });
    });
  }
});

describe('limits hold, at whatever octet a read ends', () => {
  const limits: HeadLimits = { maxHeadBytes: 200, maxRequestLineBytes: 64, maxFields: 5 };
  const lineOf = (bytes: number): string => {
    const line = `GET /${'a'.repeat(bytes)} HTTP/1.1\r\n`;
    return line.replace('a'.repeat(line.length - bytes), '');
  };
  const headOf = (bytes: number): string => {
    const head = `GET / HTTP/1.1\r\nHost: a.example\r\nX: ${'v'.repeat(bytes)}\r\n\r\n`;
    return head.replace('v'.repeat(head.length - bytes), '');
  };
  const fieldsOf = (count: number): string => `GET / HTTP/1.1\r\nHost: h\r\n${'X: y\r\n'.repeat(count - 1)}\r\n`;
  const table: readonly [what: string, text: string, error: ErrorCode | undefined][] = [
    ['a request line at the limit', `${lineOf(64)}Host: a.example\r\n\r\n`, undefined],
    ['a request line of one octet more', `${lineOf(65)}Host: a.example\r\n\r\n`, 'TARGET_TOO_LONG'],
    ['a request line that never ends', `GET /${'a'.repeat(150)}`, 'TARGET_TOO_LONG'],
    ['a method that never ends', 'G'.repeat(100), 'TARGET_TOO_LONG'],
    ['a request line at the limit behind empty lines', `\r\n\r\n${lineOf(64)}Host: a.example\r\n\r\n`, undefined],
    ['a request line of one more behind empty lines', `\r\n\r\n${lineOf(65)}Host: h\r\n\r\n`, 'TARGET_TOO_LONG'],
    ['a head at the limit', headOf(200), undefined],
    ['a head of one octet more', headOf(201), 'REQUEST_HEAD_TOO_LARGE'],
    ['a head at the limit with its empty lines before', `\r\n\r\n${headOf(196)}`, undefined],
    ['a head of one more with its empty lines before', `\r\n\r\n${headOf(197)}`, 'REQUEST_HEAD_TOO_LARGE'],
    ['a head that never ends', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'v'.repeat(300)}`, 'REQUEST_HEAD_TOO_LARGE'],
    ['a name that never ends', `GET / HTTP/1.1\r\nHost: h\r\n${'v'.repeat(300)}`, 'REQUEST_HEAD_TOO_LARGE'],
    ['fields at the limit', fieldsOf(5), undefined],
    ['one field more', fieldsOf(6), 'REQUEST_HEAD_TOO_LARGE'],
    ['fields that never end', `GET / HTTP/1.1\r\nHost: h\r\n${'X: y\r\n'.repeat(100)}`, 'REQUEST_HEAD_TOO_LARGE'],
  ];
  for (const [what, text, error] of table) {
    test(what, () => {
      if (error === undefined) assert.equal(accepted(text, limits).length, text.length);
      else refused(text, error, limits);
    });
  }
  test('the defaults: 16 KiB of head, 8 KiB of request line, 100 fields', () => {
    const line = `GET /${'a'.repeat(8_192 - 'GET / HTTP/1.1\r\n'.length)} HTTP/1.1\r\n`;
    const start = `${line}Host: h\r\nX: `;
    const head = `${start}${'v'.repeat(16_384 - start.length - 4)}\r\n\r\n`;
    assert.equal(head.length, 16_384);
    const whole = read(head);
    assert.ok(whole !== 'more' && 'head' in whole, 'at the limits');
    assert.equal(whole.length, 16_384);
    assert.deepEqual(read(head.replace('X: ', 'X: v')), { refused: 'REQUEST_HEAD_TOO_LARGE' });
    assert.deepEqual(read(head.replace('GET /', 'GET /a')), { refused: 'TARGET_TOO_LONG' });
    // Heads that node:http has read come whole, however large.
    const unbounded = new RequestHead();
    assert.equal(parse(unbounded, head.replace('X: ', 'X: v'), LIMITS), -1);
    assert.equal(unbounded.error, 'REQUEST_HEAD_TOO_LARGE');
    const many = `GET / HTTP/1.1\r\nHost: h\r\n${'X: y\r\n'.repeat(99)}`;
    assert.ok(typeof read(`${many}\r\n`) === 'object');
    assert.deepEqual(read(`${many}X: y\r\n\r\n`), { refused: 'REQUEST_HEAD_TOO_LARGE' });
  });
});

describe('header() finds the first value of a field, for strategies', () => {
  const text = 'GET / HTTP/1.1\r\nHost: a.example\r\nX-Session: \t s1 \r\nCookie: a=1\r\ncookie: b=2\r\nX-Empty:\r\n' +
    'Connection: X-Session\r\n\r\nX-Body: no\r\n\r\n';
  const table: readonly [name: string, value: string | undefined][] = [
    ['host', 'a.example'],
    ['x-session', 's1'],
    ['cookie', 'a=1'],
    ['x-empty', ''],
    ['connection', 'X-Session'],
    ['x-sessio', undefined],
    ['x-sessions', undefined],
    ['get', undefined],
    ['x-body', undefined],
    ['', undefined],
  ];
  for (const before of ['', '\r\n', '\r\n\r\n']) {
    for (const [name, value] of table) {
      test(`${JSON.stringify(name)}${before === '' ? '' : `, behind ${before.length / 2} empty lines`}`, () => {
        const head = new RequestHead();
        assert.ok(parse(head, before + text, LIMITS) > 0);
        assert.equal(head.header(name), value);
        assert.equal(head.header(name), value, 'asked again');
      });
    }
  }
});

test('clear() releases everything that was read', () => {
  const head = new RequestHead();
  assert.ok(parse(head, FULL, LIMITS) > 0);
  head.clear();
  const { method, target, host, fields, upgrade, forwardedFor, forwardedProto, forwardedHost, forwarded, via } = head;
  assert.deepEqual(
    [method, target, host, fields, upgrade, forwardedFor, forwardedProto, forwardedHost, forwarded, via],
    Array<string>(10).fill(''));
  assert.equal(head.header('x-a'), undefined);
});

const seed = testSeed();

test(`a reader that is used again reads as a new one does (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  const used = new RequestHead();
  const trail: string[] = [];
  for (let i = 0; i < 5_000; i++) {
    const text = randomRequest(rng);
    const part = rng() < 0.2 ? text.slice(0, Math.floor(rng() * text.length)) : text;
    trail.push(part);
    const expected = read(part);
    const fresh = new RequestHead();
    parse(fresh, part, LIMITS);
    const told = `after ${JSON.stringify(trail.slice(-3))}`;
    assert.deepEqual(readingOf(used, parse(used, part, LIMITS)), expected, told);
    if (typeof expected === 'object' && 'head' in expected) {
      for (const name of ['host', 'x-a', 'connection']) assert.equal(used.header(name), fresh.header(name), told);
    }
    if (rng() < 0.1) used.clear();
  }
});

test(`random heads read the same at every split, and pass on what they should (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  let heads = 0;
  for (let i = 0; i < 300; i++) {
    const text = randomRequest(rng);
    const reading = readAtEverySplit(text, (part) => read(part));
    if (reading === 'more' || 'refused' in reading) continue;
    heads++;
    assert.equal(reading.length, text.length, text);
    assert.equal(reading.head['fields'], passedOn(text), text);
  }
  assert.ok(heads > 30, `only ${heads} of 300 were heads`);
});

/** A head in which every property is set. */
const FULL = 'POST http://b.example/p HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nContent-Length: 5\r\nTE: trailers\r\n' +
  'Expect: 100-continue\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nVia: 1.0 x\r\nForwarded: for=a\r\n' +
  'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: c.example\r\nX-Forwarded-Proto: https\r\n\r\n';

const LINES = [
  ...FULL.split('\r\n').slice(1, -2), 'Transfer-Encoding: chunked', 'Transfer-Encoding: gzip', 'Connection: x-a',
  'Connection: keep-alive', 'Connection: close', 'Connection: x-b, close', 'X-A: 2', 'X-B: caf\xe9', 'X-C:', 'X-D:  v ',
  'Keep-Alive: timeout=5', 'Upgrade: h2c', 'TE: gzip', 'Accept: */*', 'User-Agent: t', 'bad line', 'X: a\rb', ' fold',
];

/** A request of random parts, most of them valid. */
function randomRequest(rng: () => number): string {
  const method = oneOf(['GET', 'POST', 'HEAD', 'OPTIONS', 'PURGE', 'CONNECT'], rng);
  const target = oneOf(['/', '/a/b?c=d', '*', 'http://b.example', 'http://b.example/x?y', 'http://u@b.example/'], rng);
  const version = oneOf(['1.1', '1.1', '1.1', '1.0'], rng);
  const lines = rng() < 0.9 ? ['Host: a.example'] : [];
  for (let count = Math.floor(rng() * 7); count > 0; count--) {
    // Few random lines are valid together; a request with two faults shows little.
    const line = oneOf(rng() < 0.7 ? LINES.slice(-11, -3) : LINES, rng);
    lines.splice(Math.floor(rng() * (lines.length + 1)), 0, line);
  }
  const start = rng() < 0.1 ? '\r\n' : '';
  const line = `${start}${method} ${rng() < 0.6 ? '/' : target} HTTP/${version}`;
  return [line, ...lines, '', ''].join('\r\n');
}

const NOT_PASSED: ReadonlySet<string> = new Set([
  'host', 'content-length', 'transfer-encoding', 'te', 'expect', 'connection', 'keep-alive', 'upgrade', 'via',
  'forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto',
]);

/** The lines of a head that are passed on, found in the simplest way. */
function passedOn(text: string): string {
  const lines = text.trimStart().split('\r\n').slice(1, -2).map((line) => ({ line, name: nameOf(line) }));
  const options = lines.filter(({ name }) => name === 'connection').map(({ line }) => line.slice('connection:'.length));
  const nominated = options.join(',').toLowerCase().split(',').map((option) => option.trim());
  return lines.filter(({ name }) => !NOT_PASSED.has(name) && !nominated.includes(name))
    .map(({ line }) => `${line}\r\n`).join('');
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':')).toLowerCase();
}

function parse(head: RequestHead, text: string, limits: HeadLimits): number {
  return head.parse(Buffer.from(text, 'latin1'), text.length, limits);
}

function read(text: string, limits: HeadLimits = LIMITS): Reading {
  const head = new RequestHead();
  return readingOf(head, parse(head, text.slice(0, limits.maxHeadBytes), limits));
}

function accepted(
  text: string, limits: HeadLimits = LIMITS,
): { length: number; head: Readonly<Record<string, unknown>> } {
  const reading = readAtEverySplit(text, (part) => read(part, limits));
  assert.ok(reading !== 'more' && 'head' in reading, `${JSON.stringify(reading)}: ${JSON.stringify(text)}`);
  return reading;
}

function refused(text: string, error: ErrorCode, limits: HeadLimits = LIMITS): void {
  assert.deepEqual(readAtEverySplit(text, (part) => read(part, limits)), { refused: error });
}
