/**
 * Small programs in separate processes, for behaviour that only the end of a process shows.
 */
import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { within } from './wait.ts';

/** The output of `npm run build`: a program that compiles TypeScript takes longer to start than to run. */
const BUILD = new URL('../../dist/src/index.js', import.meta.url).href;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a program that may use `createBalancer`, `http`, `net` and the strategy `first`. Resolves with its
 * output when it has ended by itself. It gets `fds` as file descriptors from 3 on.
 */
export async function runProgram(program: string, fds: readonly number[] = []): Promise<Ended> {
  const text = `
    import http from 'node:http';
    import net from 'node:net';
    import { createBalancer } from ${JSON.stringify(BUILD)};
    const first = { name: 'first', pick: (candidates) => candidates[0] };
    ${program}`;
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...fds];
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio });
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
