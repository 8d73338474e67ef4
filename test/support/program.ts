/**
 * Small programs in processes of their own: what only the end of a process can show.
 */
import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { within } from './wait.ts';

const SOURCE = new URL('../../src/index.ts', import.meta.url).href;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a program that may use `createBalancer`, `http`, `net` and the strategy `first`, and resolves with what it
 * printed when it has ended by itself. `fds` are passed on to it, from file descriptor 3.
 */
export async function runProgram(program: string, fds: readonly number[] = []): Promise<Ended> {
  const text = `
    import http from 'node:http';
    import net from 'node:net';
    import { createBalancer } from ${JSON.stringify(SOURCE)};
    const first = { name: 'first', pick: (candidates) => candidates[0] };
    ${program}`;
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...fds];
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', text], { stdio });
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    out += part;
  });
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    err += part;
  });
  try {
    const [code] = (await within(once(child, 'close'), () => `a process to end by itself: ${out}${err}`)) as [number];
    return { code, out, err };
  } finally {
    child.kill('SIGKILL');
  }
}
