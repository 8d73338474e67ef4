/**
 * The thread that simulates: the process stays free for signals and the progress bar, and may end this thread whatever
 * the strategy does.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../guard.ts';
import type { SimulateArguments } from './arguments.ts';
import { type Answer, perform } from './job.ts';

/** What the thread is given. */
export interface Order {
  readonly args: SimulateArguments;
  readonly problems: readonly string[];
  /** How it was called. */
  readonly command: string;
  /** Requests so far, and of all runs together; shared with the process. */
  readonly progress: Float64Array;
}

const { args, problems, command, progress } = workerData as Order;
let answer: Answer;
try {
  answer = await perform(args, [...problems], command, (all) => {
    progress[1] = all;
  }, () => {
    progress[0] = (progress[0] ?? 0) + 1;
  });
} catch (error) {
  answer = { kind: 'failed', message: messageOf(error) };
}
parentPort?.postMessage(answer);
