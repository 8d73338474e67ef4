import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { close, echo, halfClose, request, reset, response, type Step, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** The first request of each test, which leaves the connection idle. */
const warmUp: Step[] = [request, response('warm')];

/** Closes a used connection as the next request arrives on it: the upstream's idle timeout is over. */
const WAYS: readonly (readonly [name: string, step: Step])[] = [['closes', close], ['resets', reset]];

const REPEATED: readonly (readonly [name: string, bytes: string | Buffer])[] = [
  ['GET', get('/x')],
  ['HEAD', get('/x', '', 'HEAD')],
  ['OPTIONS', get('/x', '', 'OPTIONS')],
  ['DELETE', get('/x', '', 'DELETE')],
  ['PUT without a body', get('/x', '', 'PUT')],
];
const NOT_REPEATED: readonly (readonly [name: string, bytes: string | Buffer])[] = [
  ['POST', post('/x', 'pay')],
  ['POST without a body', get('/x', '', 'POST')],
  ['POST of length 0', post('/x', '')],
  ['PATCH', post('/x', 'pay', '', 'PATCH')],
  ['LOCK', get('/x', '', 'LOCK')],
  ['PUT with a body', post('/x', 'pay', '', 'PUT')],
  ['PUT in chunks', Buffer.concat([Buffer.from(get('/x', 'Transfer-Encoding: chunked\r\n', 'PUT')), chunked('pay')])],
  ['GET with a body', post('/x', 'pay', '', 'GET')],
];

for (const front of FRONTS) {
  for (const [way, step] of WAYS) {
    describe(`an idle connection that ${way} as the next request comes, through ${front.name}`, () => {
      for (const [name, bytes] of REPEATED) {
        test(`${name} is sent again on a new connection`, async (t) => {
          const upstream = await startUpstream(t, [[...warmUp, request, step], echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          assert.equal((await client.exchange(get())).text, 'warm');
          const answer = await client.exchange(bytes);
          assert.equal(answer.status, 200);
          assert.equal(upstream.requests.length, 3);
          assert.equal(upstream.requests[2]?.head.text, upstream.requests[1]?.head.text, 'the same request');
          // It was not a failure to report: both sides did what they may.
          assert.equal((await client.exchange(get('/next'))).text, '/next');
        });
      }

      for (const [name, bytes] of NOT_REPEATED) {
        test(`${name} is not: 502, and it ran at most once`, async (t) => {
          const upstream = await startUpstream(t, [[...warmUp, request, step], echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          assert.equal((await client.exchange(get())).text, 'warm');
          const answer = await client.exchange(bytes);
          assert.equal(answer.status, 502);
          assert.equal(answer.head.get('proxy-status'), 'equipoise; error=connection_terminated');
          assert.equal(upstream.requests.filter(({ head }) => head.line.includes('/x')).length, 1);
          assert.equal(upstream.peers.length, 1);
          assert.deepEqual(under.reports, [`UPSTREAM_CLOSED at ${upstream.origin}`]);
        });
      }
    });
  }

  describe(`a request that is sent again, through ${front.name}`, () => {
    test('goes to another upstream where there is one', async (t) => {
      const upstream = await startUpstream(t, [[...warmUp, request, close]]);
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream, other], front });
      const client = await under.connect();
      await client.exchange(get());
      assert.equal((await client.exchange(get('/x'))).text, '/x');
      assert.deepEqual(under.picks.map(({ origin }) => origin), [upstream.origin, upstream.origin, other.origin]);
      assert.deepEqual(under.picks[2]?.candidates, [other.origin]);
      assert.deepEqual(other.plainEvents, ['open', 'GET /x']);
    });

    test('does not go to a second idle connection, which may be dead as well', async (t) => {
      // Two connections grow idle; the request that finds one of them dead must not try the other.
      const both = gate();
      let arrived = 0;
      const slow: Step[] = [request, () => {
        if (++arrived === 2) both.open();
        return both.opened;
      }, response('warm'), request, close];
      const upstream = await startUpstream(t, [slow, slow, echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const [one, two] = [await under.connect(), await under.connect()];
      await Promise.all([one.exchange(get()), two.exchange(get())]);
      await under.settled(2);
      assert.equal((await one.exchange(get('/x'))).text, '/x');
      assert.equal(upstream.peers.length, 3);
      assert.equal(upstream.requests.filter(({ head }) => head.line.includes('/x')).length, 2);
    });

    test('within the budget of attempts: with maxAttempts 1, never', async (t) => {
      const upstream = await startUpstream(t, [[...warmUp, request, close]]);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxAttempts: 1 });
      const client = await under.connect();
      await client.exchange(get());
      assert.equal((await client.exchange(get('/x'))).status, 502);
    });

    test('is not sent a third time when the new connection closes as well', async (t) => {
      const upstream = await startUpstream(t, [[...warmUp, request, close], [request, close]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      await client.exchange(get());
      assert.equal((await client.exchange(get('/x'))).status, 502);
      assert.equal(under.picks.length, 3);
    });

    const beginnings = {
      'a byte of a response': 'H', 'an interim response': 'HTTP/1.1 102 Processing\r\n\r\n',
    };
    for (const [name, sent] of Object.entries(beginnings)) {
      test(`is not sent again after ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[...warmUp, request, sent, close]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        await client.exchange(get());
        assert.equal((await client.exchange(get('/x'))).status, 502);
        assert.equal(under.picks.length, 2);
      });
    }
  });

  test(`through ${front.name} a connection that closes while it idles is not used again`, async (t) => {
    const upstream = await startUpstream(t, [[request, response('warm'), halfClose], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    await client.exchange(get());
    // The balancer has seen it: it closes its side.
    await upstream.gone(1);
    assert.equal((await client.exchange(post('/x', 'pay'))).text, '/x');
    assert.equal(under.picks.length, 2);
  });
}
