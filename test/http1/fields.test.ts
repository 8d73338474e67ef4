import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  allowedTrailers, END, FIELD, fieldPairs, FieldScanner, INCOMPLETE, MALFORMED, withoutNominated,
} from '../../src/http1/fields.ts';

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
      const scanner = new FieldScanner();
      const before = 'Y: y\r\n';
      for (const at of [0, before.length]) {
        const text = `${before.slice(0, at)}${line}`;
        assert.equal(scanner.scan(text, at), FIELD);
        assert.equal(text.slice(scanner.nameStart, scanner.nameStart + scanner.nameLength), name);
        assert.equal(scanner.value(text), value);
        assert.ok(scanner.is(text, name.toLowerCase()), 'the name is compared without regard to case');
        assert.equal(scanner.next, text.length);
      }
    });
    test(`${JSON.stringify(line)} is incomplete at every shorter length`, () => {
      for (let length = 0; length < line.length; length++) {
        assert.equal(new FieldScanner().scan(line.slice(0, length), 0), INCOMPLETE, `at length ${length}`);
      }
    });
  }
});

describe('the end of the fields', () => {
  test('is an empty line', () => {
    const scanner = new FieldScanner();
    assert.equal(scanner.scan('X: y\r\n\r\nrest', 6), END);
    assert.equal(scanner.next, 8);
  });
  test('needs its LF', () => {
    assert.equal(new FieldScanner().scan('\r', 0), INCOMPLETE);
    assert.equal(new FieldScanner().scan('', 0), INCOMPLETE);
  });
});

describe('a malformed line is refused, and at every split that shows what is wrong', () => {
  // Each line stands as short as it shows: the last octet is the wrong one.
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
        assert.equal(new FieldScanner().scan(line.slice(0, length), 0), INCOMPLETE, `at length ${length}`);
      }
      assert.equal(new FieldScanner().scan(line, 0), MALFORMED);
      assert.equal(new FieldScanner().scan(`${line}: v\r\n\r\n`, 0), MALFORMED);
    });
  }
});

test('a scanner reads one line after the other and keeps nothing of the one before', () => {
  const text = 'Long-Name: a long value\r\nB:\r\nC: c\r\n\r\n';
  const scanner = new FieldScanner();
  const read: string[] = [];
  let at = 0;
  while (scanner.scan(text, at) === FIELD) {
    read.push(`${text.slice(scanner.nameStart, scanner.nameStart + scanner.nameLength)}=${scanner.value(text)}`);
    at = scanner.next;
  }
  assert.deepEqual(read, ['Long-Name=a long value', 'B=', 'C=c']);
  assert.equal(scanner.next, text.length);
});

describe('withoutNominated takes out what Connection nominates (RFC 9110 §7.6.1)', () => {
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
    // What frames the message stays.
    ['content-length', block],
    ['Content-Length, x-a', 'X-B: 2\r\nX-AB: 4\r\nContent-Length: 5\r\n'],
  ];
  for (const [connection, left] of table) {
    test(JSON.stringify(connection), () => {
      assert.equal(withoutNominated(block, connection), left);
    });
  }
  test('a block of nothing', () => {
    assert.equal(withoutNominated('', 'x-a'), '');
  });
});

describe('allowedTrailers (RFC 9110 §6.5.1)', () => {
  const forbidden = [
    // framing and routing
    'Content-Length', 'Transfer-Encoding', 'Host', 'Trailer', 'TE', 'Connection', 'Keep-Alive', 'Proxy-Connection',
    'Upgrade', 'Max-Forwards', 'Expect',
    // authentication and state
    'Authorization', 'Proxy-Authorization', 'Proxy-Authenticate', 'WWW-Authenticate', 'Cookie', 'Set-Cookie',
    // content format and control
    'Content-Encoding', 'Content-Type', 'Content-Range', 'Range', 'Cache-Control',
    // what a receiver that merges trailers into the head would take for the balancer's own
    'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Forwarded', 'Via',
  ];
  for (const name of forbidden) {
    test(`${name} does not pass on`, () => {
      // The last as CGI and its heirs would read it (RFC 3875 §4.1.18).
      for (const spelled of [name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_')]) {
        assert.equal(allowedTrailers(`X-A: 1\r\n${spelled}: v\r\nX-B: 2\r\n`), 'X-A: 1\r\nX-B: 2\r\n');
        assert.equal(allowedTrailers(`${spelled}: v\r\n`), '');
        assert.equal(allowedTrailers(`${spelled}:\r\n${spelled}:v\r\n`), '');
      }
    });
  }
  for (const name of ['Server-Timing', 'Digest', 'ETag', 'grpc-status', 'X-Host', 'Hos', 'Host-Name', 'Via-X']) {
    test(`${name} passes on as it came`, () => {
      const block = `${name}:  v \r\n${name}:\r\n`;
      assert.equal(allowedTrailers(block), block);
    });
  }
  test('none stay none', () => {
    assert.equal(allowedTrailers(''), '');
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
