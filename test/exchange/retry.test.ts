import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { failsWith, neverConnects } from '../support/streams.ts';
import { close, echo, refusingOrigin, request, response, serve, startUpstream } from '../support/upstream.ts';

const BODY = pattern(300_000);

function codes(under: BalancerUnderTest): string[] {
  return under.reports.map((report) => report.replace(/ .*/, ''));
}

for (const front of FRONTS) {
  describe(`a connect that fails, through ${front.name}`, () => {
    test('is retried on another upstream', async (t) => {
      const refusing = refusingOrigin();
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [refusing, upstream], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/a'))).text, '/a');
      assert.deepEqual(under.picks, [
        { origin: refusing, candidates: [refusing, upstream.origin], attempt: 1 },
        { origin: upstream.origin, candidates: [upstream.origin], attempt: 2 },
      ]);
      assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [
        [false, 'CONNECT_REFUSED'], [true, undefined],
      ]);
      assert.deepEqual(under.reports, [`CONNECT_REFUSED at ${refusing}`]);
      assert.deepEqual(under.balancer.upstreams.map(({ failures, picks }) => [failures, picks]), [[1, 1], [0, 1]]);
    });

    test('up to three attempts', async (t) => {
      const [one, two] = [refusingOrigin(1), refusingOrigin(2)];
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [one, two, upstream], front });
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
      assert.deepEqual(under.picks.map(({ attempt }) => attempt), [1, 2, 3]);
    });

    test('not a fourth: 502', async (t) => {
      const refusing = [refusingOrigin(1), refusingOrigin(2), refusingOrigin(3)];
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [...refusing, upstream], front });
      const answer = await (await under.connect()).exchange(get());
      assert.equal(answer.status, 502);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=connection_refused');
      assert.deepEqual(upstream.events, []);
      assert.deepEqual(codes(under), ['CONNECT_REFUSED', 'CONNECT_REFUSED', 'CONNECT_REFUSED']);
    });

    test('with maxAttempts 1, never', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [refusingOrigin(), upstream], front, maxAttempts: 1,
      });
      assert.equal((await (await under.connect()).exchange(get())).status, 502);
      assert.deepEqual(upstream.events, []);
    });

    test('with no other upstream left: 502, and the next request starts afresh', async (t) => {
      const under = await startBalancer(t, { upstreams: [refusingOrigin()], front });
      const client = await under.connect();
      for (let i = 1; i <= 3; i++) {
        const answer = await client.exchange(get());
        assert.equal(answer.status, 502);
        assert.equal(under.picks.length, i);
      }
    });

    test('a strategy that declines the second attempt: 503', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [refusingOrigin(), upstream],
        front,
        strategy: {
          name: 'once',
          pick: (candidates, { attempt }) => attempt === 1 ? candidates[0] : undefined,
        },
      });
      assert.equal((await (await under.connect()).exchange(get())).status, 503);
    });

    const uploads: [name: string, bytes: Buffer][] = [
      ['of known length', post('/', BODY)],
      ['in chunks', Buffer.concat([
        Buffer.from(get('/', 'Transfer-Encoding: chunked\r\n', 'POST')), chunked(BODY, 9_000),
      ])],
    ];
    for (const [name, bytes] of uploads) {
      test(`an upload ${name} survives it`, async (t) => {
        const upstream = await startUpstream(t, serve(() => response('got it')));
        const under = await startBalancer(t, {
          upstreams: [refusingOrigin(1), refusingOrigin(2), upstream], front,
        });
        const client = await under.connect();
        assert.equal((await client.exchange(bytes)).text, 'got it');
        assert.deepEqual(upstream.requests[0]?.body.bytes, BODY);
        assert.equal((await client.exchange(get('/next'))).text, 'got it');
      });
    }

    test('an upload that no upstream can take: 502 before it is complete', async (t) => {
      const under = await startBalancer(t, { upstreams: [refusingOrigin()], front });
      const client = await under.connect();
      client.send(post('/', BODY).subarray(0, 100_000));
      const answer = await client.response();
      assert.equal(answer.status, 502);
      assert.equal(answer.head.get('connection'), 'close');
    });

    const failures: [system: string, code: string, type: string][] = [
      ['ECONNREFUSED', 'CONNECT_REFUSED', 'connection_refused'],
      ['EHOSTUNREACH', 'CONNECT_UNREACHABLE', 'destination_ip_unroutable'],
      ['ENETUNREACH', 'CONNECT_UNREACHABLE', 'destination_ip_unroutable'],
      ['ECONNRESET', 'CONNECT_CLOSED', 'connection_terminated'],
      ['EACCES', 'CONNECT_FAILED', 'destination_unavailable'],
      ['ENOTFOUND', 'DNS_FAILED', 'dns_error'],
      ['EAI_AGAIN', 'DNS_FAILED', 'dns_error'],
      ['ETIMEDOUT', 'CONNECT_TIMEOUT', 'connection_timeout'],
      ['ETIMEOUT', 'DNS_TIMEOUT', 'dns_timeout'],
    ];
    for (const [system, code, type] of failures) {
      test(`${system} is ${code}: another upstream serves`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, {
          upstreams: ['http://a.test', upstream],
          front,
          connect: ({ origin }) => origin === 'http://a.test' ? failsWith(system) : undefined,
        });
        assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
        assert.deepEqual(codes(under), [code]);
      });

      test(`${system} everywhere is answered as ${type}`, async (t) => {
        const under = await startBalancer(t, {
          upstreams: ['http://a.test', 'http://b.test'], front, connect: () => failsWith(system),
        });
        const answer = await (await under.connect()).exchange(get());
        assert.equal(answer.status, type.endsWith('_timeout') ? 504 : 502);
        assert.equal(answer.head.get('proxy-status'), `equipoise; error=${type}`);
        assert.deepEqual(codes(under), [code, code]);
      });
    }

    test('an option connect that throws is retried elsewhere', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: ['http://a.test', upstream],
        front,
        connect: ({ origin }) => {
          if (origin === 'http://a.test') throw new Error('no certificate');
          return undefined;
        },
      });
      assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
      assert.deepEqual(codes(under), ['CONNECT_UNUSABLE']);
      assert.equal((under.errors[0]?.cause as Error).message, 'no certificate');
    });

    for (const how of ['end', 'destroy'] as const) {
      test(`a stream that ${how}s before it is connected is a failed connect`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, {
          upstreams: ['http://a.test', upstream],
          front,
          connect: ({ origin }) => {
            if (origin !== 'http://a.test') return undefined;
            const socket = neverConnects();
            queueMicrotask(() => {
              if (how === 'destroy') socket.destroy();
              // As a TLS stream does whose other side closes during the handshake.
              else socket.emit('end');
            });
            return socket;
          },
        });
        assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
        assert.deepEqual(codes(under), ['CONNECT_CLOSED']);
      });
    }
  });

  describe(`what may have been processed is not sent twice, through ${front.name}`, () => {
    for (const method of ['POST', 'PATCH', 'REPORT']) {
      test(`${method} on a new connection that closes without a response: 502`, async (t) => {
        const upstream = await startUpstream(t, [[request, close]]);
        const other = await startUpstream(t, []);
        const under = await startBalancer(t, { upstreams: [upstream, other], front });
        const answer = await (await under.connect()).exchange(get('/', '', method));
        assert.equal(answer.status, 502);
        assert.deepEqual(upstream.events.slice(0, 2), ['1 open', `1 ${method} /`]);
      });
    }

    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
      test(`${method} may be (RFC 9110 §9.2.2): another upstream serves where one died`, async (t) => {
        const upstream = await startUpstream(t, [[request, close]]);
        const other = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream, other], front });
        assert.equal((await (await under.connect()).exchange(get('/', '', method))).status, 200);
        assert.deepEqual(under.outcomes.map(({ ok, error }) => [ok, error]), [
          [false, 'UPSTREAM_CLOSED'], [true, undefined],
        ]);
      });
    }

    test('not with a body, nor after a byte of response', async (t) => {
      const scripts = [[request, close], [request, 'HTTP/1.1 2', close]];
      const upstream = await startUpstream(t, scripts);
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front });
      assert.equal((await (await under.connect()).exchange(post('/', 'body', '', 'PUT'))).status, 502);
      assert.equal((await (await under.connect()).exchange(get())).status, 502);
    });

    test('and not beyond the retry budget', async (t) => {
      const upstream = await startUpstream(t, (peer) => peer.request().then(() => { close(peer); }));
      const other = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream, other], front, ejectAfter: 0, minRetriesPerSecond: 0, retryBudgetPercent: 50,
      });
      const statuses: number[] = [];
      const client = await under.connect();
      for (let i = 0; i < 6; i++) statuses.push((await client.exchange(get())).status);
      assert.deepEqual(statuses, [502, 200, 502, 200, 502, 200]);
    });

    test('an error status from the upstream is passed on', async (t) => {
      const busy = response('busy', 'Retry-After: 7\r\n', '503 Service Unavailable');
      const upstream = await startUpstream(t, serve(() => busy));
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front });
      const answer = await (await under.connect()).exchange(get());
      assert.equal(answer.status, 503);
      assert.equal(answer.text, 'busy');
      assert.equal(answer.head.get('retry-after'), '7');
      assert.equal(answer.head.get('proxy-status'), undefined);
      assert.equal(under.outcomes[0]?.ok, true);
    });
  });
}
