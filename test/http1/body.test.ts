import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BodyReader } from '../../src/http1/body.ts';
import { requestTrailers } from '../../src/http1/fields.ts';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from '../../src/http1/framing.ts';
import type { BodyLimits } from '../../src/http1/grammar.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { LIMITS, oneOf } from './heads.ts';

describe('a body of a known length', () => {
  const table: readonly [length: number, text: string, data: string, done: boolean][] = [
    [0, '', '', true],
    [0, 'GET /', '', true],
    [5, 'hello', 'hello', true],
    [5, 'helloGET / HTTP/1.1\r\n', 'hello', true],
    [5, '0\r\n\r\nrest', '0\r\n\r\n', true],
    [5, 'hell', 'hell', false],
    [5, '', '', false],
    [3, '\0\xff\x80', '\0\xff\x80', true],
    [Number.MAX_SAFE_INTEGER, 'hello', 'hello', false],
  ];
  for (const [length, text, data, done] of table) {
    test(`${length} of ${JSON.stringify(text)}`, () => {
      const rest = done ? text.slice(data.length) : '';
      assert.deepEqual(readAtEverySplit(LENGTH, length, text), { data, done, malformed: false, trailers: '', rest });
    });
  }
});

test('a body until the end of the connection takes every octet, and is never done', () => {
  for (const text of ['', 'hello', '0\r\n\r\n', '\0\xff']) {
    assert.deepEqual(readAtEverySplit(UNTIL_CLOSE, 0, text),
      { data: text, done: false, malformed: false, trailers: '', rest: '' });
  }
});

test('no body is done at once and takes nothing', () => {
  for (const text of ['', 'GET / HTTP/1.1\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n']) {
    assert.deepEqual(readAtEverySplit(NONE, 0, text),
      { data: '', done: true, malformed: false, trailers: '', rest: text });
  }
});

describe('chunks are decoded at any split of the reads (RFC 9112 §7.1)', () => {
  const table: readonly [what: string, text: string, data: string, trailers?: string][] = [
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['two chunks', '6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n', 'hello world'],
    ['many small ones', `${'1\r\nx\r\n'.repeat(9)}0\r\n\r\n`, 'xxxxxxxxx'],
    ['none', '0\r\n\r\n', ''],
    ['upper-case digits', 'A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
    ['lower-case digits', 'b\r\n0123456789a\r\n0\r\n\r\n', '0123456789a'],
    ['two digits', '10\r\n0123456789abcdef\r\n0\r\n\r\n', '0123456789abcdef'],
    ['leading zeros', '0005\r\nhello\r\n000\r\n\r\n', 'hello'],
    ['sixteen digits', '0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n', 'hello'],
    ['data that looks like an end', '7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n', '\r\n0\r\n\r\n'],
    ['data that looks like a size', '3\r\n5\r\n\r\n0\r\n\r\n', '5\r\n'],
    ['octets of all kinds', '4\r\n\0\xff\r\n\r\n0\r\n\r\n', '\0\xff\r\n'],
    // RFC 9112 §7.1.1: ignored, and not passed on.
    ['an extension', '5;a\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['an extension with a value', '5;a=b\r\nhello\r\n0;c=d\r\n\r\n', 'hello'],
    ['several extensions', '5;a;b=c;d="e"\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a quoted value', '5;a="b c"\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['an empty quoted value', '5;a=""\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a quoted value with all that ends one outside of it', '5;a=";\\"=\\\\"\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a quoted value with obs-text', '5;a="\xe9\t"\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a quoted value, then another extension', '5;a="b";c\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a trailer', '5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n', 'hello', 'X-T: 1\r\n'],
    ['trailers', '0\r\nX-T: 1\r\nx-u:\r\nX-T:  2 \r\n\r\n', '', 'X-T: 1\r\nx-u:\r\nX-T:  2 \r\n'],
    // RFC 9110 §6.5.1
    ['trailers that may not pass', '0\r\nHost: x\r\nX-T: 1\r\nAuthorization: x\r\n\r\n', '', 'X-T: 1\r\n'],
    ['no trailer that may pass', '0\r\nset-cookie: a=1\r\nTRAILER: x\r\n\r\n', '', ''],
  ];
  for (const [what, text, data, trailers = ''] of table) {
    for (const rest of ['', 'GET /2 HTTP/1.1\r\n\r\n', '\r\n']) {
      test(`${what}${rest === '' ? '' : `, with ${JSON.stringify(rest)} behind`}`, () => {
        assert.deepEqual(readAtEverySplit(CHUNKED, 0, text + rest),
          { data, done: true, malformed: false, trailers, rest });
      });
    }
    test(`${what}: not done before its last octet`, () => {
      for (let length = 0; length < text.length; length++) {
        const { done, malformed } = readIn([text.slice(0, length)], CHUNKED, 0);
        assert.deepEqual([done, malformed], [false, false], `after ${length} octets`);
      }
    });
  }
});

describe('malformed chunks are found at any split of the reads', () => {
  const table: readonly [what: string, text: string, before?: string][] = [
    ['0x before a size', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a minus', '-5\r\nhello\r\n0\r\n\r\n'],
    ['no size', '\r\nhello\r\n0\r\n\r\n'],
    ['no size, but an extension', ';a=b\r\nhello\r\n0\r\n\r\n'],
    ['a letter that is no digit', 'g\r\nhello\r\n0\r\n\r\n'],
    ['an octet a bit apart from a digit', '\x15\r\nhello\r\n0\r\n\r\n'],
    ['an octet a bit apart from a letter', '!\r\nhello\r\n0\r\n\r\n'],
    ['obs-text', '\xb5\r\nhello\r\n0\r\n\r\n'],
    ['a space before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a space behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a tab behind the size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['a space before the extension', '5 ;a\r\nhello\r\n0\r\n\r\n'],
    ['an underscore', '1_0\r\nhello\r\n0\r\n\r\n'],
    ['two sizes', '5 5\r\nhello\r\n0\r\n\r\n'],
    ['a size that would wrap at 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size that would wrap at 64 bits, with zeros', '00010000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size that would wrap at 32 bits three times', '100000000000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size beyond exact integers', '20000000000005\r\nhello\r\n0\r\n\r\n'],
    ['seventeen digits', '00000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR behind a size', '5\rhello\r\n0\r\n\r\n'],
    ['CR CR LF behind a size', '5\r\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the data', '5\r\nhello\n0\r\n\r\n', 'hello'],
    ['a bare CR behind the data', '5\r\nhello\r0\r\n\r\n', 'hello'],
    ['CR and something else behind the data', '5\r\nhello\rX0\r\n\r\n', 'hello'],
    ['nothing behind the data', '5\r\nhello0\r\n\r\n', 'hello'],
    ['data longer than its size', '5\r\nhelloXX\r\n0\r\n\r\n', 'hello'],
    ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n', 'hello\r'],
    ['an empty line after the data', '5\r\nhello\r\n\r\n0\r\n\r\n', 'hello'],
    ['an extension without a name', '5;\r\nhello\r\n0\r\n\r\n'],
    ['an extension without a name before another', '5;;a\r\nhello\r\n0\r\n\r\n'],
    ['an extension that starts with =', '5;=b\r\nhello\r\n0\r\n\r\n'],
    ['an extension without its value', '5;a=\r\nhello\r\n0\r\n\r\n'],
    ['an extension with two values', '5;a=b=c\r\nhello\r\n0\r\n\r\n'],
    ['a space in an extension', '5;a b\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF in an extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a value', '5;a=b\nhello\r\n0\r\n\r\n'],
    ['a bare CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['NUL in an extension', '5;a\0\r\nhello\r\n0\r\n\r\n'],
    ['obs-text in an extension', '5;\xe9\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF in a quoted value', '5;a="\n"\r\nhello\r\n0\r\n\r\n'],
    ['CR LF in a quoted value', '5;a="\r\n0\r\n\r\n"\r\nhello\r\n0\r\n\r\n'],
    ['NUL in a quoted value', '5;a="\0"\r\nhello\r\n0\r\n\r\n'],
    ['an escaped LF', '5;a="\\\n"\r\nhello\r\n0\r\n\r\n'],
    ['an escaped CR', '5;a="\\\r\n"\r\nhello\r\n0\r\n\r\n'],
    ['text behind a quoted value', '5;a="b"c\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a quoted value', '5;a="b"\nhello\r\n0\r\n\r\n'],
    ['text before a quoted value', '5;a=b"c"\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the last size', '5\r\nhello\r\n0\n\r\n', 'hello'],
    ['a bare LF for the end', '5\r\nhello\r\n0\r\n\n', 'hello'],
    ['a bare CR for the end', '5\r\nhello\r\n0\r\n\rX\r\n\r\n', 'hello'],
    ['a trailer with a space before its colon', '0\r\nX-T : 1\r\n\r\n'],
    ['a trailer without a colon', '0\r\nX-T\r\n\r\n'],
    ['a trailer without a name', '0\r\n: 1\r\n\r\n'],
    ['a folded trailer', '0\r\nX-T: 1\r\n 2\r\n\r\n'],
    ['a trailer that ends with a bare LF', '0\r\nX-T: 1\n\r\n'],
    ['a trailer with a bare CR', '0\r\nX-T: 1\r2\r\n\r\n'],
    ['a trailer with NUL', '0\r\nX-T: \0\r\n\r\n'],
    ['a forbidden trailer that is malformed', '0\r\nHost : 1\r\n\r\n'],
    // There, framing can only deceive (RFC 9110 §6.5.1); Node's parser refuses it too.
    ['a length among the trailers', '0\r\nContent-Length: 3\r\n\r\n'],
    ['a length behind other trailers', '0\r\nX-T: 1\r\ncontent-length:3\r\n\r\n'],
    ['a coding among the trailers', '0\r\nTRANSFER-ENCODING: chunked\r\nX-T: 1\r\n\r\n'],
    ['the next request where trailers end', '0\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ];
  for (const [what, text, before = ''] of table) {
    test(what, () => {
      const { data, done, malformed } = readAtEverySplit(CHUNKED, 0, text);
      assert.deepEqual({ data, done, malformed }, { data: before, done: false, malformed: true });
    });
  }
});

describe('large sizes are exact', () => {
  for (const size of ['100000005', '80000000', 'ffffffff', '1000000000000']) {
    test(`${size} is not less than what follows`, () => {
      const text = 'hello\r\n0\r\n\r\n';
      assert.deepEqual(readAtEverySplit(CHUNKED, 0, `${size}\r\n${text}`),
        { data: text, done: false, malformed: false, trailers: '', rest: '' });
    });
  }
});

test('a malformed body is read no further', () => {
  const reader = new BodyReader(LIMITS, requestTrailers);
  reader.start(CHUNKED, 0);
  reader.read(latin1('5\r\nhello!'), 0, 9);
  assert.equal(reader.malformed, true);
  const more = latin1('\r\n0\r\n\r\n');
  assert.equal(reader.read(more, 0, more.length), 0);
  assert.deepEqual([reader.done, reader.malformed, reader.to - reader.from], [false, true, 0]);
});

describe('limits hold at any split of the reads', () => {
  const limits: BodyLimits = {
    maxTrailerBytes: 120, maxChunkLineBytes: 40, maxChunkExtensionBytes: 90, maxFields: 5,
  };
  const section = (bytes: number): string => `X: ${'v'.repeat(bytes - 'X: \r\n\r\n'.length)}\r\n\r\n`;
  const table: readonly [what: string, text: string, malformed: boolean][] = [
    ['a trailer section at the limit', `0\r\n${section(120)}`, false],
    ['a trailer section of one octet more', `0\r\n${section(121)}`, true],
    ['a trailer that never ends', `0\r\nX: ${'v'.repeat(200)}`, true],
    ['trailers at the limit of fields', `0\r\n${'X: y\r\n'.repeat(5)}\r\n`, false],
    ['one trailer more', `0\r\n${'X: y\r\n'.repeat(6)}\r\n`, true],
    ['one forbidden trailer more', `0\r\n${'X: y\r\n'.repeat(5)}Host: y\r\n\r\n`, true],
  ];
  for (const [what, text, malformed] of table) {
    test(what, () => {
      const read = readAtEverySplit(CHUNKED, 0, text, limits);
      assert.deepEqual([read.done, read.malformed], [!malformed, malformed]);
    });
  }
  /** A chunk of one octet whose line, with its CRLF, has this length. */
  const lineOf = (bytes: number, start = '1;', end = ''): string => {
    return `${start}${'a'.repeat(bytes - start.length - end.length - 2)}${end}\r\nx\r\n`;
  };
  const lines: readonly [what: string, text: string, malformed: boolean][] = [
    ['a chunk-size line at the limit', lineOf(40), false],
    ['one octet more', lineOf(41), true],
    ['one octet more with leading zeros', lineOf(41, '0000000000000001;'), true],
    ['a value at the limit', lineOf(40, '1;a='), false],
    ['one octet more of a value', lineOf(41, '1;a='), true],
    ['quotes at the limit', lineOf(40, '1;a="', '"'), false],
    ['one octet more in quotes', lineOf(41, '1;a="', '"'), true],
    ['one octet more that is escaped', `1;a="${'\\b'.repeat(17)}"\r\nx\r\n`, true],
    ['one octet more in many', `1${';a=b'.repeat(9)};a\r\nx\r\n`, true],
    ['a line that never ends', `1;${'a'.repeat(100)}`, true],
    ['extensions at the limit of a body', lineOf(40).repeat(2) + lineOf(19), false],
    ['one octet more in a body', lineOf(40).repeat(2) + lineOf(20), true],
    ['eight octets in each of twelve chunks', lineOf(11).repeat(12), true],
  ];
  for (const [what, text, malformed] of lines) {
    test(what, () => {
      const read = readAtEverySplit(CHUNKED, 0, malformed ? text : `${text}0\r\n\r\n`, limits);
      assert.deepEqual([read.done, read.malformed], [!malformed, malformed]);
    });
  }

  test('extensions are counted afresh for each body', () => {
    const reader = new BodyReader(limits, requestTrailers);
    for (let i = 0; i < 5; i++) {
      reader.start(CHUNKED, 0);
      const bytes = latin1(`${lineOf(40).repeat(2)}0\r\n\r\n`);
      assert.equal(reader.read(bytes, 0, bytes.length), bytes.length);
      assert.equal(reader.done, true);
    }
  });
});

describe('the data of a read is one contiguous part of its buffer', () => {
  test('moved together in place; what follows the body stays untouched', () => {
    const body = `${['alpha', 'b', 'gamma', 'delta-delta'].map(chunk).join('')}0\r\nX-T: 1\r\n\r\n`;
    const next = 'GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n';
    const bytes = latin1(`POST / HTTP/1.1\r\n\r\n${body}${next}`);
    const at = bytes.indexOf('5\r\n');
    const reader = new BodyReader(LIMITS, requestTrailers);
    reader.start(CHUNKED, 0);
    const stop = reader.read(bytes, at, bytes.length);
    assert.equal(bytes.toString('latin1', reader.from, reader.to), 'alphabgammadelta-delta');
    assert.ok(reader.from >= at && reader.to <= stop, 'the data lies where the body was');
    assert.equal(bytes.toString('latin1', 0, at), 'POST / HTTP/1.1\r\n\r\n');
    assert.equal(bytes.toString('latin1', stop), next);
  });
  test('of 1,000 chunks too', () => {
    const chunks = Array.from({ length: 1_000 }, (_, i) => `<${i}>`.padEnd(1 + (i % 30), '.'));
    const bytes = latin1(`${chunks.map(chunk).join('')}0\r\n\r\n`);
    const reader = new BodyReader(LIMITS, requestTrailers);
    reader.start(CHUNKED, 0);
    assert.equal(reader.read(bytes, 0, bytes.length), bytes.length);
    assert.equal(bytes.toString('latin1', reader.from, reader.to), chunks.join(''));
  });
  test('nothing is moved if all the data is in one chunk, or a part of one', () => {
    for (const text of ['5\r\nhello', '5\r\nhello\r\n', '5;a=b\r\nhello\r\n0\r\n\r\n']) {
      const bytes = latin1(text);
      const reader = new BodyReader(LIMITS, requestTrailers);
      reader.start(CHUNKED, 0);
      reader.read(bytes, 0, bytes.length);
      assert.equal(bytes.toString('latin1'), text);
      assert.equal(reader.from, text.indexOf('hello'));
    }
  });
  test('a read that finds no data says so', () => {
    const reader = new BodyReader(LIMITS, requestTrailers);
    reader.start(CHUNKED, 0);
    for (const [text, data] of [['5\r\nhel', 3], ['lo', 2], ['\r\n', 0], ['0\r\n', 0], ['X: y\r\n\r\n', 0]] as const) {
      const bytes = latin1(text);
      reader.read(bytes, 0, bytes.length);
      assert.equal(reader.to - reader.from, data, JSON.stringify(text));
    }
    assert.equal(reader.done, true);
  });
});

const seed = testSeed();

test(`random chunks, split at random, give their data (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  for (let i = 0; i < 1_000; i++) {
    const { text, data, trailers } = randomChunks(rng);
    const rest = oneOf(['', 'GET /', '\r\n\r\n'], rng);
    const read = readIn(cutAtRandom(text + rest, rng), CHUNKED, 0);
    assert.deepEqual(read, { data, done: true, malformed: false, trailers, rest }, text);
  }
});

test(`with one octet changed at random, every split gives the same result (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  for (let i = 0; i < 2_000; i++) {
    const { text } = randomChunks(rng);
    const at = Math.floor(rng() * text.length);
    // A fault in a trailer may show only at the end of its line, so there is an end.
    const changed = `${text.slice(0, at)}${String.fromCharCode(rng() * 256)}${text.slice(at + 1)}\r\n\r\n`;
    const whole = judged(readIn([changed], CHUNKED, 0));
    assert.deepEqual(judged(readIn(Array.from(changed), CHUNKED, 0)), whole, JSON.stringify(changed));
    assert.deepEqual(judged(readIn(cutAtRandom(changed, rng), CHUNKED, 0)), whole, JSON.stringify(changed));
    assert.ok(!(whole.done && whole.malformed), JSON.stringify(changed));
  }
});

test(`a reader that is used again reads as a new one does (EQUIPOISE_SEED=${seed})`, () => {
  const rng = seededRandom(seed);
  const used = new BodyReader(LIMITS, requestTrailers);
  const trail: string[] = [];
  for (let i = 0; i < 3_000; i++) {
    const framing = oneOf<Framing>([NONE, LENGTH, CHUNKED, CHUNKED, CHUNKED, UNTIL_CLOSE], rng);
    const { text } = randomChunks(rng);
    const at = Math.floor(rng() * text.length);
    // Complete, aborted or malformed: the reader must forget each of them.
    const part = oneOf([text, text.slice(0, at), `${text.slice(0, at)}\0${text.slice(at)}`], rng);
    const length = Math.floor(rng() * 20);
    const pieces = cutAtRandom(part, rng);
    trail.push(`${framing}: ${part}`);
    assert.deepEqual(readIn(pieces, framing, length, LIMITS, used), readIn(pieces, framing, length),
      `after ${JSON.stringify(trail.slice(-3))}`);
  }
});

describe('an aborted body leaves nothing behind', () => {
  const table: readonly [where: string, before: string][] = [
    ['in a size', '000000000000000'],
    ['in an extension', `5;${'a'.repeat(1_000)}`],
    ['in a quoted value', '5;a="b'],
    ['in its data', '5\r\nhel'],
    ['behind its data', '5\r\nhello\r'],
    ['in its trailers', '0\r\nX-T: 1\r\n'],
    ['by what is malformed', '5\r\nhelloX'],
  ];
  for (const [where, before] of table) {
    test(where, () => {
      const reader = new BodyReader(LIMITS, requestTrailers);
      for (const text of [`${'0'.repeat(15)}5;${'b'.repeat(1_000)}\r\nworld\r\n0\r\n\r\n`, '\r\n0\r\n\r\n']) {
        readIn([before], CHUNKED, 0, LIMITS, reader);
        assert.deepEqual(readIn([text], CHUNKED, 0, LIMITS, reader), readIn([text], CHUNKED, 0));
      }
      readIn([before], CHUNKED, 0, LIMITS, reader);
      assert.deepEqual(readIn(['hello'], LENGTH, 3, LIMITS, reader), readIn(['hello'], LENGTH, 3));
    });
  }
});

/** The result of reading a body. `rest` is what followed it, once it was done. */
interface Read {
  readonly data: string;
  readonly done: boolean;
  readonly malformed: boolean;
  readonly trailers: string;
  readonly rest: string;
}

/** Reads a body that comes in `pieces`, each in the middle of a larger buffer that must stay unchanged. */
function readIn(
  pieces: readonly string[], framing: Framing, length: number, limits: BodyLimits = LIMITS,
  reader = new BodyReader(limits, requestTrailers),
): Read {
  reader.start(framing, length);
  let data = '';
  let rest = '';
  for (const piece of pieces) {
    const bytes = latin1(`<<<${piece}>>>`);
    const end = bytes.length - 3;
    const wasOver = reader.done || reader.malformed;
    const stop = reader.read(bytes, 3, end);
    assert.ok(stop >= 3 && stop <= end, `stopped at ${stop} of 3 to ${end}`);
    data += bytes.toString('latin1', reader.from, reader.to);
    if (wasOver) assert.equal(stop, 3, 'nothing is read once the body is over');
    if (reader.to > reader.from) assert.ok(reader.from >= 3 && reader.to <= stop, 'the data lies in what was read');
    if (reader.done) rest += bytes.toString('latin1', stop, end);
    else if (!reader.malformed) assert.equal(stop, end, 'all is read until the body is over');
    assert.equal(bytes.toString('latin1', stop), `${piece.slice(stop - 3)}>>>`);
    assert.equal(bytes.toString('latin1', 0, 3), '<<<');
  }
  const { done, malformed, trailers } = reader;
  return { data, done, malformed, trailers, rest };
}

/** Reads a body whole, octet by octet, split at every offset, and if it is short at every two offsets. */
function readAtEverySplit(framing: Framing, length: number, text: string, limits: BodyLimits = LIMITS): Read {
  const whole = readIn([text], framing, length, limits);
  const same = (pieces: readonly string[]): void => {
    assert.deepEqual(readIn(pieces, framing, length, limits), whole, JSON.stringify(pieces));
  };
  same(Array.from(text));
  const last = text.length <= 60 ? text.length : 0;
  for (let i = 0; i <= text.length; i++) {
    same([text.slice(0, i), text.slice(i)]);
    for (let j = i; j <= last; j++) same([text.slice(0, i), text.slice(i, j), text.slice(j)]);
  }
  return whole;
}

function judged({ data, done, malformed }: Read): Pick<Read, 'data' | 'done' | 'malformed'> {
  return { data, done, malformed };
}

function randomChunks(rng: () => number): { text: string; data: string; trailers: string } {
  const parts = Array.from({ length: Math.floor(rng() * 6) }, () => {
    return Array.from({ length: 1 + Math.floor(rng() * 40) }, () => String.fromCharCode(rng() * 256)).join('');
  });
  const sizes = (data: string): string => {
    const size = data.length.toString(16);
    const spelled = oneOf([size, size.toUpperCase(), `00${size}`], rng);
    return `${spelled}${oneOf(['', '', ';a', ';a=b', ';a="b;\\"c"'], rng)}\r\n${data}\r\n`;
  };
  const trailers = oneOf(['', '', 'X-T: 1\r\n', 'X-T: 1\r\nX-U:\r\n'], rng);
  const forbidden = oneOf(['', 'Host: x\r\n'], rng);
  const end = `${oneOf(['0', '000', '0;a=b'], rng)}\r\n${forbidden}${trailers}\r\n`;
  return { text: parts.map(sizes).join('') + end, data: parts.join(''), trailers };
}

function cutAtRandom(text: string, rng: () => number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const end = at + 1 + Math.floor(rng() * (rng() < 0.5 ? 3 : 60));
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

function chunk(data: string): string {
  return `${data.length.toString(16)}\r\n${data}\r\n`;
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
