/**
 * Many runs of the binary in one process, for tables of wrong configurations: a process for each row would spend its
 * time on its start, which is the same in all. It is the code in `dist`, from the arguments to the exit code; what
 * main.ts does around that is tested by those that start the binary itself, see process-binary.ts.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Exit } from './process-binary.ts';
import { within } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('runs-program.mjs', import.meta.url));

/**
 * Returns a function that runs the binary and resolves when it would exit. Call this in a `describe`: the process
 * starts with the first run, and ends with the suite. Runs follow one another. They must not serve: nothing stops them.
 */
export function runsInOneProcess(): (args: readonly string[], options?: { readonly cwd?: string }) => Promise<Exit> {
  let child: ChildProcess | undefined;
  let last: Promise<unknown> = Promise.resolve();

  after(async () => {
    if (child === undefined) return;
    // An end by itself writes coverage; it also shows that no run left anything open.
    const ended = once(child, 'exit');
    child.disconnect();
    try {
      await within(ended, () => 'the process of many runs to end');
    } finally {
      child.kill('SIGKILL');
    }
  });

  async function runNext(args: readonly string[], cwd: string | undefined): Promise<Exit> {
    child ??= fork(PROGRAM, { execArgv: [] });
    const running = child;
    const answer = new Promise<Exit>((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the process of many runs ended with ${code}`));
      };
      running.once('exit', onExit).once('message', (exit) => {
        running.off('exit', onExit);
        resolve(exit as Exit);
      });
    });
    running.send({ args, cwd });
    return within(answer, () => `the run of ${args.join(' ')} to end`);
  }

  return (args, { cwd } = {}) => {
    const next = last.then(() => runNext(args, cwd));
    last = next.catch(() => undefined);
    return next;
  };
}
