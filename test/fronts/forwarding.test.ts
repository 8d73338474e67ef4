import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked, type Head } from '../support/message.ts';
import { echo, response, startUpstream } from '../support/upstream.ts';

const FORGED = 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil.test\r\n'
  + 'Forwarded: for=6.6.6.6\r\nVia: 1.1 evil\r\n';
const NOMINATED = 'Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, Host, Cookie\r\n'
  + 'Cookie: a=b\r\n';

interface Case {
  readonly name: string;
  readonly options?: Partial<TestOptions>;
  readonly fields?: string;
  /** The exact fields that the upstream gets. */
  readonly expected: Readonly<Record<string, string | undefined>>;
}

const PLAIN = {
  host: 'example.test',
  'x-forwarded-for': '127.0.0.1',
  'x-forwarded-proto': 'http',
  'x-forwarded-host': 'example.test',
  forwarded: undefined,
  via: '1.1 equipoise',
};

const CASES: readonly Case[] = [
  { name: 'who asked is told', expected: PLAIN },
  { name: 'what a downstream says of others is replaced', fields: FORGED, expected: PLAIN },
  {
    name: 'what reads like it for who takes _ for - is not passed on',
    fields: 'X_Forwarded_For: 6.6.6.6\r\nX_Forwarded_Proto: gopher\r\nx-forwarded_host: evil.test\r\n',
    expected: {
      ...PLAIN, x_forwarded_for: undefined, x_forwarded_proto: undefined, 'x-forwarded_host': undefined,
    },
  },
  { name: 'nothing of it can be nominated away', fields: NOMINATED, expected: { ...PLAIN, cookie: undefined } },
  {
    name: 'what a trusted downstream says is added to',
    options: { trustForwarded: true },
    fields: FORGED,
    expected: {
      ...PLAIN,
      'x-forwarded-for': '6.6.6.6, 127.0.0.1',
      'x-forwarded-proto': 'gopher',
      'x-forwarded-host': 'evil.test',
      forwarded: 'for=6.6.6.6',
      via: '1.1 evil, 1.1 equipoise',
    },
  },
  {
    name: 'trust may depend on the address',
    options: { trustForwarded: (address) => address === '127.0.0.1' },
    fields: 'X-Forwarded-For: 6.6.6.6\r\n',
    expected: { ...PLAIN, 'x-forwarded-for': '6.6.6.6, 127.0.0.1' },
  },
  {
    name: 'trust may depend on the address, and be denied',
    options: { trustForwarded: (address) => address !== '127.0.0.1' },
    fields: 'X-Forwarded-For: 6.6.6.6\r\n',
    expected: PLAIN,
  },
  {
    name: 'Forwarded on request',
    options: { forwarded: true },
    expected: { ...PLAIN, forwarded: 'for=127.0.0.1;host="example.test";proto=http' },
  },
  { name: 'no Via on request', options: { via: false }, expected: { ...PLAIN, via: undefined } },
  { name: 'another Via on request', options: { via: 'edge-1' }, expected: { ...PLAIN, via: '1.1 edge-1' } },
];

/** Ways to nominate fields: a proxy drops nominated fields (RFC 9110 §7.6.1). */
const NOMINATIONS: readonly (readonly [name: string, connection: (names: readonly string[]) => string])[] = [
  ['in one list', (names) => `Connection: ${names.join(', ')}\r\n`],
  ['in lower case', (names) => `connection: ${names.join(', ').toLowerCase()}\r\n`],
  ['in capitals', (names) => `CONNECTION: ${names.join(', ').toUpperCase()}\r\n`],
  ['in a tight list', (names) => `Connection:${names.join(',')}\r\n`],
  ['in a loose list', (names) => `Connection: ,${names.join(' ,\t, ')},\r\n`],
  ['with a line for each', (names) => names.map((name) => `Connection: ${name}\r\n`).join('')],
  ['behind keep-alive', (names) => `Connection: keep-alive, ${names.join(', ')}\r\n`],
  ['before close', (names) => `Connection: ${names.join(', ')}, close\r\n`],
  ['behind close, in another line', (names) => `Connection: close\r\nConnection: ${names.join(', ')}\r\n`],
  ['with an upgrade', (names) => `Connection: upgrade, ${names.join(', ')}\r\nUpgrade: raw\r\n`],
];
const OURS = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'Forwarded', 'Via', 'Host'];

function shown(head: Head | undefined, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, head?.get(name)]));
}

for (const front of FRONTS) {
  describe(`what an upstream receives through ${front.name}`, () => {
    for (const { name, options, fields = '', expected } of CASES) {
      test(name, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front, ...options });
        await (await under.connect()).exchange(get('/', fields));
        assert.deepEqual(shown(upstream.requests[0]?.head, Object.keys(expected)), expected);
      });
    }

    for (const [name, connection] of NOMINATIONS) {
      const forged = FORGED.replace('gopher', 'https');
      const told = { ...PLAIN, forwarded: 'for=127.0.0.1;host="example.test";proto=http', 'x-mine': undefined };
      const added = {
        ...told,
        'x-forwarded-for': '6.6.6.6, 127.0.0.1',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'evil.test',
        forwarded: `for=6.6.6.6, ${told.forwarded}`,
        via: '1.1 evil, 1.1 equipoise',
      };
      for (const [whom, trustForwarded, expected] of [['all', false, told], ['the trusted', true, added]] as const) {
        test(`none of it can be nominated away ${name}, by ${whom}`, async (t) => {
          const upstream = await startUpstream(t, echo);
          const under = await startBalancer(t, { upstreams: [upstream], front, forwarded: true, trustForwarded });
          const fields = `X-Mine: 1\r\n${forged}${connection([...OURS, 'X-Mine'])}`;
          assert.equal((await (await under.connect()).exchange(get('/', fields))).text, '/');
          assert.deepEqual(shown(upstream.requests[0]?.head, Object.keys(expected)), expected);
        });
      }

      for (const [framing, bytes, field] of [
        ['a length', post('/', 'hello', connection(['Content-Length', 'Transfer-Encoding'])), 'content-length'],
        ['chunks', `${get('/', `${connection(['Content-Length', 'Transfer-Encoding'])}Transfer-Encoding: chunked\r\n`,
          'POST')}${String(chunked('hello'))}`, 'transfer-encoding'],
      ] as const) {
        test(`${framing} cannot be nominated away ${name}`, async (t) => {
          const upstream = await startUpstream(t, echo);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          assert.equal((await (await under.connect()).exchange(bytes)).text, '/');
          assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
          assert.equal(upstream.requests[0].head.all(field).length, 1);
        });
      }
    }

    test('with changeOrigin, its own Host, and the original one', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, changeOrigin: true });
      await (await under.connect()).exchange(get());
      const { head } = upstream.requests[0] ?? {};
      assert.equal(head?.get('host'), `127.0.0.1:${upstream.port}`);
      assert.equal(head.get('x-forwarded-host'), 'example.test');
    });

    test('HTTP/1.0 without a Host: its own', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      await (await under.connect()).exchange('GET / HTTP/1.0\r\n\r\n');
      const { head } = upstream.requests[0] ?? {};
      assert.equal(head?.get('host'), `127.0.0.1:${upstream.port}`);
      assert.equal(head.get('x-forwarded-host'), undefined);
      assert.equal(head.get('via'), '1.0 equipoise');
      assert.equal(head.line, 'GET / HTTP/1.1');
    });

    test('a target in absolute form decides on the host (RFC 9112 §3.2.2)', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange('GET http://other.test/a?b HTTP/1.1\r\nHost: example.test\r\n\r\n');
      const { head } = upstream.requests[0] ?? {};
      assert.equal(head?.line, 'GET /a?b HTTP/1.1');
      assert.equal(head.get('host'), 'other.test');
      assert.equal(head.get('x-forwarded-host'), 'other.test');
    });

    test('fields are passed on in order, unchanged', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const fields = 'aCCept:  text/html ,x \r\nX-One: 1\r\nCookie: a=b\r\nX-One: 2\r\nCookie: c=d\r\nX-Empty:\r\n';
      await (await under.connect()).exchange(get('/', fields));
      const names = new Set(['accept', 'x-one', 'cookie', 'x-empty']);
      assert.deepEqual(upstream.requests[0]?.head.fields.filter(([name]) => names.has(name.toLowerCase())), [
        ['aCCept', 'text/html ,x'], ['X-One', '1'], ['Cookie', 'a=b'], ['X-One', '2'], ['Cookie', 'c=d'],
        ['X-Empty', ''],
      ]);
    });

    test('a trustForwarded that throws trusts no address, and is reported', async (t) => {
      const upstream = await startUpstream(t, echo);
      const cause = new Error('no such list');
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front,
        trustForwarded: () => {
          throw cause;
        },
      });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/a', FORGED))).text, '/a');
      assert.deepEqual(shown(upstream.requests[0]?.head, Object.keys(PLAIN)), PLAIN);
      assert.equal(under.errors[0]?.cause, cause);
    });
  });

  describe(`what a downstream receives through ${front.name}`, () => {
    test('fields are passed on in order, unchanged', async (t) => {
      const fields = 'X-One: 1\r\nSet-Cookie: a=b\r\nx-two: 2\r\nSet-Cookie: c=d\r\nX-Empty:\r\nServer: x\r\n';
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
        peer.send(response('', `Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n${fields}`, '200 Fine by me'));
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const { head } = await (await under.connect()).exchange(get());
      assert.equal(head.line, 'HTTP/1.1 200 Fine by me');
      assert.equal(head.get('date'), 'Sun, 06 Nov 1994 08:49:37 GMT');
      const names = new Set(['x-one', 'set-cookie', 'x-two', 'x-empty', 'server']);
      assert.deepEqual(head.fields.filter(([name]) => names.has(name.toLowerCase())), [
        ['X-One', '1'], ['Set-Cookie', 'a=b'], ['x-two', '2'], ['Set-Cookie', 'c=d'], ['X-Empty', ''],
        ['Server', 'x'],
      ]);
    });

    test('a Date where the upstream has none (RFC 9110 §6.6.1)', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const { head } = await (await under.connect()).exchange(get());
      assert.match(head.get('date') ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
      assert.equal(head.all('date').length, 1);
    });

    test('statuses and reasons unchanged', async (t) => {
      const lines = ['200 OK', '299 ', '404 Nicht gefunden', '500 \xe9', '599 x', '600 y', '999 z'];
      const upstream = await startUpstream(t, async (peer) => {
        for (const line of lines) {
          await peer.request();
          peer.send(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`);
        }
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      for (const line of lines) assert.equal((await client.exchange(get())).head.line, `HTTP/1.1 ${line}`);
    });
  });
}
