import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { logEvents, reportLog } from '../../src/cli/log.ts';
import { Events } from '../../src/events.ts';
import type { Upstream } from '../../src/strategy.ts';
import { BalancerError, type ErrorCode } from '../../src/errors.ts';

const A = 'http://10.0.0.1:3000';
const B = 'http://10.0.0.2:3000';

interface VirtualLog {
  readonly lines: string[];
  /** Sets the time. */
  readonly at: (ms: number) => void;
  readonly fail: (code: ErrorCode, upstream?: string) => void;
}

function virtualLog(): VirtualLog {
  const lines: string[] = [];
  let now = 0;
  const report = reportLog((line) => lines.push(line), () => now);
  return {
    lines,
    at: (ms) => {
      now = ms;
    },
    fail: (code, upstream) => {
      report({ error: new BalancerError(code), upstream });
    },
  };
}

describe('a line says the code, the upstream, what happened and why', () => {
  const refused = new Error('connect ECONNREFUSED 10.0.0.1:3000');
  const table: readonly [what: string, error: BalancerError, upstream: string | undefined, line: string][] = [
    ['all of it', new BalancerError('CONNECT_REFUSED', undefined, { cause: refused }), A,
      `CONNECT_REFUSED ${A}: The upstream refused the connection: connect ECONNREFUSED 10.0.0.1:3000`],
    ['no cause', new BalancerError('RESPONSE_TIMEOUT'), A,
      `RESPONSE_TIMEOUT ${A}: The upstream took too long to respond.`],
    ['several causes',
      new BalancerError('CONNECT_FAILED', undefined, { cause: new AggregateError([refused, refused]) }), A,
      `CONNECT_FAILED ${A}: The upstream could not be reached: connect ECONNREFUSED 10.0.0.1:3000`],
    ['a cause that is not an error', new BalancerError('RESPONSE_TIMEOUT', undefined, { cause: 'x' }), A,
      `RESPONSE_TIMEOUT ${A}: The upstream took too long to respond.`],
    ['no upstream', new BalancerError('STRATEGY_FAILED', 'strategy x threw'), undefined,
      'STRATEGY_FAILED: strategy x threw'],
  ];
  for (const [what, error, upstream, line] of table) {
    test(what, () => {
      const lines: string[] = [];
      reportLog((text) => lines.push(text), () => 0)({ error, upstream });
      assert.deepEqual(lines, [line]);
    });
  }
});

test('a line names the request, where requests have ids', () => {
  const lines: string[] = [];
  const report = reportLog((text) => lines.push(text), () => 0);
  report({ error: new BalancerError('RESPONSE_TIMEOUT'), upstream: A, requestId: 'abc-1' });
  assert.deepEqual(lines, [`RESPONSE_TIMEOUT ${A}: The upstream took too long to respond. (request abc-1)`]);
});

describe('the same failure of the same upstream is logged once a second', () => {
  test('the next line says how many were left out', () => {
    const { lines, at, fail } = virtualLog();
    const told: number[] = [];
    for (const ms of [0, 1, 500, 999, 1_000, 1_001, 2_500, 9_000]) {
      at(ms);
      const before = lines.length;
      fail('CONNECT_REFUSED', A);
      if (lines.length > before) told.push(ms);
    }
    assert.deepEqual(told, [0, 1_000, 2_500, 9_000]);
    const counts = lines.map((line) => /\(and (\d+) more like it\)$/.exec(line)?.[1]);
    assert.deepEqual(counts, [undefined, '3', '1', undefined]);
  });

  test('other failures are logged in the same second', () => {
    const { lines, fail } = virtualLog();
    for (let i = 0; i < 3; i++) {
      fail('CONNECT_REFUSED', A);
      fail('CONNECT_REFUSED', B);
      fail('RESPONSE_TIMEOUT', A);
      fail('STRATEGY_FAILED');
    }
    assert.deepEqual(lines.map((line) => line.split(': ')[0]),
      [`CONNECT_REFUSED ${A}`, `CONNECT_REFUSED ${B}`, `RESPONSE_TIMEOUT ${A}`, 'STRATEGY_FAILED']);
  });

  test('a hundred thousand failures in a second are one line', () => {
    const { lines, at, fail } = virtualLog();
    for (let i = 0; i < 100_000; i++) {
      at(i / 100);
      fail('CONNECT_REFUSED', A);
    }
    at(1_000);
    fail('CONNECT_REFUSED', A);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /\(and 99999 more like it\)$/);
  });

  test('endlessly changing upstreams are each logged', () => {
    const { lines, at, fail } = virtualLog();
    for (let i = 0; i < 25_000; i++) {
      at(i);
      fail('CONNECT_REFUSED', `http://10.0.0.1:${i}`);
    }
    assert.equal(lines.length, 25_000);
  });
});

test('ejections, readmissions and refused requests are logged', () => {
  const lines: string[] = [];
  const events = new Events(() => assert.fail('a listener failed'));
  const upstream = { origin: A, state: 'active' } as Upstream;
  const balancer = {
    pools: { api: { strategy: 'mine', upstreams: [upstream] } },
    on(...given: Parameters<Events['on']>): unknown {
      events.on(...given);
      return balancer;
    },
  };
  logEvents(balancer as unknown as Parameters<typeof logEvents>[0], (line) => lines.push(line), () => 0);
  const pool = 'default';
  const unknown = { code: undefined, status: undefined };
  const remoteAddress = '127.0.0.1';
  events.tell('ejected', { pool, upstream, forMs: 1_000, by: 'attempts', code: 'CONNECT_REFUSED', status: undefined });
  events.tell('ejected', { pool, upstream, forMs: 1_000, by: 'attempts', code: undefined, status: 503 });
  events.tell('ejected', { pool, upstream, forMs: Infinity, by: 'probes', ...unknown });
  events.tell('ejected', { pool, upstream, forMs: 1_000, by: 'peers', ...unknown });
  events.tell('readmitted', { pool, upstream, by: 'attempts' });
  events.tell('readmitted', { pool: 'api', upstream, by: 'attempts' });
  for (let i = 0; i < 3; i++) events.tell('refused', { status: 503, code: 'NO_CANDIDATE', remoteAddress });
  events.tell('refused', { status: 400, code: 'REQUEST_MALFORMED', remoteAddress });
  assert.deepEqual(lines, [
    `${A} is ejected for 1.0 s: too many of its attempts failed in a row, the last with CONNECT_REFUSED`,
    `${A} is ejected for 1.0 s: too many of its attempts failed in a row, the last with status 503`,
    `${A} is ejected until its probes succeed: its probes failed`,
    `${A} is readmitted: it responds again`,
    `${A} (pool api) is readmitted: it responds again`,
    'NO_CANDIDATE: answered 503: strategy mine declined, or every candidate was tried',
  ]);
});
