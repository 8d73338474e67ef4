import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { random } from '../../strategies/random.ts';
import { reportHtml, type ReportOptions, reportSvg } from '../../src/lab/report/report.ts';
import { bandsOf } from '../../src/lab/report/marks.ts';
import { counting, linear, logarithmic } from '../../src/lab/report/scale.ts';
import { amount, duration, escaped, percent, printable, short } from '../../src/lab/report/text.ts';
import { exponential } from '../../src/lab/service.ts';
import { simulate } from '../../src/lab/simulate.ts';
import type { Strategy } from '../../src/strategy.ts';

const HOSTILE = '</style></svg><script>alert(1)</script>&"\'\u202e\0';

/** Sends most to the first server. */
function unfair(rng: () => number): Strategy {
  return { name: 'unfair', pick: (all) => all[Math.floor(rng() ** 4 * all.length)] };
}

const runs = ([[HOSTILE, unfair], ['random', (rng: () => number) => random({ rng })]] as const).map(([name, make]) => ({
  name,
  result: simulate({
    strategy: ({ rng }) => make(rng), upstreams: 4, load: 0.6, service: exponential(10), requests: 4_000,
    pool: { ejectAfter: 3, ejectMs: 1_000 },
    faults: [
      { server: 1, kind: 'failing', fromMs: 2_000, toMs: 5_000 }, { server: 2, kind: 'slow', fromMs: 9_000, factor: 3 },
      { server: 3, kind: 'down', fromMs: 6_000, toMs: 7_000 },
    ],
  }),
}));
const options: ReportOptions = {
  title: HOSTILE, facts: [HOSTILE], command: HOSTILE,
  groups: [{ title: HOSTILE, runs, findings: [HOSTILE], table: { head: ['strategy'], rows: [[HOSTILE], ['random']] } }],
};

for (const [format, report] of [['HTML', reportHtml(options)], ['SVG', reportSvg(options)]] as const) {
  describe(`a report in ${format}`, () => {
    test('has hostile names as text alone, and needs neither script nor network', () => {
      assert.doesNotMatch(report, /<script|\u202e|\0/);
      assert.ok(report.includes(escaped('</style></svg><script>')));
      assert.doesNotMatch(report.replaceAll('http://www.w3.org/2000/svg', ''), /\b(?:src|href)=|url\(|@import|https?:/);
      assert.doesNotMatch(report, /NaN|undefined|Infinity/);
    });
    test('closes what it opens', () => {
      const open: string[] = [];
      for (const [, end, name = '', , own] of report.matchAll(/<(\/?)([a-z][a-z\d]*)((?:[^<>"]|"[^"]*")*?)(\/?)>/g)) {
        if (end === '/') assert.equal(open.pop(), name);
        else if (own !== '/' && name !== 'meta') open.push(name);
      }
      assert.deepEqual(open, []);
    });
    test('shows the faults, the ejections, and each server', () => {
      for (const what of ['failing: server-2', 'slow: server-3', 'ejected, o readmitted', 'server-4: in flight',
        'server-4: share', 'Latency by percentile', 'Mean latency over time', 'Share that failed']) {
        assert.ok(report.includes(what), what);
      }
      assert.match(report, /class="fault"/);
    });
    test('follows the colours of the system, and has dashes and letters without any', () => {
      assert.match(report, /prefers-color-scheme:dark/);
      assert.match(report, /\.s1\{[^}]*stroke-dasharray:7 3/);
      assert.match(report, />A<\/text>/);
    });
  });
}

test('a bad strategy is far above the others where latency is', () => {
  const page = reportHtml(options);
  const lines = [...page.slice(page.indexOf('>Latency by percentile<')).matchAll(/class="line s\d" d="([^"]*)"/g)];
  const [bad = [], good = []] = lines.slice(0, 2).map(([, d = '']) => (
    [...d.matchAll(/[ML][\d.]+ ([\d.]+)/g)].map(([, y]) => Number(y))));
  assert.equal(bad.length, good.length);
  // From the 90th percentile on.
  for (let at = 24; at < bad.length; at++) assert.ok((good[at] ?? 0) - (bad[at] ?? 0) > 20, `point ${at}`);
});

test('faults are paired with their ends; one without an end lasts until the run ends', () => {
  const marks = [
    { ms: 1, what: 'slow', server: 'a' }, { ms: 2, what: 'ejected', server: 'a' }, { ms: 3, what: 'slow', server: 'b' },
    { ms: 4, what: 'slow over', server: 'a' }, { ms: 5, what: 'slow', server: 'a' },
  ];
  assert.deepEqual(bandsOf(marks, 9).map(({ server, fromMs, toMs }) => [server, fromMs, toMs]),
    [['a', 1, 4], ['b', 3, 9], ['a', 5, 9]]);
});

test('axes have round numbers, and places within them', () => {
  assert.deepEqual(linear(0, 93, 0, 100).ticks, [0, 20, 40, 60, 80]);
  assert.deepEqual(logarithmic(0.9, 120, 0, 100).ticks, [1, 2, 5, 10, 20, 50, 100]);
  assert.deepEqual(counting(3_000, 0, 1).ticks.slice(0, 2), [0, 10]);
  assert.deepEqual([-5, 0, 50, 500].map(linear(0, 100, 10, 20).place), [10, 10, 15, 20]);
});

test('numbers and texts are short', () => {
  assert.deepEqual([0, 0.01234, 1.5, 12.34, 99.96, 12_345.6, NaN].map(amount),
    ['0', '0.0123', '1.50', '12.3', '100', '12,346', '-']);
  assert.deepEqual([0, 0.5, 0.0004, 0.995, 1].map(percent), ['0%', '50.0%', '0.0400%', '99.50%', '100%']);
  assert.deepEqual([0, 12, 1_500, 180_000, 7.2e6].map((ms) => duration(ms)), ['0', '12 ms', '1.5 s', '3 min', '2 h']);
  assert.deepEqual([0, 0.5, 1_234, 123_456].map(short), ['0', '0.5', '1234', '123,500']);
  assert.equal(printable('a\x1b[31m\ud800\u2028é\u{1f600}'), 'a\ufffd[31m\ufffd\ufffdé\u{1f600}');
});
