import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  END, fieldPairs, FieldScanner, type FieldTaker, INCOMPLETE, MALFORMED, requestTrailers, responseTrailers, valueIn,
  withoutNominated,
} from '../../src/http1/fields.ts';

/** The result of a scan of `text` from `at`: its end, and the length of each name with its value. */
function scan(text: string, at = 0): { found: number; fields: [nameLength: number, value: string][]; next: number } {
  const scanner = new FieldScanner();
  const fields: [number, string][] = [];
  const found = scanner.section(Buffer.from(text, 'latin1'), text, at, 99, {
    takes: (line) => {
      fields.push([line.nameLength, line.value()]);
      return false;
    },
  });
  return { found, fields, next: scanner.next };
}

describe('a field line is read', () => {
  const table: readonly [line: string, name: string, value: string][] = [
    ['X-A: v\r\n', 'X-A', 'v'],
    ['X-A:v\r\n', 'X-A', 'v'],
    ['X-A: \t v \t \r\n', 'X-A', 'v'],
    ['X-A:\r\n', 'X-A', ''],
    ['X-A: \t \r\n', 'X-A', ''],
    ['X-A: a\tb  c\r\n', 'X-A', 'a\tb  c'],
    ['X-A: a:b:c\r\n', 'X-A', 'a:b:c'],
    ['X-A: caf\xe9\xff\x80\r\n', 'X-A', 'caf\xe9\xff\x80'],
    ['X-A: "a, b"\r\n', 'X-A', '"a, b"'],
    ["X!#$%&'*+-.^_`|~1: v\r\n", "X!#$%&'*+-.^_`|~1", 'v'],
    ['a: v\r\n', 'a', 'v'],
  ];
  for (const [line, name, value] of table) {
    test(JSON.stringify(line), () => {
      const before = 'Y: y\r\n';
      for (const at of [0, before.length]) {
        const { found, fields, next } = scan(`${before.slice(0, at)}${line}\r\n`, at);
        assert.deepEqual([found, fields], [END, [[name.length, value]]]);
        assert.equal(next, at + line.length + 2);
      }
      const taker: FieldTaker = {
        takes: (scanner) => {
          assert.ok(scanner.is(name.toLowerCase()), 'the name is compared without regard to case');
          assert.ok(!scanner.is(`${name.toLowerCase().slice(0, -1)}/`));
          return true;
        },
      };
      assert.equal(new FieldScanner().section(Buffer.from(line, 'latin1'), line, 0, 9, taker), INCOMPLETE);
    });
    test(`${JSON.stringify(line)} is incomplete at every shorter length`, () => {
      for (let length = 0; length < line.length; length++) {
        assert.deepEqual([scan(line.slice(0, length)).found, scan(line.slice(0, length)).fields], [INCOMPLETE, []]);
      }
    });
  }
});

describe('the end of the fields', () => {
  test('is an empty line', () => {
    const { found, next } = scan('X: y\r\n\r\nrest');
    assert.deepEqual([found, next], [END, 8]);
  });
  test('needs its LF', () => {
    assert.equal(scan('\r').found, INCOMPLETE);
    assert.equal(scan('').found, INCOMPLETE);
  });
});

test('octets behind the text are not read', () => {
  const bytes = Buffer.from('X: y\r\nZ: z\r\n\r\n');
  const scanner = new FieldScanner();
  for (let length = 0; length < bytes.length; length++) {
    const text = bytes.toString('latin1', 0, length);
    assert.equal(scanner.section(bytes, text, 0, 9, { takes: () => false }), INCOMPLETE, `at length ${length}`);
  }
});

describe('a malformed line is refused at every split that shows the fault', () => {
  // Each line is cut where the fault shows: its last octet is the wrong one.
  const table: readonly [why: string, line: string][] = [
    ['obs-fold by a space (RFC 9112 §5.2)', ' '],
    ['obs-fold by a tab', '\t'],
    ['no name (RFC 9110 §5.1)', ':'],
    ['a space before the colon (RFC 9112 §5.1)', 'X-A '],
    ['a tab before the colon', 'X-A\t'],
    ['no colon (RFC 9112 §5)', 'X-A\r'],
    ['no colon before a bare LF', 'X-A\n'],
    ['a bracket in the name', 'X['],
    ['obs-text in the name', 'X\xe9'],
    ['NUL in the name', 'X\0'],
    ['DEL in the name', 'X\x7f'],
    ['NUL in the value', 'X: a\0'],
    ['NUL as the value', 'X: \0'],
    ['BEL in the value', 'X: a\x07'],
    ['a vertical tab in the value', 'X: a\x0b'],
    ['a form feed in the value', 'X: a\x0c'],
    ['DEL in the value', 'X: a\x7f'],
    ['a bare LF after the value (RFC 9112 §2.2)', 'X: a\n'],
    ['a bare LF after the colon', 'X:\n'],
    ['a bare CR in the value', 'X: a\rb'],
    ['two CRs', 'X: a\r\r'],
    ['an empty line with a bare CR', '\rX'],
    ['an empty line with two CRs', '\r\r'],
    ['a bare LF for the empty line', '\n'],
  ];
  for (const [why, line] of table) {
    test(why, () => {
      for (let length = 0; length < line.length; length++) {
        assert.equal(scan(line.slice(0, length)).found, INCOMPLETE, `at length ${length}`);
      }
      assert.equal(scan(line).found, MALFORMED);
      assert.equal(scan(`${line}: v\r\n\r\n`).found, MALFORMED);
    });
  }
});

test('a scanner reads one line after the other and keeps nothing of the one before', () => {
  const text = 'Long-Name: a long value\r\nB:\r\nC: c\r\n\r\n';
  const { found, fields, next } = scan(text);
  assert.equal(found, END);
  assert.deepEqual(fields, [[9, 'a long value'], [1, ''], [1, 'c']]);
  assert.equal(next, text.length);
});

describe('withoutNominated removes the fields that Connection nominates (RFC 9110 §7.6.1)', () => {
  const block = 'X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-AB: 4\r\nContent-Length: 5\r\n';
  const table: readonly [connection: string, left: string][] = [
    ['close', block],
    ['', block],
    ['x-a', 'X-B: 2\r\nX-AB: 4\r\nContent-Length: 5\r\n'],
    ['X-A', 'X-B: 2\r\nX-AB: 4\r\nContent-Length: 5\r\n'],
    ['close, x-a ,\tX-B', 'X-AB: 4\r\nContent-Length: 5\r\n'],
    [',,x-ab,', 'X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nContent-Length: 5\r\n'],
    ['x-', block],
    ['x-a x-b', block],
    ['x-a;q=1', block],
    // Framing fields stay.
    ['content-length', block],
    ['Content-Length, x-a', 'X-B: 2\r\nX-AB: 4\r\nContent-Length: 5\r\n'],
  ];
  for (const [connection, left] of table) {
    test(JSON.stringify(connection), () => {
      assert.equal(withoutNominated(block, connection), left);
    });
  }
  test('an empty block', () => {
    assert.equal(withoutNominated('', 'x-a'), '');
  });
});

const FORWARDED = ['For', 'Host', 'Proto', 'Port', 'Client-Cert', ''].map((name) => `X-Forwarded-${name}`);

for (const filter of [requestTrailers, responseTrailers]) describe(`${filter.name} (RFC 9110 §6.5.1)`, () => {
  const forbidden = [
    // framing and routing
    'Content-Length', 'Transfer-Encoding', 'Host', 'Trailer', 'TE', 'Connection', 'Keep-Alive', 'Proxy-Connection',
    'Upgrade', 'Max-Forwards', 'Expect',
    // authentication and state
    'Authorization', 'Proxy-Authorization', 'Proxy-Authenticate', 'WWW-Authenticate', 'Cookie', 'Set-Cookie',
    // content format and control
    'Content-Encoding', 'Content-Type', 'Content-Range', 'Range', 'Cache-Control',
    'Forwarded', 'Via',
    // fields that an upstream that merges trailers into the head would take for the balancer's own
    ...(filter === requestTrailers ? FORWARDED : []),
  ];
  for (const name of forbidden) {
    test(`${name} is not passed on`, () => {
      // The last as CGI and its successors would read it (RFC 3875 §4.1.18).
      for (const spelled of [name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_')]) {
        assert.equal(filter(`X-A: 1\r\n${spelled}: v\r\nX-B: 2\r\n`), 'X-A: 1\r\nX-B: 2\r\n');
        assert.equal(filter(`${spelled}: v\r\n`), '');
        assert.equal(filter(`${spelled}:\r\n${spelled}:v\r\n`), '');
      }
    });
  }
  const allowed = [
    'Server-Timing', 'Digest', 'ETag', 'grpc-status', 'X-Host', 'Hos', 'Host-Name', 'Via-X', 'X-Forwarded',
    ...(filter === responseTrailers ? FORWARDED : []),
  ];
  for (const name of allowed) {
    test(`${name} is passed on unchanged`, () => {
      const block = `${name}:  v \r\n${name}:\r\n`;
      assert.equal(filter(block), block);
    });
  }
  test('no trailers stay none', () => {
    assert.equal(filter(''), '');
  });
});

describe('fieldPairs', () => {
  const table: readonly [block: string, pairs: readonly string[]][] = [
    ['', []],
    ['A: 1\r\n', ['A', '1']],
    ['A: 1\r\nb:2\r\nA:\r\n', ['A', '1', 'b', '2', 'A', '']],
    ['A: \t b:c, d \t \r\n', ['A', 'b:c, d']],
    ['A: caf\xe9\xa0\r\n', ['A', 'caf\xe9\xa0']],
  ];
  for (const [block, pairs] of table) {
    test(JSON.stringify(block), () => {
      assert.deepEqual(fieldPairs(block), pairs);
    });
  }
});

test('valueIn finds the first value of a field, in any case', () => {
  const block = 'X-A: 1\r\nx-a: 2\r\nX-AB:  3 \r\nB:\r\n\r\n';
  assert.deepEqual(['x-a', 'x-ab', 'b', 'c', 'x', 'x-a: 1'].map((name) => valueIn(block, name)),
    ['1', '3', '', undefined, undefined, undefined]);
  assert.equal(valueIn('', 'x-a'), undefined);
});
