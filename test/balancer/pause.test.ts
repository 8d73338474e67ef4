/**
 * A process that was stopped, or whose loop was blocked, for longer than its timeouts: answers that have arrived are
 * passed on, and those that come soon after are awaited. The pause itself is under test: it takes real time.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectTo, get } from '../support/client.ts';
import { Holding } from '../support/holding.ts';
import { atEnd } from '../support/scope.ts';
import { turns, within } from '../support/wait.ts';

const PROGRAM = fileURLToPath(new URL('./pause-program.ts', import.meta.url));
/** Longer than each of the balancer's timeouts. */
const PAUSE_MS = 4_000;

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  readonly reports: string[];
}

async function start(t: TestContext, origin: string): Promise<Running> {
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  const child = fork(PROGRAM, [origin], { env, execArgv: ['--import', 'tsx'] });
  atEnd(t, async () => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  const reports: string[] = [];
  child.on('message', (told: { report?: string }) => {
    if (told.report !== undefined) reports.push(told.report);
  });
  const [{ port }] = await within(once(child, 'message'), () => 'the balancer to listen') as [{ port: number }];
  return { child, port, reports };
}

/** Stops the process, and resolves when it has stopped. */
async function stop({ child }: Running): Promise<void> {
  child.kill('SIGSTOP');
  const state = (): string => readFileSync(`/proc/${child.pid ?? 0}/stat`, 'latin1').split(') ')[1]?.[0] ?? '';
  while (state() !== 'T') await turns(1);
}

async function block({ child }: Running): Promise<void> {
  child.send(PAUSE_MS);
  await within(once(child, 'message'), () => 'the loop to block');
}

const skip = process.platform !== 'linux' && 'needs /proc to see that a process has stopped';

type Case = readonly [name: string, pause: (running: Running) => Promise<void>, resume: (running: Running) => unknown];

const CASES: readonly Case[] = [
  ['of the process', stop, ({ child }) => child.kill('SIGCONT')],
  ['of the event loop', block, () => undefined],
];

async function pausing(t: TestContext, [name, pause, resume]: Case, late: boolean): Promise<void> {
  const what = `${name}, an answer that comes ${late ? 'soon after' : 'meanwhile'}`;
  const holding = await Holding.start(t);
  const running = await start(t, holding.origin);
  const client = await connectTo(t, running.port);
  client.send(get('/held'));
  await holding.came(1);
  await pause(running);
  if (!late) holding.release();
  await sleep(PAUSE_MS);
  resume(running);
  if (late) {
    // Another request shows that it still runs.
    const other = await connectTo(t, running.port);
    other.send(get('/other'));
    await holding.came(2);
    holding.release();
    holding.release();
    assert.equal((await other.response()).text, '/other', what);
  }
  const { status, text } = await client.response();
  assert.deepEqual([status, text], [200, '/held'], what);
  assert.deepEqual(running.reports, [], what);
}

// All at once, since each only waits.
test('a pause that is longer than the timeouts: answers are passed on', { skip }, async (t) => {
  await Promise.all(CASES.flatMap((one) => [pausing(t, one, false), pausing(t, one, true)]));
});
