import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Broken } from '../support/message.ts';
import { close, head, request, reset, type Step, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** What the upstream has sent when it goes away, and the code of the failure. */
const BEFORE_THE_HEAD: readonly (readonly [name: string, sent: string, code: string, type: string])[] = [
  ['without a byte', '', 'UPSTREAM_CLOSED', 'connection_terminated'],
  ['in the middle of the status line', 'HTTP/1.1 2', 'RESPONSE_INCOMPLETE', 'http_response_incomplete'],
  ['in the middle of the fields', 'HTTP/1.1 200 OK\r\nContent-Len', 'RESPONSE_INCOMPLETE', 'http_response_incomplete'],
  ['before the empty line', 'HTTP/1.1 200 OK\r\nX: y\r\n', 'RESPONSE_INCOMPLETE', 'http_response_incomplete'],
];
const AFTER_THE_HEAD: readonly (readonly [name: string, sent: string])[] = [
  ['right behind the head', LENGTH],
  ['in the middle of a body', `${LENGTH}hello`],
  ['one byte short', `${LENGTH}hello wor`],
  ['right behind the head of a chunked body', CHUNKED],
  ['in the middle of a chunk size', `${CHUNKED}a`],
  ['in the middle of a chunk', `${CHUNKED}a\r\nhello`],
  ['behind the data of a chunk', `${CHUNKED}5\r\nhello`],
  ['between two chunks', `${CHUNKED}5\r\nhello\r\n`],
  ['in the middle of the last chunk', `${CHUNKED}5\r\nhello\r\n0\r\n`],
  ['in the middle of the trailers', `${CHUNKED}5\r\nhello\r\n0\r\nX-Sum: 5\r\n`],
];
const WAYS = { closes: close, resets: reset } as const;

for (const front of FRONTS) {
  for (const [way, go] of Object.entries(WAYS) as ['closes' | 'resets', Step][]) {
    describe(`an upstream that ${way} in the middle of an exchange through ${front.name}`, () => {
      for (const [name, sent, code, type] of BEFORE_THE_HEAD) {
        test(`${name}: 502`, async (t) => {
          const sentAll = gate();
          const upstream = await startUpstream(t, [[request, sent, when(sentAll.opened), go]]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          client.send(get());
          await upstream.saw('1 GET /');
          sentAll.open();
          const answer = await client.response();
          assert.equal(answer.status, 502);
          // A reset may overtake what was sent before it: the upstream's kernel throws it away.
          const types = way === 'resets' ? [type, 'connection_terminated'] : [type];
          const said = answer.head.get('proxy-status')?.replace('equipoise; error=', '');
          assert.ok(types.includes(said ?? ''), said);
          assert.equal(under.picks.length, 1, 'it may have been processed, so it is not sent again');
          assert.equal(under.outcomes[0]?.ok, false);
          if (way === 'closes') assert.deepEqual(under.reports, [`${code} at ${upstream.origin}`]);
          // The request was complete: its connection can serve another.
          assert.notEqual(answer.head.get('connection'), 'close');
        });
      }

      for (const [name, sent] of AFTER_THE_HEAD) {
        test(`${name}: the response is cut`, async (t) => {
          const read = gate();
          const upstream = await startUpstream(t, [[request, sent, when(read.opened), go]]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          client.send(get());
          const headText = await client.inbox.until('\r\n\r\n');
          assert.match(headText, /^HTTP\/1\.1 200 OK\r\n/);
          read.open();
          const rest = await client.inbox.rest().catch((cause: unknown) => {
            if (cause instanceof Broken) return Buffer.alloc(0);
            throw cause;
          });
          // Never a fake ending.
          assert.ok(!rest.toString('latin1').includes('0\r\n\r\n'), 'the response was ended as if it were whole');
          await under.settled(1);
          assert.equal(under.outcomes[0]?.ok, false);
          assert.equal(under.outcomes[0].status, 200);
          assert.deepEqual(under.reports, [`RESPONSE_INCOMPLETE at ${upstream.origin}`]);
          assert.equal(under.balancer.upstreams[0]?.failures, 1);
        });

        if (!sent.startsWith(CHUNKED)) continue;
        test(`${name}: an HTTP/1.0 downstream can tell only by a reset`, async (t) => {
          const read = gate();
          const upstream = await startUpstream(t, [[request, sent, when(read.opened), go]]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          client.send('GET / HTTP/1.0\r\n\r\n');
          await client.inbox.until('\r\n\r\n');
          read.open();
          assert.equal(await client.over(), 'reset');
        });
      }

      test('in the middle of an upload: 502', async (t) => {
        const sentAll = gate();
        const upstream = await startUpstream(t, [[head, when(sentAll.opened), go]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/', 'Content-Length: 1000\r\n', 'POST')).send('some');
        await upstream.saw('1 POST /');
        sentAll.open();
        const answer = await client.response();
        assert.equal(answer.status, 502);
        assert.equal(under.picks.length, 1);
        // What is left of the upload cannot be told from a request.
        assert.equal(answer.head.get('connection'), 'close');
      });

      test('in the middle of an upload, after the head of its response: the response is cut', async (t) => {
        const read = gate();
        const upstream = await startUpstream(t, [[head, LENGTH, when(read.opened), go]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/', 'Content-Length: 1000\r\n', 'POST')).send('some');
        await client.head();
        read.open();
        await assert.rejects(client.inbox.exactly(10), { name: 'Broken' });
      });

      test('after an interim response: 502, and no second attempt', async (t) => {
        const read = gate();
        const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n';
        const upstream = await startUpstream(t, [[request, hints, when(read.opened), go]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get());
        assert.match((await client.head()).line, /103/);
        read.open();
        assert.equal((await client.response()).status, 502);
        assert.equal(under.picks.length, 1);
      });
    });
  }

  test(`through ${front.name} a body until close that is reset is cut`, async (t) => {
    for (const [version, expected] of [['1.1', undefined], ['1.0', 'reset']] as const) {
      const read = gate();
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\n\r\nhello', when(read.opened), reset]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
      await client.inbox.until('hello');
      read.open();
      const rest: Buffer[] = [];
      await assert.rejects(async () => {
        for (;;) {
          const part = await client.inbox.some();
          if (part.length === 0) throw new Broken('end', 'more');
          rest.push(part);
        }
      }, { name: 'Broken' });
      assert.ok(!Buffer.concat(rest).toString('latin1').includes('0\r\n\r\n'));
      if (expected !== undefined) assert.equal(client.inbox.ended, expected);
    }
  });
}
