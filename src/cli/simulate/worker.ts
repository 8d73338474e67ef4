/**
 * The thread that simulates: the process stays free for signals and the progress bar, and may end this thread whatever
 * the strategy does.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../guard.ts';
import type { SimulateArguments } from './arguments.ts';
import { placeOf } from '../load.ts';
import { type Answer, inOneLine, perform } from './job.ts';
import { Progress } from './progress.ts';

/** What the thread is given. */
export interface Order {
  readonly args: SimulateArguments;
  readonly problems: readonly string[];
  /** How it was called. */
  readonly command: string;
  /** Shared with the process: see `Progress`. */
  readonly progress: Float64Array;
}

// Says that this thread is not blocked, as while it reads a log.
setInterval(() => {
  add(Progress.beats);
}, 100).unref();
let stray: unknown;
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    stray ??= error;
  });
}

const { args, problems, command, progress } = workerData as Order;
let answer: Answer;
try {
  answer = await perform(args, [...problems], command, (all) => {
    progress[Progress.all] = all;
  }, () => {
    add(Progress.done);
  }, (strategy) => {
    progress[Progress.strategy] = strategy;
  });
  // What a strategy left behind, a rejected promise say, comes to light in the next turn; it would end a balancer.
  await new Promise((resolve) => setImmediate(resolve));
  if (stray !== undefined && answer.kind === 'done') {
    const message = `a strategy left an error that nothing caught: ${inOneLine(stray)}${placeOf(stray)}`;
    answer = { kind: 'failed', message };
  }
} catch (error) {
  answer = { kind: 'failed', message: messageOf(error) };
}
parentPort?.postMessage(answer);

function add(which: number): void {
  progress[which] = (progress[which] ?? 0) + 1;
}
