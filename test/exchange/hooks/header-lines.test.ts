import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeaderLines } from '../../../src/exchange/hooks/header-lines.ts';
import { RequestHead } from '../../../src/http1/request.ts';
import { ResponseHead } from '../../../src/http1/response.ts';
import type { Side } from '../../../src/options/header-rules.ts';
import { seededRandom, testSeed } from '../../../src/testing/random.ts';
import { LIMITS, oneOf } from '../../http1/heads.ts';

/** The headers of a request with these lines, as a hook gets them. */
function ofRequest(
  lines: readonly string[], trusted = false, method = 'GET',
): { head: RequestHead; headers: HeaderLines } {
  const came = lines.map((line) => `${line}\r\n`).join('');
  const text = `${method} / HTTP/1.1\r\n${came}\r\n`;
  const head = new RequestHead();
  assert.equal(head.parse(Buffer.from(text, 'latin1'), text.length, LIMITS), text.length, text);
  return { head, headers: new HeaderLines('request', came, head.fields, trusted) };
}

function ofResponse(lines: readonly string[], status = 200): { head: ResponseHead; headers: HeaderLines } {
  const came = lines.map((line) => `${line}\r\n`).join('');
  const text = `HTTP/1.1 ${status} OK\r\n${came}\r\n`;
  const head = new ResponseHead();
  assert.equal(head.parse(Buffer.from(text, 'latin1'), text.length, 'GET', LIMITS), text.length, text);
  return { head, headers: new HeaderLines('response', came, head.fields) };
}

const sentLines = (headers: HeaderLines): string[] => headers.sent.split('\r\n').slice(0, -1);

describe('reading', () => {
  const { headers } = ofRequest([
    'Host: a.example', 'X-One:  1 \t', 'Cookie: a=1', 'x-one: 2', 'X-Empty:', 'Content-Length: 3', 'X-Octets: caf\xe9',
  ]);
  test('get joins the lines of a name, in whatever case, and is null without one', () => {
    assert.equal(headers.get('x-ONE'), '1, 2');
    assert.equal(headers.get('x-empty'), '');
    assert.equal(headers.get('x-octets'), 'caf\xe9');
    assert.equal(headers.get('x-on'), null);
    assert.equal(headers.get('x-one-more'), null);
  });
  test('headers that cannot be written can be read', () => {
    assert.equal(headers.get('content-length'), '3');
    assert.equal(headers.get('host'), 'a.example');
    assert.equal(headers.has('Content-Length'), true);
  });
  test('iteration gives the lines in order, names as they came', () => {
    const lines = [
      ['Host', 'a.example'], ['X-One', '1'], ['Cookie', 'a=1'], ['x-one', '2'], ['X-Empty', ''],
      ['Content-Length', '3'], ['X-Octets', 'caf\xe9'],
    ];
    assert.deepEqual([...headers], lines);
    assert.deepEqual([...headers.entries()], lines);
    assert.deepEqual([...headers.keys()], lines.map(([name]) => name));
    assert.deepEqual([...headers.values()], lines.map(([, value]) => value));
    const seen: string[][] = [];
    const self = {};
    headers.forEach(function (this: unknown, value, name, all) {
      assert.equal(this, self);
      assert.equal(all, headers);
      seen.push([name, value]);
    }, self);
    assert.deepEqual(seen, lines);
  });
  test('they fill a Headers of WHATWG', () => {
    assert.equal(new Headers([...headers]).get('x-one'), '1, 2');
  });
  test('nothing is edited by it', () => {
    assert.equal(headers.edited, false);
  });
});

test('Set-Cookie is read line by line', () => {
  const { headers } = ofResponse(['Set-Cookie: a=1', 'X: y', 'set-cookie: b=2', 'Set-Cookie2: c']);
  assert.deepEqual(headers.getSetCookie(), ['a=1', 'b=2']);
  headers.append('Set-Cookie', 'd=4');
  assert.deepEqual(headers.getSetCookie(), ['a=1', 'b=2', 'd=4']);
});

describe('editing', () => {
  test('set replaces the first line, removes the others, and leaves all else as it came', () => {
    const { headers } = ofRequest(['Host: a', 'B:  1', 'x-A: 1', 'b: 2', 'X-a: 2', 'C: 3 ']);
    headers.set('X-A', 'new');
    assert.deepEqual(sentLines(headers), ['B:  1', 'X-A: new', 'b: 2', 'C: 3 ']);
    assert.deepEqual([...headers.keys()], ['Host', 'B', 'X-A', 'b', 'C']);
    assert.equal(headers.edited, true);
  });
  test('set adds a line where there is none', () => {
    const { headers } = ofRequest(['Host: a', 'B: 1']);
    headers.set('x-user', 'alice');
    assert.deepEqual(sentLines(headers), ['B: 1', 'x-user: alice']);
  });
  test('append adds behind all others, delete removes all', () => {
    const { headers } = ofRequest(['X-A: 1', 'Host: a', 'B: 1', 'x-a: 2']);
    headers.append('x-a', '3');
    assert.equal(headers.get('x-a'), '1, 2, 3');
    headers.delete('X-A');
    assert.deepEqual(sentLines(headers), ['B: 1']);
    assert.equal(headers.has('x-a'), false);
  });
  test('a change in the middle of an iteration does not disturb it', () => {
    const { headers } = ofRequest(['Host: a', 'B: 1', 'C: 2']);
    for (const [name] of headers) if (name !== 'Host') headers.delete(name);
    for (const [, value] of headers) headers.append('x', value);
    assert.deepEqual(sentLines(headers), ['x: a']);
  });
  test('numbers and booleans are written as text, white space around a value goes', () => {
    const { headers } = ofRequest(['Host: a']);
    headers.set('x-n', 5);
    headers.set('x-b', true);
    headers.set('x-s', ' \t v w\r\n');
    headers.set('x-e', '');
    headers.set('x-o', '\x80\xff\t!');
    assert.deepEqual(sentLines(headers), ['x-n: 5', 'x-b: true', 'x-s: v w', 'x-e: ', 'x-o: \x80\xff\t!']);
  });
  test('Host can be set, for its own place', () => {
    const { headers } = ofRequest(['B: 1', 'Host: a', 'C: 1']);
    headers.set('Host', 'b.example:8080');
    assert.equal(headers.host, 'b.example:8080');
    assert.deepEqual([...headers], [['B', '1'], ['Host', 'b.example:8080'], ['C', '1']]);
    assert.deepEqual(sentLines(headers), ['B: 1', 'C: 1']);
    assert.throws(() => { headers.set('host', 'user@b'); }, /header "host" must be a host, such as a.example/);
    assert.equal(headers.host, 'b.example:8080');
  });
  test('a response can be sent without its length', () => {
    const { headers } = ofResponse(['A: 1', 'Content-Length: 3', 'B: 1']);
    assert.equal(headers.sentWithoutLength, 'A: 1\r\nB: 1\r\n');
    assert.equal(headers.get('content-length'), '3');
  });
});

describe('what poses as a header for an upstream that takes _ for -', () => {
  test('goes with the header of a request', () => {
    const { headers } = ofRequest(['Host: a', 'X_User: mallory', 'x-user: mallory', 'X_UserX: 1', 'X-Users: 2']);
    headers.set('X-User', 'alice');
    assert.deepEqual(sentLines(headers), ['X-User: alice', 'X_UserX: 1', 'X-Users: 2']);
    headers.append('x_user', 'b');
    headers.delete('X-USER');
    assert.deepEqual(sentLines(headers), ['X_UserX: 1', 'X-Users: 2']);
    assert.deepEqual([...headers.keys()], ['Host', 'X_UserX', 'X-Users']);
  });
  test('is another header in a response', () => {
    const { headers } = ofResponse(['X_User: 1', 'X-User: 2']);
    headers.delete('x-user');
    assert.deepEqual(sentLines(headers), ['X_User: 1']);
  });
});

describe('what the balancer does not pass on is not there', () => {
  const lines = [
    'Host: a', 'X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Port: 1', 'Forwarded: for=6.6.6.6', 'X_Forwarded_For: 1',
    'Connection: x-secret, close', 'X-Secret: s', 'Via: 1.1 other', 'A: 1',
  ];
  test('of an untrusted downstream', () => {
    const { headers } = ofRequest(lines);
    assert.deepEqual([...headers.keys()], ['Host', 'Connection', 'Via', 'A']);
    headers.append('x-secret', 'mine');
    assert.equal(headers.get('x-secret'), 'mine');
    assert.deepEqual(sentLines(headers), ['A: 1', 'x-secret: mine']);
  });
  test('of a trusted one, its forwarding headers are', () => {
    const { headers } = ofRequest(lines, true);
    assert.deepEqual([...headers.keys()], [
      'Host', 'X-Forwarded-For', 'X-Forwarded-Port', 'Forwarded', 'Connection', 'Via', 'A',
    ]);
  });
});

describe('a forwarding header that a hook writes or deletes is the hook\'s', () => {
  const own = 'X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\nVia: 1.1 us\r\n';
  test('the balancer adds none', () => {
    const { headers } = ofRequest(['Host: a', 'X-Forwarded-For: 6.6.6.6']);
    assert.equal(headers.withoutTaken(own), own);
    headers.set('X-Forwarded-For', '2.2.2.2');
    assert.deepEqual(sentLines(headers), ['X-Forwarded-For: 2.2.2.2']);
    assert.equal(headers.withoutTaken(own), 'X-Forwarded-Proto: http\r\nVia: 1.1 us\r\n');
    headers.delete('x-forwarded-proto');
    assert.equal(headers.withoutTaken(own), 'Via: 1.1 us\r\n');
  });
  test('also by a name that poses as it', () => {
    const { headers } = ofRequest(['Host: a', 'X-Forwarded-For: 6.6.6.6'], true);
    headers.append('x_forwarded_for', '2.2.2.2');
    assert.deepEqual(sentLines(headers), ['X-Forwarded-For: 6.6.6.6', 'x_forwarded_for: 2.2.2.2']);
    assert.equal(headers.withoutTaken(own), 'X-Forwarded-Proto: http\r\nVia: 1.1 us\r\n');
  });
  test('append adds to what a trusted downstream sent', () => {
    const { headers } = ofRequest(['Host: a', 'X-Forwarded-For: 6.6.6.6', 'B: 1'], true);
    headers.append('X-Forwarded-For', '2.2.2.2');
    headers.append('X-Forwarded-For', '3.3.3.3');
    assert.equal(headers.get('x-forwarded-for'), '6.6.6.6, 2.2.2.2, 3.3.3.3');
    assert.deepEqual(sentLines(headers).sort(), [
      'B: 1', 'X-Forwarded-For: 2.2.2.2', 'X-Forwarded-For: 3.3.3.3', 'X-Forwarded-For: 6.6.6.6',
    ]);
  });
  test('a write that throws takes nothing over', () => {
    const { headers } = ofRequest(['Host: a']);
    assert.throws(() => { headers.set('x-forwarded-for', 'a\nb'); });
    assert.equal(headers.withoutTaken(own), own);
  });
  test('in a response they are headers like others', () => {
    const { headers } = ofResponse(['X-Forwarded-For: 1', 'Via: 1.1 up']);
    headers.delete('via');
    headers.set('x-forwarded-for', 2);
    assert.deepEqual(sentLines(headers), ['x-forwarded-for: 2']);
  });
});

describe('what throws, at once, naming the header and what to do instead', () => {
  const of = (side: Side): HeaderLines => (side === 'request' ? ofRequest(['Host: a']) : ofResponse([])).headers;
  const framing = ['content-length', 'transfer-encoding'];
  const connection = ['connection', 'keep-alive', 'te', 'upgrade', 'proxy-connection', 'trailer'];
  const both = [...framing, ...connection];
  const more = ['http2-settings', 'expect', 'max-forwards', 'via', 'content_length', 'transfer_encoding', 'keep_alive'];
  for (const side of ['request', 'response'] as const) {
    for (const name of side === 'request' ? [...both, ...more] : both) {
      test(`${name} of a ${side}`, () => {
        const headers = of(side);
        const shape = new RegExp(`^TypeError: header "${name}" cannot be changed: it .+[;,] .+$`);
        assert.throws(() => { headers.set(name.toUpperCase(), 'x'); }, shape);
        assert.throws(() => { headers.append(name, 'x'); }, shape);
        assert.throws(() => { headers.delete(name); }, shape);
        assert.equal(headers.edited, false);
      });
    }
  }
  test('a second Host, and none', () => {
    const message = /"host" cannot be changed: it must be there exactly once/;
    assert.throws(() => { of('request').append('host', 'b'); }, message);
    assert.throws(() => { of('request').delete('Host'); }, /use set/);
  });
  const values: readonly [value: unknown, message: RegExp][] = [
    ['a\r\nb: c', /header "x" must not hold line ends \(got \\u000d at 1\)/],
    ['a\nb', /must not hold line ends \(got \\u000a at 1\)/],
    ['a\0', /must not hold control characters \(got \\u0000 at 1\)/],
    ['\x7f', /must not hold control characters/],
    ['\x01', /must not hold control characters/],
    ['snow \u2603', /must hold characters up to \\u00ff \(got \\u2603 at 5\); write others as octets/],
    ['\u010a', /must hold characters up to/],
    [undefined, /header "x" must be a string \(got undefined\); to remove a header, call delete/],
    [null, /must be a string \(got null\)/],
    [['a', 'b'], /must be a string \(got \["a","b"\]\); call append for each value/],
    [Symbol('s'), /must be a string \(got Symbol\(s\)\)/],
    [{ toString: () => 'x' }, /must be a string/],
  ];
  for (const [value, message] of values) {
    test(`the value ${String(value)}`, () => {
      for (const side of ['request', 'response'] as const) {
        const headers = of(side);
        assert.throws(() => { headers.set('x', value as string); }, message);
        assert.throws(() => { headers.append('x', value as string); }, message);
        assert.equal(headers.sent, '');
      }
    });
  }
  for (const name of ['', 'a b', 'a:', 'a\r\n', 'caf\xe9', '\u212aey', 'a\0', undefined, 5, Symbol('s')]) {
    test(`the name ${String(name)}`, () => {
      const headers = of('request');
      const given = name as string;
      const all = [
        () => headers.get(given), () => headers.has(given), () => { headers.set(given, 'x'); },
        () => { headers.append(given, 'x'); }, () => { headers.delete(given); },
      ];
      for (const call of all) assert.throws(call, /^TypeError: a header name must be a token such as 'x-user' \(got /);
    });
  }
  test('a head that has left', () => {
    const { headers } = ofRequest(['Host: a', 'B: 1']);
    headers.seal('the request was sent; set headers in onRequest');
    const message = /header "x" cannot be changed: the request was sent; set headers in onRequest/;
    assert.throws(() => { headers.set('x', '1'); }, message);
    assert.throws(() => { headers.append('X', '1'); }, message);
    assert.throws(() => { headers.delete('x'); }, message);
    assert.equal(headers.get('b'), '1');
  });
});

/** Names that no head treats in a way of its own. */
const PLAIN = ['a', 'A', 'x-a', 'X-A', 'x-b', 'cookie', 'set-cookie', 'Set-Cookie', 'accept', 'content-type', 'x-ab'];
const VALUES = ['', '1', 'a, b', '\xe9\xff', 'x  y', ' padded ', '\t', 'a=1; b', '"q"'];
/** Names that the parser takes, or drops. */
const TAKEN = [
  'Keep-Alive: timeout=5', 'Proxy-Connection: x', 'X-Forwarded-For: 1', 'Forwarded: for=1', 'Via: 1.0 x',
  'X-Forwarded-Foo: 1', 'TE: trailers', 'HTTP2-Settings: x', 'Connection: x-a', 'Connection: keep-alive, X-B',
  'Upgrade: websocket', 'Content-Length: 3', 'Max-Forwards: 3', 'X_Forwarded_For: 2', 'Expect: 100-continue',
];

test('as WHATWG\'s Headers, over drawn heads and edits', () => {
  const seed = testSeed();
  const rng = seededRandom(seed);
  for (let round = 0; round < 3_000; round++) {
    const lines = Array.from({ length: Math.floor(rng() * 8) }, () => `${oneOf(PLAIN, rng)}: ${oneOf(VALUES, rng)}`);
    const side: Side = rng() < 0.5 ? 'request' : 'response';
    const { headers } = side === 'request' ? ofRequest(['Host: h', ...lines]) : ofResponse(lines);
    const model = new Headers([...headers]);
    const at = `seed ${seed}, round ${round}: ${JSON.stringify(lines)}`;
    for (let step = 0; step < 6; step++) {
      const name = oneOf(PLAIN, rng);
      const value = oneOf(VALUES, rng);
      const draw = rng();
      if (draw < 0.4) [headers, model].forEach((one) => { one.set(name, value); });
      else if (draw < 0.7) [headers, model].forEach((one) => { one.append(name, value); });
      else [headers, model].forEach((one) => { one.delete(name); });
      // What a hook sees must not depend on when it looks.
      if (rng() < 0.7) continue;
      for (const each of [...PLAIN, 'host', 'absent']) {
        assert.equal(headers.get(each), model.get(each), `${at}, get ${each}`);
        assert.equal(headers.has(each), model.has(each), `${at}, has ${each}`);
      }
      assert.deepEqual(headers.getSetCookie(), model.getSetCookie(), at);
    }
    for (const each of PLAIN) assert.equal(headers.get(each), model.get(each), `${at}, get ${each}`);
    // The same again from what is sent: what a hook sees of headers that it may write is what leaves.
    const seen = [...headers].filter(([name]) => name !== 'Host');
    const sent = sentLines(headers).map((line) => /^([^:]*):[ \t]*(.*?)[ \t]*$/.exec(line)?.slice(1));
    assert.deepEqual(sent, seen, at);
  }
});

test('what is not edited leaves as it came, over drawn heads with all that the parser takes', () => {
  const seed = testSeed();
  const rng = seededRandom(seed);
  let taken = 0;
  for (let round = 0; round < 3_000; round++) {
    const drawn = new Set<string>();
    for (let i = Math.floor(rng() * 10); i > 0; i--) {
      drawn.add(rng() < 0.4 ? oneOf(TAKEN, rng) : `${oneOf(PLAIN, rng)}:${oneOf(VALUES, rng)}`);
    }
    const lines = ['Host: h', ...drawn];
    const at = `seed ${seed}, round ${round}: ${JSON.stringify(lines)}`;
    const method = oneOf(['GET', 'OPTIONS'], rng);
    const { head, headers } = ofRequest(lines, rng() < 0.5, method);
    const before = head.fields;
    for (const line of before.split('\r\n').slice(0, -1)) {
      const name = line.slice(0, line.indexOf(':'));
      assert.ok(headers.has(name), `${at}, ${name}`);
    }
    headers.set('x-new', 'v');
    assert.equal(headers.sent, `${before}x-new: v\r\n`, at);
    headers.delete('X-New');
    assert.equal(headers.sent, before, at);
    // What is seen beyond what is sent is in its place, and cannot be written.
    const names = [...headers.keys()];
    let place = 0;
    for (const name of names) {
      place = lines.findIndex((line, i) => i >= place && line.startsWith(`${name}:`));
      assert.ok(place >= 0, `${at}, ${names.join()}`);
      place++;
    }
    taken += names.length - sentLines(headers).length;
  }
  assert.ok(taken > 3_000, 'few heads had anything that cannot be written');
});
