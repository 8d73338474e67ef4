import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from '../../src/http1/framing.ts';
import type { HeadLimits } from '../../src/http1/grammar.ts';
import { ResponseHead } from '../../src/http1/response.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { LIMITS, oneOf, readAtEverySplit, type Reading, readingOf } from './heads.ts';

describe('a status line is read', () => {
  const table: readonly [line: string, status: number, reason: string][] = [
    ['HTTP/1.1 200 OK', 200, 'OK'],
    ['HTTP/1.0 200 OK', 200, 'OK'],
    ['HTTP/1.1 200 ', 200, ''],
    // The space is often left out; Node's parser takes that too.
    ['HTTP/1.1 200', 200, ''],
    ['HTTP/1.1 404 Not Found', 404, 'Not Found'],
    ['HTTP/1.1 200  two  spaces ', 200, ' two  spaces '],
    ['HTTP/1.1 200 a\tb', 200, 'a\tb'],
    ['HTTP/1.1 200 caf\xe9', 200, 'caf\xe9'],
    ['HTTP/1.1 100 Continue', 100, 'Continue'],
    ['HTTP/1.1 599 X', 599, 'X'],
    ['HTTP/1.1 999 X', 999, 'X'],
  ];
  for (const [line, status, reason] of table) {
    test(JSON.stringify(line), () => {
      const text = `${line}\r\nX-A: v\r\n\r\n`;
      const { head } = accepted(text);
      const sent = `HTTP/1.1 ${status} ${reason}\r\n`;
      assert.deepEqual([head['status'], head['line'], head['fields']], [status, sent, 'X-A: v\r\n']);
      const again = new ResponseHead();
      again.parse(Buffer.from(text, 'latin1'), text.length, 'GET', LIMITS);
      assert.equal(again.reason, reason);
    });
  }
});

test('a head is available as text, up to a limit, until it is cleared', () => {
  const head = new ResponseHead();
  const start = 'HTTP/1.1 200 OK\r\n\r\n';
  const bytes = Buffer.from(`${start}caf\xe9${'x'.repeat(8_000)}`, 'latin1');
  assert.equal(head.parse(bytes, start.length + 4, 'GET', LIMITS), start.length);
  assert.equal(head.textAt(start.length, start.length + 4), 'caf\xe9');
  assert.equal(head.textAt(start.length, start.length + 5), '', 'not yet come');
  assert.equal(head.parse(bytes, bytes.length, 'GET', LIMITS), start.length);
  assert.equal(head.textAt(start.length, start.length + 4), 'caf\xe9');
  assert.equal(head.textAt(start.length, bytes.length), '', 'too much');
  head.clear();
  assert.equal(head.textAt(start.length, start.length + 4), '');
});

describe('a status line is refused', () => {
  const table = [
    'http/1.1 200 OK', 'HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/1.2 200 OK', 'HTTP/1.10 200 OK', 'HTTP/1 200 OK',
    'HTTP/1.x 200 OK', 'ICY 200 OK....', 'HTTP/1.1  200 OK', 'HTTP/1.1\t200 OK', ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 20x OK', 'HTTP/1.1 2 0 OK', 'HTTP/1.1 099 OK', 'HTTP/1.1 000 OK',
    'HTTP/1.1 -10 OK', 'HTTP/1.1 200OK', 'HTTP/1.1 200\tOK', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 O\rK',
    'HTTP/1.1 200 O\x7fK', 'HTTP/1.1 200 OK\r', 'HTTP/1.1 200\rX', 'HTTP/1.1 200 \x0b', '<html><body>no head',
    'HTTP/1.1 +20 OK', 'HTTP/1.1 \xb200 OK',
  ];
  for (const line of table) {
    test(JSON.stringify(line), () => {
      refused(`${line}\r\nX-A: v\r\n\r\n`);
    });
  }
  test('a bare LF as a line end', () => {
    refused('HTTP/1.1 200 OK\nContent-Length: 0\n\n');
    refused('HTTP/1.1 200\nContent-Length: 0\n\n');
  });
});

describe('field lines are refused', () => {
  const table: readonly [why: string, lines: string][] = [
    ['a space before the colon', 'X-A : v'],
    ['obs-fold', 'X-A: a\r\n b'],
    ['a first line that starts with a space', ' X-A: v'],
    ['no name', ': v'],
    ['no colon', 'X-A'],
    ['obs-text in a name', 'X-\xe9: v'],
    ['NUL in a value', 'X-A: a\0b'],
    ['a bare CR in a value', 'X-A: a\rb'],
    ['a bare LF in a value', 'X-A: a\nX-B: b'],
    ['CR CR LF', 'X-A: a\r'],
    ['an empty line that ends with a bare CR', 'X-A: a\r\n\rX-B: b'],
  ];
  for (const [why, lines] of table) {
    test(why, () => {
      refused(`HTTP/1.1 200 OK\r\n${lines}\r\nContent-Length: 0\r\n\r\n`);
      refused(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${lines}\r\n\r\n`);
    });
  }
});

describe('the framing of the body by status, method and fields (RFC 9112 §6.3)', () => {
  const ANY = ['GET', 'HEAD', 'POST', 'OPTIONS', 'ANY'];
  // Methods are case-sensitive: `head` is some other one.
  const BUT_HEAD = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'ANY', 'head', 'HEADS'];
  const FINAL = [200, 201, 202, 203, 205, 206, 299, 300, 301, 303, 307, 400, 404, 426, 500, 503, 599, 600, 999];
  type Expected = readonly [statuses: readonly number[], methods: readonly string[], framings: readonly Framing[]];
  const columns = ['', 'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n'];
  const table: readonly Expected[] = [
    [[100, 101, 102, 103, 199, 204, 304], ANY, [NONE, NONE, NONE, NONE]],
    [FINAL, ['HEAD'], [NONE, NONE, NONE, NONE]],
    [FINAL, BUT_HEAD, [UNTIL_CLOSE, LENGTH, LENGTH, CHUNKED]],
  ];
  for (const [statuses, methods, framings] of table) {
    for (const status of statuses) {
      test(`${status} to ${methods.join(', ')}`, () => {
        for (const method of methods) {
          for (const [i, fields] of columns.entries()) {
            const { head } = accepted(`HTTP/1.1 ${status} X\r\n${fields}\r\n`, method);
            assert.equal(head['framing'], framings[i], `${method} ${JSON.stringify(fields)}`);
            if (head['framing'] === LENGTH) assert.equal(head['contentLength'], fields.includes('5') ? 5 : 0);
            assert.equal(head['chunked'], fields.startsWith('Transfer-Encoding'));
          }
        }
      });
    }
  }
  test('of HTTP/1.0 in the same way, except for chunks', () => {
    assert.equal(accepted('HTTP/1.0 200 OK\r\n\r\n').head['framing'], UNTIL_CLOSE);
    assert.equal(accepted('HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n').head['framing'], LENGTH);
    refused('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  });
});

describe('faulty framing is refused, whatever the status and method', () => {
  const table = [
    ...['', '+5', '-5', '0x5', '5.0', '5 5', '5, 5', '5;', '"5"', 'five', '18446744073709551621',
      '9007199254740992', '5\t'].map((value) => `Content-Length: ${value}`),
    'Content-Length: 5\r\nContent-Length: 5',
    'Content-Length: 5\r\nContent-Length: 6',
    'Content-Length: x\r\nContent-Length: 5',
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: 5',
    ...['', 'identity', 'gzip', 'xchunked', 'chunkedx', 'chunked, chunked', 'gzip, chunked', 'chunked,', 'chunked;q=1',
      'chunked '].map((value) => `Transfer-Encoding: ${value}`),
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
  ];
  for (const fields of table) {
    test(JSON.stringify(fields), () => {
      for (const [status, method] of [[200, 'GET'], [200, 'HEAD'], [204, 'GET'], [304, 'GET'], [103, 'GET']] as const) {
        assert.deepEqual(readAtEverySplit(`HTTP/1.1 ${status} X\r\n${fields}\r\n\r\n`, (text) => read(text, method)),
          { refused: 'RESPONSE_MALFORMED' }, `${status} to ${method}`);
      }
    });
  }
});

describe('fields are passed on byte for byte, in order, except hop-by-hop ones', () => {
  const passing = 'X-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n' +
    'Trailer: X-T\r\nVary:*\r\nX-B: \t caf\xe9 \r\nServer:\r\nContent-Lengtha: 1\r\nDat: x\r\nUpgrad: y\r\n' +
    'Connectiom: z\r\n';
  test('all of them', () => {
    assert.equal(accepted(`HTTP/1.1 200 OK\r\n${passing}\r\n`).head['fields'], passing);
  });
  const taken = [
    'Connection: keep-alive', 'Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'Upgrade: h2c, websocket',
    'Transfer-Encoding: chunked',
  ];
  for (const line of taken) {
    test(`but not ${line}`, () => {
      const [name = ''] = line.split(':');
      for (const spelled of [name.toLowerCase(), name.toUpperCase()]) {
        const text = `HTTP/1.1 200 OK\r\nX-A: 1\r\n${line.replace(name, spelled)}\r\nX-B: 2\r\n\r\n`;
        assert.equal(accepted(text).head['fields'], 'X-A: 1\r\nX-B: 2\r\n');
      }
    });
  }
  const lengths: readonly [status: number, method: string, passes: boolean][] = [
    [200, 'GET', true], [200, 'HEAD', true], [304, 'GET', true], [206, 'GET', true],
    // RFC 9110 §8.6: a server must not send it with 1xx and 204.
    [204, 'GET', false], [204, 'HEAD', false], [100, 'GET', false], [103, 'GET', false], [101, 'GET', false],
  ];
  for (const [status, method, passes] of lengths) {
    test(`Content-Length of ${status} to ${method} ${passes ? 'passes' : 'does not pass'}`, () => {
      const length = 'content-length:\t5 \r\n';
      const { head } = accepted(`HTTP/1.1 ${status} X\r\nX-A: 1\r\n${length}X-B: 2\r\n\r\n`, method);
      assert.equal(head['fields'], `X-A: 1\r\n${passes ? length : ''}X-B: 2\r\n`);
    });
  }
});

describe('fields that Connection nominates are not passed on (RFC 9110 §7.6.1)', () => {
  const fields = 'X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n';
  const table: readonly [connection: string, left: string][] = [
    ['Connection: x-a', 'X-B: 2\r\n'],
    ['Connection: close, X-A , x-b', ''],
    ['Connection: keep-alive, x-b', 'X-A: 1\r\nx-a: 3\r\n'],
    ['Connection: x-a\r\nConnection: x-b', ''],
    ['Connection: close', fields],
    ['Connection: keep-alive', fields],
    ['Connection:', fields],
  ];
  for (const [connection, left] of table) {
    test(JSON.stringify(connection), () => {
      for (const text of [`${connection}\r\n${fields}`, `${fields}${connection}\r\n`]) {
        assert.equal(accepted(`HTTP/1.1 200 OK\r\n${text}\r\n`).head['fields'], left);
      }
    });
  }
  for (let length = 1; length <= 24; length++) {
    test(`a name of ${length} characters, alone`, () => {
      const name = 'x-internal-to-this-hop-1'.slice(0, length);
      const text = `HTTP/1.1 200 OK\r\n${name}: secret\r\nY: y\r\nConnection: ${name.toUpperCase()}\r\n\r\n`;
      assert.equal(accepted(text).head['fields'], 'Y: y\r\n');
    });
  }
  test('but never the length of the body', () => {
    const { head } = accepted('HTTP/1.1 200 OK\r\nConnection: content-length, x\r\nContent-Length: 5\r\n\r\n');
    assert.deepEqual([head['framing'], head['contentLength'], head['fields']], [LENGTH, 5, 'Content-Length: 5\r\n']);
  });
  test('a Date that Connection nominates counts as missing: one is added (RFC 9110 §6.6.1)', () => {
    const { head } = accepted('HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: date, x\r\n\r\n');
    assert.deepEqual([head['fields'], head['hasDate']], ['', false]);
  });
});

describe('whether the connection is kept (RFC 9112 §9.3), and for how long', () => {
  const table: readonly [version: string, fields: string, keepAlive: boolean, seconds: number][] = [
    ['1.1', '', true, -1],
    ['1.1', 'Connection: close\r\n', false, -1],
    ['1.1', 'connection: CLOSE\r\n', false, -1],
    ['1.1', 'Connection: keep-alive\r\n', true, -1],
    ['1.1', 'Connection: keep-alive, close\r\n', false, -1],
    ['1.1', 'Proxy-Connection: x, Close\r\n', false, -1],
    ['1.1', 'Proxy-Connection: x-close\r\n', true, -1],
    ['1.1', 'Connection: close\r\nConnection: keep-alive\r\n', false, -1],
    ['1.1', 'Connection: closed\r\n', true, -1],
    ['1.0', '', false, -1],
    ['1.0', 'Connection: Keep-Alive\r\n', true, -1],
    ['1.0', 'Connection: keep-alive, close\r\n', false, -1],
    ['1.0', 'Connection: x,keep-alive \r\n', true, -1],
    ['1.0', 'Connection: keep-alive\t\r\n', false, -1],
    ['1.1', 'Connection: close\t\r\n', false, -1],
    ['1.0', 'Connection: keep-alivf\r\n', false, -1],
    ['1.1', 'Keep-Alive: timeout=5\r\n', true, 5],
    ['1.1', 'Keep-Alive: timeout=5, max=1000\r\n', true, 5],
    ['1.1', 'Keep-Alive: max=1000,timeout=72\r\n', true, 72],
    ['1.1', 'Keep-Alive: max=1, Timeout=0\r\n', true, 0],
    ['1.1', 'Keep-Alive: xtimeout=5\r\n', true, -1],
    ['1.1', 'Keep-Alive: timeout=x\r\n', true, -1],
    ['1.1', 'Keep-Alive:\r\n', true, -1],
    ['1.0', 'Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n', true, 5],
  ];
  for (const [version, fields, keepAlive, seconds] of table) {
    test(`HTTP/${version} ${JSON.stringify(fields)}`, () => {
      const { head } = accepted(`HTTP/${version} 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`);
      assert.deepEqual([head['keepAlive'], head['keepAliveSeconds']], [keepAlive, seconds]);
    });
  }
});

describe('Upgrade counts only if Connection nominates it (RFC 9110 §7.8)', () => {
  const table: readonly [fields: string, upgrade: string][] = [
    ['Connection: Upgrade\r\nUpgrade: websocket\r\n', 'websocket'],
    ['Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n', 'websocket'],
    ['Upgrade: websocket\r\nConnection: upgrade\t\r\n', ''],
    ['Upgrade: a\r\nConnection: upgrade\r\nUpgrade: b/2\r\n', 'a, b/2'],
    ['Upgrade: websocket\r\n', ''],
    ['Connection: Upgrade\r\n', ''],
    ['Upgrade: websocket\r\nConnection: close\r\n', ''],
  ];
  for (const [fields, upgrade] of table) {
    test(JSON.stringify(fields), () => {
      const { head } = accepted(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`);
      assert.deepEqual([head['upgrade'], head['fields'], head['framing']], [upgrade, '', NONE]);
    });
  }
});

describe('a Date is recorded', () => {
  const table = [['Date: x\r\n', true], ['dATE:\r\n', true], ['Data: x\r\n', false], ['', false]] as const;
  for (const [fields, hasDate] of table) {
    test(JSON.stringify(fields), () => {
      const { head } = accepted(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
      assert.deepEqual([head['hasDate'], head['fields']], [hasDate, fields]);
    });
  }
});

test('a head ends at its empty line, whatever follows', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n';
  for (const rest of ['', 'body', '\r\n\r\n', 'HTTP/1.1 500 X\r\n\r\n', '\0\xff']) {
    assert.deepEqual(read(head + rest), read(head), JSON.stringify(rest));
  }
});

describe('limits hold at any split of the reads', () => {
  const limits: HeadLimits = { maxHeadBytes: 200, maxRequestLineBytes: 64, maxFields: 5 };
  const headOf = (bytes: number): string => {
    const head = `HTTP/1.1 200 OK\r\nX: ${'v'.repeat(bytes)}\r\n\r\n`;
    return head.replace('v'.repeat(head.length - bytes), '');
  };
  const fieldsOf = (count: number): string => `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(count)}\r\n`;
  const table: readonly [what: string, text: string, error: ErrorCode | undefined][] = [
    ['a head at the limit', headOf(200), undefined],
    ['a head of one octet more', headOf(201), 'RESPONSE_HEAD_TOO_LARGE'],
    ['a status line that never ends', `HTTP/1.1 200 ${'v'.repeat(300)}`, 'RESPONSE_HEAD_TOO_LARGE'],
    ['a head that never ends', `HTTP/1.1 200 OK\r\nX: ${'v'.repeat(300)}`, 'RESPONSE_HEAD_TOO_LARGE'],
    ['fields at the limit', fieldsOf(5), undefined],
    ['one field more', fieldsOf(6), 'RESPONSE_HEAD_TOO_LARGE'],
  ];
  for (const [what, text, error] of table) {
    test(what, () => {
      const reading = readAtEverySplit(text, (part) => read(part, 'GET', limits));
      if (error !== undefined) assert.deepEqual(reading, { refused: error });
      else assert.equal(typeof reading === 'object' && 'head' in reading ? reading.length : reading, text.length);
    });
  }
});

test('compose() builds a response of our own, with its length', () => {
  const head = new ResponseHead();
  assert.ok(parse(head, FULL, 'HEAD', LIMITS) > 0);
  head.compose(503, 'Service Unavailable', 'Retry-After: 1\r\n', 12);
  const { status, reason, fields, framing, contentLength, upgrade, hasDate, chunked } = head;
  assert.deepEqual([status, reason, fields], [503, 'Service Unavailable', 'Retry-After: 1\r\nContent-Length: 12\r\n']);
  assert.deepEqual([framing, contentLength, upgrade, hasDate, chunked], [LENGTH, 12, '', false, false]);
});

test('clear() releases all text', () => {
  const head = new ResponseHead();
  assert.ok(parse(head, FULL, 'GET', LIMITS) > 0);
  head.clear();
  const { reason, fields, upgrade, hasDate, keepAliveSeconds } = head;
  assert.deepEqual([reason, fields, upgrade, hasDate, keepAliveSeconds], ['', '', '', false, -1]);
});

const seed = testSeed();

test(`a reader that is used again reads as a new one does (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  const used = new ResponseHead();
  const trail: string[] = [];
  for (let i = 0; i < 5_000; i++) {
    const text = randomResponse(rng);
    const method = oneOf(['GET', 'HEAD', 'POST'], rng);
    const part = rng() < 0.2 ? text.slice(0, Math.floor(rng() * text.length)) : text;
    trail.push(`${method}: ${part}`);
    assert.deepEqual(readingOf(used, parse(used, part, method, LIMITS)), read(part, method),
      `after ${JSON.stringify(trail.slice(-3))}`);
    if (rng() < 0.1) used.clear();
    else if (rng() < 0.1) used.compose(502, 'Bad Gateway', 'X: y\r\n', 3);
  }
});

test(`random heads read the same at every split (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  let heads = 0;
  for (let i = 0; i < 300; i++) {
    const text = randomResponse(rng);
    const method = oneOf(['GET', 'HEAD'], rng);
    const reading = readAtEverySplit(text, (part) => read(part, method));
    if (reading === 'more' || 'refused' in reading) continue;
    heads++;
    assert.equal(reading.length, text.length, text);
  }
  assert.ok(heads > 30, `only ${heads} of 300 were heads`);
});

/** A head in which every property is set. */
const FULL = 'HTTP/1.0 101 Switching Protocols\r\nX-A: 1\r\nContent-Length: 5\r\nDate: x\r\n' +
  'Connection: upgrade, x-b\r\nUpgrade: websocket\r\nKeep-Alive: timeout=5\r\n\r\n';

const LINES = [
  'X-A: 1', 'X-B: 2', 'Date: x', 'Connection: x-b', 'Connection: upgrade', 'Upgrade: a', 'Keep-Alive: timeout=5',
  'Connection: close', 'Connection: keep-alive', 'Set-Cookie: a=1', 'Vary: *', 'Content-Length: 5', 'Content-Length: 0',
  'Transfer-Encoding: chunked', 'bad line', 'X: a\rb', ' fold',
];

/** A response of random parts, most of them valid. */
function randomResponse(rng: () => number): string {
  const status = oneOf(['200', '200', '204', '304', '404', '100', '101', '103', '500', '2x0'], rng);
  const reason = oneOf([' OK', ' ', '', ' Not Found'], rng);
  const lines: string[] = [];
  for (let count = Math.floor(rng() * 7); count > 0; count--) {
    lines.push(oneOf(rng() < 0.9 ? LINES.slice(0, -6) : LINES, rng));
  }
  const version = oneOf(['1.1', '1.1', '1.0'], rng);
  return [`HTTP/${version} ${status}${reason}`, ...lines, '', ''].join('\r\n');
}

function parse(head: ResponseHead, text: string, method: string, limits: HeadLimits): number {
  return head.parse(Buffer.from(text, 'latin1'), text.length, method, limits);
}

function read(text: string, method = 'GET', limits: HeadLimits = LIMITS): Reading {
  const head = new ResponseHead();
  return readingOf(head, parse(head, text.slice(0, limits.maxHeadBytes), method, limits));
}

function accepted(text: string, method = 'GET'): { length: number; head: Readonly<Record<string, unknown>> } {
  const reading = readAtEverySplit(text, (part) => read(part, method));
  assert.ok(reading !== 'more' && 'head' in reading, `${JSON.stringify(reading)}: ${JSON.stringify(text)}`);
  return reading;
}

function refused(text: string): void {
  assert.deepEqual(readAtEverySplit(text, (part) => read(part)), { refused: 'RESPONSE_MALFORMED' });
}
