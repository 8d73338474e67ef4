/**
 * The system calls of one exchange, which are most of its cost. strace counts them; nothing is timed.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atEnd } from '../support/scope.ts';
import { Signal } from '../support/wait.ts';
import { Client, startUpstream } from './exchanges.ts';

const BINARY = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
/** Starting and stopping make the same calls in a short run and a long one. */
const SHORT = 200;
const LONG = 1_200;
/** All calls that concern descriptors. */
const TRACED = 'trace=%desc,%network';
/** Not counted: V8 allocates memory, and how often a loop waits depends on when data arrives. */
const OTHERS = /^(?:mmap|munmap|epoll_p?wait2?|total)$/;

/** 4.0 were measured with Node 20.20, 22.23, 24.21 and 26.10: a read and a write for each of the two messages. */
const BOUND = 5;

/** Why system calls cannot be counted here. */
function lacking(): string | false {
  const { error, status, stderr } = spawnSync('strace', ['-f', '-c', '-e', TRACED, 'true'], { encoding: 'utf8' });
  if (error !== undefined) return 'strace is not installed (apt-get install strace)';
  return status === 0 ? false : `strace may not trace here: ${stderr.trim().split('\n')[0] ?? ''}`;
}

/** The calls of a balancer, by name, that starts, serves `count` exchanges and ends. */
async function calls(t: TestContext, directory: string, origin: string, count: number): Promise<Map<string, number>> {
  const [table, pidFile] = ['table', 'pid'].map((name) => path.join(directory, `${name}-${count}`)) as [string, string];
  const env = { ...process.env, NODE_V8_COVERAGE: undefined }; // coverage makes its own system calls
  const args = ['-f', '-c', '-e', TRACED, '-o', table, process.execPath, BINARY,
    '--listen', '127.0.0.1:0', '--pid-file', pidFile, origin];
  const strace = spawn('strace', args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const signal = new Signal();
  let said = '';
  let ended = false;
  for (const stream of [strace.stdout, strace.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      signal.raise();
    });
  }
  strace.on('close', () => {
    ended = true;
    signal.raise();
  });
  // A traced process survives its tracer, so it is signalled itself.
  const stop = (name: NodeJS.Signals): void => {
    if (!ended && existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), name);
  };
  atEnd(t, () => {
    stop('SIGKILL');
  });

  const port = (): number => Number(/listening on http:\/\/[^,]*:(\d+)/.exec(said)?.[1] ?? 0);
  await signal.until(() => ended || port() > 0, () => `the balancer to listen; it said ${said}`);
  const client = new Client(t, port());
  await client.exchange(count);
  stop('SIGTERM');
  await signal.until(() => ended, () => `the balancer to end; it said ${said}`);

  const rows = readFileSync(table, 'utf8').split('\n').map((line) => line.trim().split(/\s+/));
  // "% time, seconds, usecs/call, calls, errors (where there are any), syscall"
  return new Map(rows.filter(([first]) => /^\d/.test(first ?? '')).map((row) => [row.at(-1) ?? '', Number(row[3])]));
}

test(`an exchange takes at most ${BOUND} system calls on its connections`, { skip: lacking() }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'equipoise-syscalls-'));
  atEnd(t, () => {
    rmSync(directory, { recursive: true });
  });
  const origin = await startUpstream(t);
  const short = await calls(t, directory, origin, SHORT);
  const long = await calls(t, directory, origin, LONG);
  const each = [...long]
    .filter(([name]) => !OTHERS.test(name))
    .map(([name, count]) => [name, (count - (short.get(name) ?? 0)) / (LONG - SHORT)] as const)
    .filter(([, count]) => Math.abs(count) >= 0.01);
  const total = each.reduce((sum, [, count]) => sum + count, 0);
  const shown = `${total.toFixed(2)}: ${each.map(([name, count]) => `${count.toFixed(2)} ${name}`).join(', ')}`;
  t.diagnostic(shown);
  assert.ok(total <= BOUND, `an exchange takes ${shown}`);
  assert.ok(total > BOUND / 2, `an exchange takes ${shown}: lower the bound`);
});
