/**
 * Simulated responses carry load reports, and simulated clients keep cookies, so that strategies that need either are
 * proved in the lab.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { closedLoop } from '../../src/lab/arrivals.ts';
import { CookieJars } from '../../src/lab/cookies.ts';
import { LoadMeter } from '../../src/lab/load-meter.ts';
import type { SimulateOptions } from '../../src/lab/options.ts';
import { deterministic, exponential } from '../../src/lab/service.ts';
import { simulate } from '../../src/lab/simulate.ts';
import type { Strategy } from '../../src/strategy.ts';
import { leastConnections } from '../../strategies/least-connections.ts';
import { random } from '../../strategies/random.ts';
import { sticky } from '../../strategies/sticky.ts';
import { weightedByLoad } from '../../strategies/weighted-by-load.ts';

interface Pick {
  readonly client: string;
  /** The index of the server. */
  readonly server: number;
  readonly ms: number;
  readonly attempt: number;
}

/** The strategy, with its picks noted. */
function noting(inner: Strategy, picks: Pick[]): Strategy {
  return {
    ...inner,
    pick(candidates, context) {
      const picked = inner.pick(candidates, context);
      const { remoteAddress: client, now: ms, attempt } = context;
      picks.push({ client, server: Number(picked?.id.replace('http://server-', '')) - 1, ms, attempt });
      return picked;
    },
  };
}

describe('load reports', () => {
  /** Three servers of speeds 1, 2 and 4; the share of each after the blackout of 10 s. */
  function shares(options: Partial<SimulateOptions>): readonly number[] {
    const picks: Pick[] = [];
    simulate({
      strategy: ({ rng }) => noting(weightedByLoad({ rng }), picks), service: exponential(20), load: 0.6,
      requests: 20_000, upstreams: [{ speed: 1 }, { speed: 2 }, { speed: 4 }], ...options,
    });
    const late = picks.filter(({ ms }) => ms > 20_000);
    return [0, 1, 2].map((server) => late.filter((pick) => pick.server === server).length / late.length);
  }
  function assertNear(got: readonly number[], wanted: readonly number[], tolerance: number): void {
    for (const [at, share] of got.entries()) {
      assert.ok(Math.abs(share / (wanted[at] ?? 0) - 1) < tolerance, `got ${got.join(', ')}`);
    }
  }

  test('have weighted-by-load find the weights of servers of unequal speed', () => {
    for (const discipline of ['fifo', 'ps'] as const) {
      assertNear(shares({ loadReportMs: 5_000, discipline }), [1 / 7, 2 / 7, 4 / 7], 0.1);
    }
  });

  test('follow a server that turns slow', () => {
    const got = shares({ loadReportMs: 2_000, faults: [{ server: 2, fromMs: 5_000, kind: 'slow', factor: 4 }] });
    assertNear(got, [1 / 4, 2 / 4, 1 / 4], 0.15);
  });

  test('are sent only where they are asked for; without, weights count alone', () => {
    assertNear(shares({ load: 0.3 }), [1 / 3, 1 / 3, 1 / 3], 0.01);
    const silent = [{ speed: 1 }, { speed: 2 }, { speed: 4, reportsLoad: false }];
    const [one = 0, two = 0, three = 0] = shares({ loadReportMs: 5_000, upstreams: silent, load: 0.4 });
    // One that does not report counts as the mean of the others.
    assertNear([one, two, three], [1 / 4.5, 2 / 4.5, 1.5 / 4.5], 0.1);
  });

  test('say what a server measured in the last window', () => {
    let busyMs = 0;
    const meter = new LoadMeter({ busyMs: () => busyMs }, 2, 1_000);
    busyMs = 400;
    assert.equal(meter.answered(200, 999), undefined);
    busyMs = 500;
    const first = 'TEXT rps_fractional=2,eps=1,application_utilization=0.25';
    assert.equal(meter.answered(503, 1_000), first);
    assert.equal(meter.answered(200, 1_500), first);
    busyMs = 2_500;
    assert.equal(meter.answered(200, 3_000), 'TEXT rps_fractional=1,eps=0,application_utilization=0.5');
    const unlimited = new LoadMeter({ busyMs: () => busyMs }, Infinity, 1_000);
    assert.equal(unlimited.answered(200, 2_000), 'TEXT rps_fractional=0.5,eps=0');
  });

  test('reach answered(), beside upstream.load', () => {
    const headers = new Set<unknown>();
    const inner = random();
    simulate({
      strategy: () => ({ ...inner, answered: (_, head) => void headers.add(head.header('endpoint-load-metrics')) }),
      upstreams: 1, load: 0.5, service: deterministic(10), requests: 400, loadReportMs: 1_000,
      faults: [{ server: 0, fromMs: 3_000, toMs: 6_000, kind: 'failing', share: 0.5 }],
      pool: { ejectAfter: 0 },
    });
    const [none, ...reports] = [...headers].map(String);
    assert.equal(none, 'undefined');
    assert.ok(reports.length >= 5 && reports.some((report) => !report.includes('eps=0,')), reports.join('\n'));
  });
});

describe('cookies', () => {
  const STICKY: Omit<SimulateOptions, 'strategy'> = {
    upstreams: 4, arrivals: closedLoop(40, { thinkMs: 200 }), service: exponential(20), requests: 8_000,
    faults: [{ server: 1, fromMs: 20_000, toMs: 30_000, kind: 'down' }],
  };
  /** The servers that each client was answered by, one after another. */
  function courses(options: Partial<SimulateOptions> = {}): readonly (readonly number[])[] {
    const picks: Pick[] = [];
    const result = simulate({
      ...STICKY, strategy: ({ rng }) => noting(sticky(leastConnections({ rng })), picks), ...options,
    });
    assert.equal(result.failed, 0);
    const byClient = new Map<string, Pick[]>();
    for (const pick of picks) byClient.set(pick.client, [...byClient.get(pick.client) ?? [], pick]);
    return [...byClient.values()].map((own) => own
      // The next attempt of a request says that this one failed.
      .filter((_, at) => own[at + 1]?.attempt !== 2)
      .map(({ server }) => server)
      .filter((server, at, all) => server !== all[at - 1]));
  }

  test('keep the clients of sticky where they are; those of a dead server move once, and stay', () => {
    const all = courses();
    assert.equal(all.length, 40);
    for (const course of all) {
      if (course[0] === 1) assert.equal(course.length, 2, `${course.join()}: moves once`);
      else assert.equal(course.length, 1, `${course.join()}: stays`);
    }
    const moved = all.filter(([first]) => first === 1);
    assert.ok(moved.length >= 5 && moved.length <= 15, `${moved.length} clients of 40 were on the dead server`);
  });

  test('reach every balancer, and a drained server keeps its clients', () => {
    const faults = [{ server: 1, fromMs: 20_000, toMs: 30_000, kind: 'drained' }] as const;
    for (const course of courses({ balancers: 3, faults })) assert.equal(course.length, 1);
  });

  test('are not kept by clients that are told not to', () => {
    const all = courses({ cookies: false, faults: [] });
    assert.ok(all.every((course) => course.length > 20), all.map(({ length }) => length).join());
  });

  test('have a path, and an age', () => {
    const jars = new CookieJars();
    const set = (client: number, ...cookies: readonly string[]): void => {
      jars.keep(client, cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join(''), 1_000);
    };
    set(0, 'a=1; Path=/; HttpOnly', 'b=2=2; max-age=10', 'c=3; Path=/1', '=4', 'd');
    jars.keep(0, 'x-cookie: f=6\r\n', 1_000);
    assert.equal(jars.headerOf(0, '/12', 10_999), 'a=1; b=2=2');
    assert.equal(jars.headerOf(0, '/1', 11_000), 'a=1; c=3');
    assert.equal(jars.headerOf(0, '/1/2', 11_000), 'a=1; c=3');
    assert.equal(jars.headerOf(1, '/1', 0), undefined);
    set(0, 'a=7');
    assert.equal(jars.headerOf(0, '/', 2_000), 'a=7; b=2=2');
    set(0, 'a=; Max-Age=0', 'b=; Max-Age=-1');
    assert.equal(jars.headerOf(0, '/', 2_000), undefined);
  });
});

test('the options about responses are checked', () => {
  const wrong = { upstreams: [{ reportsLoad: 1 }], load: 0.5, cookies: 'yes', loadReportMs: 0 };
  assert.throws(() => simulate({ ...wrong, strategy: () => random() } as never), (error: Error) => {
    for (const line of [
      'cookies: must be true or false (got "yes")', 'loadReportMs: must be a number > 0 (got 0)',
      'upstreams[0].reportsLoad: must be true or false (got 1)',
    ]) assert.ok(error.message.includes(line), error.message);
    return true;
  });
});
