/** What an upstream reports of its load, by ORCA's header. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LoadReport, Upstream } from '../../src/strategy.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { parseLoadReport, ReportedLoad } from '../../src/upstreams/load-report.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { serve, startUpstream } from '../support/upstream.ts';

/** The numbers of a report that are there. */
function numbersIn(text: string): Readonly<Record<string, unknown>> | undefined {
  const report = parseLoadReport(text, 7);
  if (report === undefined) return undefined;
  assert.ok(Object.isFrozen(report) && report.at === 7);
  const { utilization, namedMetrics, ...rest } = report;
  const parts = { utilization: { ...utilization }, namedMetrics: { ...namedMetrics } };
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(rest)) if (name !== 'at' && value !== undefined) found[name] = value;
  for (const [name, value] of Object.entries(parts)) if (Object.keys(value).length > 0) found[name] = value;
  return found;
}

const WHOLE = {
  applicationUtilization: 0.5, cpuUtilization: 0.25, memUtilization: 0.75, rps: 100.5, eps: 2,
  utilization: { disk: 0.125 }, namedMetrics: { queue: 7 },
};

/** The fields of the report above as protobuf: made by hand from the definition of the message. */
const double = (number: number, value: number): Buffer => {
  const bytes = Buffer.alloc(9);
  bytes[0] = number << 3 | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
};
const entry = (number: number, name: string, value: number): Buffer => {
  const key = Buffer.concat([Buffer.from([1 << 3 | 2, name.length]), Buffer.from(name)]);
  const inner = Buffer.concat([key, double(2, value)]);
  return Buffer.concat([Buffer.from([number << 3 | 2, inner.length]), inner]);
};
const PROTO = Buffer.concat([
  double(1, 0.25), double(2, 0.75), entry(5, 'disk', 0.125), double(6, 100.5), double(7, 2), entry(8, 'queue', 7),
  double(9, 0.5),
]);

describe('a load report', () => {
  test('is read in each form', () => {
    assert.deepEqual(numbersIn('TEXT application_utilization=0.5, cpu_utilization=0.25,mem_utilization=.75,'
      + 'rps_fractional=100.5,eps=2,utilization.disk=0.125,named_metrics.queue=7,request_cost.x=1'), WHOLE);
    assert.deepEqual(numbersIn('JSON {"application_utilization":0.5,"cpu_utilization":0.25,"mem_utilization":0.75,'
      + '"rps_fractional":100.5,"eps":2,"utilization":{"disk":0.125},"named_metrics":{"queue":7}}'), WHOLE);
    assert.deepEqual(numbersIn('JSON {"applicationUtilization":0.5,"cpuUtilization":0.25,"memUtilization":"0.75",'
      + '"rpsFractional":100.5,"eps":2,"utilization":{"disk":0.125},"namedMetrics":{"queue":"7"}}'), WHOLE);
    assert.deepEqual(numbersIn(`BIN ${PROTO.toString('base64')}`), WHOLE);
    // Field 3, rps, is an integer, and counts where there is no fraction.
    assert.deepEqual(numbersIn(`BIN ${Buffer.from([3 << 3, 0xac, 0x02]).toString('base64')}`), { rps: 300 });
    assert.deepEqual(numbersIn('TEXT rps=300'), { rps: 300 });
  });

  test('leaves out what is no sound number', () => {
    for (const value of ['NaN', '-1', '1e10', 'Infinity', '1e999', '', '0x10', '1_000', 'half', '0.5.5']) {
      assert.deepEqual(numbersIn(`TEXT eps=1,cpu_utilization=${value}`), { eps: 1 }, value);
      assert.deepEqual(numbersIn(`JSON {"eps":1,"cpu_utilization":"${value}"}`), { eps: 1 }, value);
    }
    for (const value of [NaN, -1, 1e10, Infinity]) {
      const bytes = Buffer.concat([double(7, 1), double(1, value)]);
      assert.deepEqual(numbersIn(`BIN ${bytes.toString('base64')}`), { eps: 1 }, String(value));
    }
    assert.deepEqual(numbersIn('JSON {"eps":1,"cpu_utilization":[1],"mem_utilization":null,"rps":true}'), { eps: 1 });
  });

  test('is undefined where nothing can be read', () => {
    for (const text of [
      '', 'TEXT', 'TEXT ', 'text eps=1', 'eps=1', 'XML <eps>1</eps>', 'JSON', 'JSON {', 'JSON null', 'JSON 7',
      'JSON []', 'BIN', 'BIN !!!', 'TEXT =1,,=,eps', 'JSON {"eps":{}}',
    ]) assert.equal(numbersIn(text), undefined, text);
  });

  test('cannot reach a prototype, and a name is a name', () => {
    const report = parseLoadReport('TEXT named_metrics.__proto__=1,named_metrics.constructor=2', 0);
    assert.deepEqual(Object.entries(report?.namedMetrics ?? {}), [['__proto__', 1], ['constructor', 2]]);
    assert.deepEqual(numbersIn('JSON {"__proto__":{"eps":1},"eps":2}'), { eps: 2 });
    assert.ok(!('eps' in {}));
  });

  test(`never throws, whatever it holds (EQUIPOISE_SEED=${testSeed()})`, () => {
    const rng = seededRandom(testSeed());
    for (let i = 0; i < 3_000; i++) {
      const bytes = Buffer.from(PROTO);
      for (let flips = 0; flips < 4; flips++) bytes[Math.floor(rng() * bytes.length)] = Math.floor(rng() * 256);
      const cut = bytes.subarray(0, Math.floor(rng() * bytes.length));
      for (const each of [bytes, cut]) parseLoadReport(`BIN ${each.toString('base64')}`, 0);
      parseLoadReport(`${['TEXT', 'JSON', 'BIN'][i % 3] ?? ''} ${cut.toString('latin1')}`, 0);
    }
  });

  test('is bounded: a longer one is not read, nor more than so many metrics', () => {
    const reported = new ReportedLoad();
    const hear = (value: string): LoadReport | undefined => {
      reported.heard({ header: (name) => (name === 'endpoint-load-metrics' ? value : undefined) }, 1);
      return reported.current;
    };
    assert.equal(hear('TEXT eps=1')?.eps, 1);
    assert.equal(hear(`TEXT eps=1,${'x'.repeat(4_096)}`), undefined);
    const many = Array.from({ length: 200 }, (_, at) => `named_metrics.m${at}=1`).join(',');
    assert.equal(Object.keys(hear(`TEXT ${many}`)?.namedMetrics ?? {}).length, 64);
    reported.heard({ header: () => undefined }, 2);
    assert.equal(reported.current?.at, 1, 'a response without a report changes nothing');
  });
});

describe('Upstream.load', () => {
  for (const [header, value] of [
    ['endpoint-load-metrics', 'TEXT rps_fractional=10,application_utilization=0.5'],
    ['Endpoint-Load-Metrics', 'JSON {"rpsFractional":10,"applicationUtilization":0.5}'],
    ['endpoint-load-metrics-bin', Buffer.concat([double(6, 10), double(9, 0.5)]).toString('base64')],
  ] as const) {
    test(`is what the last response said, once it has been asked for; the header goes on: ${header}`, async (t) => {
      const seen: (LoadReport | undefined)[] = [];
      const nows: number[] = [];
      let asks = false;
      const upstream = await startUpstream(t, serve(() => {
        return `HTTP/1.1 200 OK\r\n${header}: ${value}\r\nContent-Length: 0\r\n\r\n`;
      }));
      const under = await startBalancer(t, {
        upstreams: [upstream],
        strategy: {
          name: 'reads',
          pick([one], { now }) {
            if (asks) seen.push(one?.load);
            nows.push(now);
            return one;
          },
        },
      });
      const client = await under.connect();
      const first = await client.exchange(get());
      assert.equal(first.head.get(header.toLowerCase()), value, 'it is relayed like any other header');
      assert.equal((JSON.parse(JSON.stringify(under.balancer.upstreams[0])) as Upstream).load, undefined);
      asks = true;
      await client.exchange(get());
      await under.advance(500);
      await client.exchange(get());
      assert.equal(seen[0], undefined, 'what came before anybody asked was not kept');
      assert.deepEqual([seen[1]?.rps, seen[1]?.applicationUtilization, seen[1]?.eps], [10, 0.5, undefined]);
      assert.equal((nows[2] ?? 0) - (seen[1]?.at ?? 0), 500, 'its age');
    });
  }

  test('is what a probe found, of an upstream without requests', async (t) => {
    const upstream = await startUpstream(t, serve(() => {
      return 'HTTP/1.1 200 OK\r\nendpoint-load-metrics: TEXT eps=3\r\nContent-Length: 0\r\n\r\n';
    }));
    const healthCheck = { path: '/', intervalMs: 1_000, timeoutMs: 400 };
    const under = await startBalancer(t, { upstreams: [upstream], healthCheck, rng: () => 0.5 });
    const load = (): LoadReport | undefined => under.balancer.upstreams[0]?.load;
    assert.equal(load(), undefined);
    await under.advance(1_000);
    while (load() === undefined) await under.advance(0);
    assert.equal(load()?.eps, 3);
  });
});
