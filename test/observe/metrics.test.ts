import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import * as prom from 'prom-client';
import { BalancerError } from '../../src/errors.ts';
import { createMetrics, type Metrics } from '../../src/observe/index.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { BUSY } from '../support/replies.ts';
import { atEnd } from '../support/scope.ts';
import { echo, refusingOrigin, response, serve, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

function measured(t: TestContext, { balancer, time }: BalancerUnderTest): Metrics {
  const metrics = createMetrics(balancer, { time });
  atEnd(t, () => metrics.close());
  return metrics;
}

async function started(t: TestContext, options: Partial<TestOptions> = {}): Promise<{
  readonly under: BalancerUnderTest; readonly metrics: Metrics;
}> {
  const { upstreams = [await startUpstream(t, echo)] } = options;
  const under = await startBalancer(t, { ...options, upstreams });
  return { under, metrics: measured(t, under) };
}

/** The samples of a metric: `labels value`, in the order of the text. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.text();
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => line.slice(name.length));
}

const NAMES = [
  'equipoise_requests_total counter', 'equipoise_request_duration_seconds histogram',
  'equipoise_upstream_requests_total counter', 'equipoise_upstream_response_seconds histogram',
  'equipoise_upstream_in_flight gauge', 'equipoise_upstream_up gauge', 'equipoise_upstream_weight gauge',
  'equipoise_upstream_ejections_total counter', 'equipoise_upstream_retries_total counter',
  'equipoise_open_connections gauge', 'equipoise_connections_total counter', 'equipoise_queued gauge',
  'equipoise_refused_total counter', 'equipoise_received_bytes_total counter', 'equipoise_sent_bytes_total counter',
  'equipoise_shadow_picks_total counter', 'equipoise_shadow_upstream_picks_total counter',
  'equipoise_shadow_faults_total counter',
  'equipoise_workers gauge', 'equipoise_build_info gauge',
  'process_cpu_user_seconds_total counter', 'process_cpu_system_seconds_total counter',
  'process_cpu_seconds_total counter', 'process_start_time_seconds gauge', 'process_resident_memory_bytes gauge',
  'process_virtual_memory_bytes gauge', 'process_heap_bytes gauge', 'process_open_fds gauge', 'process_max_fds gauge',
  'nodejs_eventloop_lag_seconds gauge', 'nodejs_eventloop_lag_min_seconds gauge',
  'nodejs_eventloop_lag_max_seconds gauge', 'nodejs_eventloop_lag_mean_seconds gauge',
  'nodejs_eventloop_lag_stddev_seconds gauge', 'nodejs_eventloop_lag_p50_seconds gauge',
  'nodejs_eventloop_lag_p90_seconds gauge', 'nodejs_eventloop_lag_p99_seconds gauge',
];

for (const way of WAYS) {
  test(`exchanges, attempts and connections are counted, through ${way.name}`, async (t) => {
    const upstream = await startUpstream(t, echo);
    const { under, ask } = await way.start(t, { upstreams: [upstream] });
    const metrics = measured(t, under);
    for (let i = 0; i < 3; i++) await ask();
    await ask({ method: 'POST', body: 'abc' });
    assert.deepEqual(await samples(metrics, 'equipoise_requests_total'), [
      '{pool="default",method="GET",code="200"} 3', '{pool="default",method="POST",code="200"} 1',
    ]);
    const labels = `pool="default",upstream="${upstream.origin}"`;
    assert.deepEqual(await samples(metrics, 'equipoise_upstream_requests_total'), [`{${labels},code="200"} 4`]);
    assert.deepEqual(await samples(metrics, 'equipoise_upstream_response_seconds_count'), [`{${labels}} 4`]);
    assert.deepEqual(await samples(metrics, 'equipoise_request_duration_seconds_count'), ['{pool="default"} 4']);
    const count = async (name: string): Promise<number> => Number((await samples(metrics, name))[0]);
    const [all, received, sent] = [
      await count('equipoise_connections_total'), await count('equipoise_received_bytes_total'),
      await count('equipoise_sent_bytes_total'),
    ];
    assert.ok(all >= 1 && received > 50 && sent > 50, `${all} connections, ${received} octets in, ${sent} out`);
  });
}

describe('what is exposed', () => {
  test('has the documented names and types, each with a help text, whether there was traffic or not', async (t) => {
    const { metrics } = await started(t);
    const text = await metrics.text();
    assert.deepEqual([...text.matchAll(/^# TYPE (.*)$/gm)].map(([, line]) => line), NAMES);
    assert.deepEqual([...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name),
      NAMES.map((line) => line.split(' ')[0]));
  });

  test('has the documented ranges of times, each within the next', async (t) => {
    const { under, metrics } = await started(t, { upstreams: [await startUpstream(t, serve(() => {
      under.time.advance(60);
      return response('late');
    }))] });
    await (await under.connect()).exchange(get());
    const name = 'equipoise_upstream_response_seconds_bucket';
    const bounds = ['0.005', '0.01', '0.025', '0.05', '0.075', '0.1', '0.25', '0.5', '0.75', '1', '2.5', '5', '7.5',
      '10', '+Inf'];
    assert.deepEqual((await samples(metrics, name)).map((line) => /le="([^"]*)"\} (\d+)/.exec(line)?.slice(1)),
      bounds.map((le, i) => [le, i < 4 ? '0' : '1']));
    assert.match((await samples(metrics, 'equipoise_upstream_response_seconds_sum'))[0] ?? '', / 0\.06$/);
    assert.match((await samples(metrics, 'equipoise_request_duration_seconds_sum'))[0] ?? '', / 0\.06$/);
  });

  test('a client cannot make up a label', async (t) => {
    const { under, metrics } = await started(t);
    const client = await under.connect();
    for (const method of ['GET', 'BREW', 'get', 'X'.repeat(20)]) await client.exchange(get('/', '', method));
    assert.deepEqual(await samples(metrics, 'equipoise_requests_total'), [
      '{pool="default",method="GET",code="200"} 1', '{pool="default",method="OTHER",code="200"} 3',
    ]);
  });

  test('labels are escaped', async (t) => {
    const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)] });
    const metrics = createMetrics(under.balancer, { worker: 'a"b\\c\nd' });
    const [sample = ''] = await samples(metrics, 'process_cpu_seconds_total');
    assert.match(sample, /^\{worker="a\\"b\\\\c\\nd"\} [\d.]+$/);
    await metrics.close();
  });

  test('failures and their codes: refused, retried, ejected', async (t) => {
    const [down, busy] = [refusingOrigin(), await startUpstream(t, serve(() => BUSY))];
    const { under, metrics } = await started(t, { upstreams: [down, busy], ejectAfter: 1, ejectMs: 5_000 });
    const client = await under.connect();
    assert.equal((await client.exchange(get())).status, 503);
    assert.deepEqual(await samples(metrics, 'equipoise_upstream_requests_total'), [
      `{pool="default",upstream="${down}",code="CONNECT_REFUSED"} 1`,
      `{pool="default",upstream="${busy.origin}",code="503"} 1`,
    ]);
    const of = (origin: string, value: number): string => `{pool="default",upstream="${origin}"} ${value}`;
    assert.deepEqual(await samples(metrics, 'equipoise_upstream_retries_total'), [of(down, 1), of(busy.origin, 0)]);
    assert.equal((await samples(metrics, 'equipoise_upstream_ejections_total'))[0], of(down, 1));
    assert.equal((await samples(metrics, 'equipoise_upstream_up'))[0], of(down, 0));
    const malformed = await under.connect();
    await malformed.exchange('GET / HTTP/1.1\r\n\r\n');
    assert.deepEqual(await samples(metrics, 'equipoise_refused_total'), ['{code="REQUEST_MALFORMED"} 1']);
  });

  test('counts all octets of the wire, and the connections', async (t) => {
    const { under, metrics } = await started(t, {
      upstreams: [await startUpstream(t, serve(() => response('y'.repeat(30_000))))],
    });
    const client = await under.connect();
    const request = post('/', 'x'.repeat(50_000));
    await client.exchange(request);
    assert.deepEqual(await samples(metrics, 'equipoise_received_bytes_total'), [` ${request.length}`]);
    const [sent] = await samples(metrics, 'equipoise_sent_bytes_total');
    assert.ok(Number(sent) > 30_050 && Number(sent) < 30_300, `sent ${sent}`);
    assert.deepEqual(await samples(metrics, 'equipoise_open_connections'), [' 1']);
    client.destroy();
    await under.advance(1);
    await turns(10);
    assert.deepEqual(await samples(metrics, 'equipoise_connections_total'), [' 1']);
  });

  test('after close, nothing more is counted', async (t) => {
    const { under, metrics } = await started(t);
    const client = await under.connect();
    await client.exchange(get());
    await metrics.close();
    await client.exchange(get());
    assert.deepEqual(await samples(metrics, 'equipoise_requests_total'),
      ['{pool="default",method="GET",code="200"} 1']);
  });
});

describe('the formats', () => {
  const OPEN = 'application/openmetrics-text;version=1.0.0';

  test('OpenMetrics names counters without their suffix, and ends with EOF', async (t) => {
    const { under, metrics } = await started(t);
    await (await under.connect()).exchange(get());
    const text = await metrics.text({ accept: OPEN });
    assert.match(text, /^# TYPE equipoise_requests counter$/m);
    assert.match(text, /^equipoise_requests_total\{pool="default",method="GET",code="200"\} 1$/m);
    assert.match(text, /^equipoise_request_duration_seconds_bucket\{pool="default",le="1\.0"\} 1$/m);
    assert.ok(text.endsWith('\n# EOF\n'));
    assert.doesNotMatch(text, /\n\n/);
  });

  const cases: readonly [accept: string | undefined, open: boolean][] = [
    [undefined, false], ['*/*', false], ['text/plain', false], [OPEN, true],
    [`${OPEN};q=0.5,text/plain;version=0.0.4;q=0.9`, false],
    [`application/openmetrics-text; version=1.0.0; charset=utf-8;q=0.75,text/plain;version=0.0.4;q=0.5`, true],
    ['application/openmetrics-text;version=0.0.1,text/plain;q=0.2', false],
    [`${OPEN};q=0`, false], [`${OPEN};q=x`, false],
    // What Prometheus 2 and 3 send.
    ['application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,' +
      'text/plain;version=0.0.4;q=0.5,*/*;q=0.1', true],
    ['application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,' +
      'text/plain;version=0.0.4;q=0.2,*/*;q=0.1', true],
  ];
  for (const [accept, open] of cases) {
    test(`Accept: ${String(accept)}`, async (t) => {
      const { metrics } = await started(t);
      const type = open ? 'application/openmetrics-text; version=1.0.0; charset=utf-8'
        : 'text/plain; version=0.0.4; charset=utf-8';
      assert.equal(metrics.contentType({ accept }), type);
      assert.equal((await metrics.text({ accept })).endsWith('# EOF\n'), open);
    });
  }

  test('handle answers a scrape, and nothing but GET and HEAD', async (t) => {
    const { metrics } = await started(t);
    const server = http.createServer(metrics.handle).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    atEnd(t, () => new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    }));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
    const [got, head, posted] = [
      await fetch(url, { headers: { accept: OPEN } }), await fetch(url, { method: 'HEAD' }),
      await fetch(url, { method: 'POST' }),
    ];
    assert.equal(got.headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    assert.match(await got.text(), /# EOF\n$/);
    assert.deepEqual([head.status, head.headers.get('content-type'), await head.text()],
      [200, 'text/plain; version=0.0.4; charset=utf-8', '']);
    assert.deepEqual([posted.status, posted.headers.get('allow')], [405, 'GET, HEAD']);
    await posted.text();
  });

  test('promtool finds nothing to complain about', async (t) => {
    if (spawnSync('promtool', ['--version']).error !== undefined) {
      t.skip('promtool (Debian: prometheus) is not installed');
      return;
    }
    const { under, metrics } = await started(t, { upstreams: [refusingOrigin(), await startUpstream(t, echo)] });
    await (await under.connect()).exchange(get());
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await metrics.text(), encoding: 'utf8',
    });
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
  });
});

describe('a registry of prom-client', () => {
  for (const type of [prom.Registry.PROMETHEUS_CONTENT_TYPE, prom.Registry.OPENMETRICS_CONTENT_TYPE] as const) {
    test(`has ours beside the user's: ${type}`, async (t) => {
      const { under, metrics } = await started(t);
      const registry = new prom.Registry<prom.PrometheusContentType | prom.OpenMetricsContentType>();
      registry.setContentType(type);
      prom.collectDefaultMetrics({ register: registry as prom.Registry });
      new prom.Counter({ name: 'mine_total', help: 'Mine.', registers: [registry] }).inc(2);
      metrics.registry(registry);
      await (await under.connect()).exchange(get());
      const text = await registry.metrics();
      assert.match(text, /^mine_total 2$/m);
      assert.match(text, /^equipoise_requests_total\{pool="default",method="GET",code="200"\} 1$/m);
      assert.match(text, /^equipoise_request_duration_seconds_bucket\{pool="default",le="10"\} 1$/m);
      assert.match(text, /^equipoise_request_duration_seconds_count\{pool="default"\} 1$/m);
      assert.match(text, /^equipoise_workers 1$/m);
      registry.clear();
    });
  }
});

describe('createMetrics', () => {
  const wrong: readonly [balancer: unknown, options: unknown, problem: RegExp][] = [
    [{}, {}, /the first argument must be a balancer/], [undefined, {}, /the first argument must be a balancer/],
    ['own', 5, /the options must be an object \(got 5\)/], ['own', { channel: 5 }, /channel: must be a channel/],
    ['own', { chanel: 5 }, /chanel.*channel/], ['own', { worker: 5 }, /worker: must be a string/],
    ['own', { time: 1 }, /time: must be/],
    ['own', { channel: { join: () => undefined } }, /channel\.join: must return an object/],
    ['own', { channel: { join: () => { throw new Error('full'); } } }, /channel\.join: threw: full/],
  ];
  for (const [balancer, options, problem] of wrong) {
    test(`refuses ${String(problem)}`, async (t) => {
      const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)] });
      const given = balancer === 'own' ? under.balancer : balancer;
      assert.throws(() => createMetrics(given as never, options as never), (error: unknown) => {
        return error instanceof BalancerError && error.code === 'OPTIONS_INVALID' && problem.test(error.message);
      });
    });
  }

  test('a meter that throws is reported, and disturbs no exchange', async (t) => {
    const under = await startBalancer(t, { upstreams: [await startUpstream(t, echo)] });
    const boom = (): never => {
      throw new Error('boom');
    };
    const metering = under.balancer.meter({ exchange: boom, answered: boom, attempt: boom });
    const metrics = measured(t, under);
    const client = await under.connect();
    assert.equal((await client.exchange(get())).status, 200);
    assert.deepEqual(under.reports, ['HOOK_FAILED', 'HOOK_FAILED', 'HOOK_FAILED']);
    metering.stop();
    assert.equal((await client.exchange(get())).status, 200);
    assert.equal(under.reports.length, 3);
    assert.deepEqual(await samples(metrics, 'equipoise_requests_total'),
      ['{pool="default",method="GET",code="200"} 2']);
    assert.throws(() => under.balancer.meter({} as never), /meter\.exchange: must be a function/);
  });
});
