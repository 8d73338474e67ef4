/**
 * PM2, from its package, with its own home directory and daemon.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { directory } from './process-files.ts';
import { turns, within } from './wait.ts';

const PROGRAM = join(dirname(createRequire(import.meta.url).resolve('pm2/package.json')), 'bin', 'pm2');

export interface Pm2 {
  /** Runs a command; resolves with what it printed. */
  run(...args: readonly string[]): Promise<string>;
  /** Resolves when its processes with this name have written what matches, `times` times, to `out` or `error`. */
  logged(name: string, stream: 'out' | 'error', pattern: RegExp, times: number): Promise<void>;
}

/** Prepares PM2; its daemon ends with the test. */
export function preparePm2(t: TestContext): Pm2 {
  let home = '';
  const run = async (...args: readonly string[]): Promise<string> => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: { ...process.env, PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const [code] = await once(child, 'close') as [number | null];
    assert.equal(code, 0, `pm2 ${args.join(' ')}: ${out}${err}`);
    return out;
  };
  // Before the directory is removed: hooks run in the order in which they were added.
  t.after(async () => {
    const daemon = Number(readFileSync(join(home, 'pm2.pid'), 'utf8'));
    await run('kill');
    try {
      // PM2 reports its daemon's exit before it exits, and sometimes it keeps running.
      process.kill(daemon, 'SIGKILL');
    } catch {
      // It is gone.
    }
  });
  home = directory(t);
  return {
    run,
    logged: (name, stream, pattern, times) => {
      const text = (): string => ['0', '1'].map((id) => {
        return readFileSync(join(home, 'logs', `${name}-${stream}-${id}.log`), 'utf8');
      }).join('');
      const all = new RegExp(pattern, 'g');
      // The daemon writes what a process has said at its end after it has reported that end.
      const written = async (): Promise<void> => {
        while ([...text().matchAll(all)].length < times) await turns(10);
      };
      return within(written(), () => `${times} x ${String(pattern)} in ${text()}`);
    },
  };
}
