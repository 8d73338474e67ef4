import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { logEvents, reportLog } from '../../src/cli/log.ts';
import { factsOf, jsonLine, type Log } from '../../src/cli/log-line.ts';
import { Output } from '../../src/cli/output.ts';
import { BalancerError } from '../../src/errors.ts';
import { Events } from '../../src/events.ts';
import type { Upstream } from '../../src/strategy.ts';
import { type Binary, run, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

type Line = Readonly<Record<string, unknown>>;

function linesOf(text: string): Line[] {
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
}

const LISTEN = ['-l', '127.0.0.1:0', '--log-format', 'json'];
const A = 'http://10.0.0.1:3000';

describe('a line in JSON', () => {
  test('has time, level, event and message first, then the process', () => {
    const line = JSON.parse(jsonLine('a "b"\nc', { event: 'ejected', level: 'warn', upstream: A })) as Line;
    assert.deepEqual(Object.keys(line), ['time', 'level', 'event', 'message', 'pid', 'upstream']);
    assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual([line['level'], line['event'], line['message'], line['pid']],
      ['warn', 'ejected', 'a "b"\nc', process.pid]);
    assert.equal((JSON.parse(jsonLine('x')) as Line)['event'], 'log');
  });

  test('of an ejection, a readmission and a refusal has the reason', () => {
    const lines: Line[] = [];
    const write: Log = (text, facts) => lines.push(JSON.parse(jsonLine(text, facts)) as Line);
    const events = new Events(() => undefined);
    const balancer = {
      pools: {},
      on(name: never, listener: never) {
        events.on(name, listener);
        return this;
      },
    };
    logEvents(balancer as never, write, () => 0);
    const about = { pool: 'api', upstream: { origin: A } as Upstream };
    events.tell('ejected', { ...about, forMs: 5_000, by: 'attempts', code: 'CONNECT_REFUSED', status: undefined });
    events.tell('ejected', { ...about, forMs: Infinity, by: 'probes', code: undefined, status: undefined });
    events.tell('readmitted', { ...about, by: 'probes' });
    events.tell('refused', { status: 503, code: 'NO_CANDIDATE', remoteAddress: '' });
    const shown = lines.map(({ event, level, pool, upstream, by, code, forMs, reason, status }) => {
      return [event, level, pool, upstream, by, code, forMs, reason, status];
    });
    const failed = 'too many of its attempts failed in a row, the last with CONNECT_REFUSED';
    assert.deepEqual(shown, [
      ['ejected', 'warn', 'api', A, 'attempts', 'CONNECT_REFUSED', 5_000, failed, undefined],
      ['ejected', 'warn', 'api', A, 'probes', undefined, undefined, 'its probes failed', undefined],
      ['readmitted', 'info', 'api', A, 'probes', undefined, undefined, 'its probes succeed', undefined],
      ['refused', 'warn', undefined, undefined, undefined, 'NO_CANDIDATE', undefined, undefined, 503],
    ]);
  });

  test('of failures that repeat is written once a second, with how many there were', () => {
    const lines: Line[] = [];
    let now = 0;
    const report = reportLog((text, facts) => lines.push(JSON.parse(jsonLine(text, facts)) as Line), () => now);
    for (let i = 0; i < 5; i++) report({ error: new BalancerError('CONNECT_REFUSED'), upstream: A, requestId: 'r1' });
    now = 1_000;
    report({ error: new BalancerError('CONNECT_REFUSED'), upstream: A });
    report({ error: new BalancerError('STRATEGY_FAILED'), upstream: undefined });
    assert.deepEqual(lines.map(({ event, level, code, upstream, requestId, more }) => {
      return [event, level, code, upstream, requestId, more];
    }), [
      ['failure', 'warn', 'CONNECT_REFUSED', A, 'r1', undefined],
      ['failure', 'warn', 'CONNECT_REFUSED', A, undefined, 4],
      ['failure', 'error', 'STRATEGY_FAILED', undefined, undefined, undefined],
    ]);
  });

  test('of a worker names it, its process and why', () => {
    const facts = factsOf({
      type: 'gone', worker: { id: 2, pid: 77 } as never, expected: false, killed: false, code: null, signal: 'SIGKILL',
      failure: '',
    });
    assert.deepEqual([facts.event, facts.level, facts['worker'], facts['workerPid'], facts['signal']],
      ['worker-gone', 'error', 2, 77, 'SIGKILL']);
    assert.deepEqual(factsOf({ type: 'closing', why: 'SIGTERM' }).event, 'stopping');
  });

  test('says what a reader that stalled has lost', async () => {
    const stalled = new PassThrough({ highWaterMark: 1 });
    const output = new Output(new PassThrough(), stalled);
    output.format = 'json';
    try {
      for (let i = 0; i < 3_000; i++) output.log('x'.repeat(200), { event: 'failure' });
      let text = '';
      stalled.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      await new Promise((resolve) => {
        stalled.once('drain', resolve);
      });
      output.log('last', { event: 'failure' });
      await output.finished();
      const lines = linesOf(text);
      assert.ok(lines.length < 2_000, 'what waits is bounded');
      assert.match(String(lines.find(({ event }) => event === 'log-lost')?.['message']), /^\d+ lines were lost here/);
    } finally {
      output.format = 'text';
    }
  });
});

/** Waits for a line of this event. */
async function logged(binary: Binary, event: string): Promise<Line> {
  await binary.logged(new RegExp(`"event":"${event}".*\\n`));
  const line = linesOf(binary.stderr).find((each) => each['event'] === event);
  assert.ok(line !== undefined);
  return line;
}

describe('--log-format json', () => {
  for (const workers of ['1', '2']) {
    test(`makes JSON of every line, with ${workers} workers`, async (t) => {
      const down = 'http://127.0.0.1:9';
      const binary = start(t, [...LISTEN, '-w', workers, down]);
      const port = await binary.port();
      for (let i = 0; i < 20; i++) await get(port);
      const ejected = await logged(binary, 'ejected');
      assert.deepEqual([ejected['upstream'], ejected['by'], ejected['code'], ejected['pool'], ejected['level']],
        [down, 'attempts', 'CONNECT_REFUSED', 'default', 'warn']);
      assert.equal(typeof ejected['forMs'], 'number');
      assert.equal(typeof ejected['worker'], workers === '2' ? 'number' : 'undefined');
      binary.signal('SIGUSR2');
      await logged(binary, 'signal-ignored');
      binary.signal('SIGTERM');
      const { code, stderr } = await binary.exit();
      assert.equal(code, 0);
      const names = linesOf(stderr).map(({ event }) => event);
      for (const name of ['failure', 'ejected', 'stopping']) assert.ok(names.includes(name), name);
      for (const name of ['worker-ready', 'worker-gone']) assert.equal(names.includes(name), workers === '2', name);
    });
  }

  test('holds for mistakes of the configuration, and can stand in the file', async (t) => {
    const path = join(directory(t), 'config.json');
    writeFileSync(path, JSON.stringify({ upstreams: 5, logFormat: 'json' }));
    const { code, stderr } = await run(['-c', path]);
    const [line] = linesOf(stderr);
    assert.deepEqual([code, line?.['event'], line?.['level']], [2, 'configuration-invalid', 'error']);
    assert.match(String(line?.['message']), /^upstreams: must be/);
  });

  test('must be text or json', async (t) => {
    const { code, stderr } = await run(['--log-format', 'xml', await startNamed(t, 'A')]);
    assert.equal(code, 2);
    assert.match(stderr, /equipoise: log-format: must be text or json \(got "xml"\)/);
  });
});
