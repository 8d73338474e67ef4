/**
 * What a layer 4 balancer tells: counters, peers, and the events of connections that never had an upstream.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '../../src/observe/index.ts';
import { FakeWorkers } from '../support/channel.ts';
import { atEnd } from '../support/scope.ts';
import { echo, rawUpstream, REFUSING, startTcp } from '../support/tcp.ts';

describe('raw connections', () => {
  test('are counted by createMetrics', async (t) => {
    const [good, bad] = [await rawUpstream(t, echo('hello')), REFUSING];
    const under = await startTcp(t, { upstreams: [bad, good] });
    const metrics = createMetrics(under.balancer, { time: under.time });
    atEnd(t, () => metrics.close());
    const samples = async (name: string): Promise<string[]> => (
      (await metrics.text()).split('\n').filter((line) => line.startsWith(`equipoise_${name}`))
        .map((line) => line.slice('equipoise_'.length)));
    const client = await under.connect();
    assert.equal(await client.inbox.until('hello'), 'hello');
    const labels = (origin: string): string => `pool="default",upstream="${origin}"`;
    assert.deepEqual(await samples('open_connections '), ['open_connections 1']);
    assert.deepEqual(await samples('upstream_in_flight'), [
      `upstream_in_flight{${labels(bad)}} 0`, `upstream_in_flight{${labels(good.origin)}} 1`,
    ]);
    client.send('abc');
    assert.equal(await client.inbox.until('abc'), 'abc');
    client.end();
    await under.done(1);
    assert.deepEqual(await samples('requests_total'), ['requests_total{pool="default",method="",code="200"} 1']);
    assert.deepEqual(await samples('request_duration_seconds_count'), [
      'request_duration_seconds_count{pool="default"} 1',
    ]);
    assert.deepEqual(await samples('upstream_retries_total'), [
      `upstream_retries_total{${labels(bad)}} 1`, `upstream_retries_total{${labels(good.origin)}} 0`,
    ]);
    assert.ok((await samples('upstream_requests_total')).includes(
      `upstream_requests_total{${labels(bad)},code="CONNECT_REFUSED"} 1`));
    assert.deepEqual(await samples('connections_total'), ['connections_total 1']);
    assert.deepEqual(await samples('open_connections '), ['open_connections 0']);
    assert.deepEqual(await samples('received_bytes_total'), ['received_bytes_total 3']);
    assert.deepEqual(await samples('sent_bytes_total'), ['sent_bytes_total 8']);
  });

  test('that no upstream takes are refused, finish with the code, and are counted', async (t) => {
    const dead = REFUSING;
    const under = await startTcp(t, { upstreams: [dead] });
    const metrics = createMetrics(under.balancer, { time: under.time });
    atEnd(t, () => metrics.close());
    await under.refused();
    await under.done(1);
    const [{ status, code, pool, upstream, attempts, bytesIn, bytesOut } = assert.fail()] = under.finished;
    assert.deepEqual({ status, code, pool, origin: upstream?.origin, attempts, bytesIn, bytesOut }, {
      status: 502, code: 'CONNECT_REFUSED', pool: 'default', origin: dead, attempts: 1, bytesIn: 0, bytesOut: 0,
    });
    assert.ok(under.events.includes('refused CONNECT_REFUSED 502'), under.events.join());
    const text = await metrics.text();
    assert.match(text, /^equipoise_requests_total\{pool="default",method="",code="502"\} 1$/m);
    assert.match(text, /^equipoise_refused_total\{code="CONNECT_REFUSED"\} 1$/m);
  });

  test('of two workers go by what either has learned of an upstream', async (t) => {
    const workers = new FakeWorkers();
    const [good, bad] = [await rawUpstream(t, echo('1')), REFUSING];
    const [one, two] = [
      await startTcp(t, { upstreams: [bad, good], ejectAfter: 1, peers: workers.channel(1) }),
      await startTcp(t, { upstreams: [bad, good], ejectAfter: 1, peers: workers.channel(2) }),
    ];
    const client = await one.connect();
    assert.equal(await client.inbox.until('1'), '1');
    for (let i = 0; i < 20 && !two.events.includes(`ejected ${bad} by peers`); i++) {
      await one.advance(100);
      workers.deliver();
      await two.advance(100);
    }
    assert.ok(two.events.includes(`ejected ${bad} by peers`), two.events.join());
    const other = await two.connect();
    assert.equal(await other.inbox.until('1'), '1');
    assert.ok(!two.events.some((event) => event.startsWith('retried')), two.events.join());
    client.end();
    other.end();
  });
});
