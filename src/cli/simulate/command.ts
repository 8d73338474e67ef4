/**
 * `equipoise simulate`: runs the simulation in a thread, shows how far it is, and prints and writes what it came to.
 */
import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../guard.ts';
import { SCENARIOS } from '../../lab/scenarios.ts';
import { shown } from '../../options/checks.ts';
import type { Beginning } from '../beginning.ts';
import { whyNoFile } from '../load.ts';
import { STRATEGY_NAMES } from '../strategies.ts';
import { readSimulateArguments, SIMULATE_USAGE, type SimulateArguments } from './arguments.ts';
import type { Answer } from './job.ts';
import { Progress, showProgress, StallWatch } from './progress.ts';
import type { Order } from './worker.ts';

const FAILED = 1;
const WRONG_USAGE = 2;
/** Longer than any pick, and than what a report takes. */
const STUCK_S = 60;
/** As shells have it: 128 and the number of the signal. */
const INTERRUPTED: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** Runs it. Resolves with the exit code. */
export async function simulateCommand(argv: readonly string[], beginning: Beginning): Promise<number> {
  const { output } = beginning;
  const problems: string[] = [];
  const args = readSimulateArguments(argv, problems);
  if (args.help) {
    output.say(SIMULATE_USAGE.trimEnd().replace('NAMES', STRATEGY_NAMES.join(', ')));
    return 0;
  }
  if (args.values.scenario === 'list') {
    await output.print([...SCENARIOS.values()].map(({ name, about }) => `${name}\n${wrapped(about)}`).join('\n\n'));
    return 0;
  }
  checkFiles(args, problems);
  const progress = new Float64Array(new SharedArrayBuffer(32));
  const order: Order = { args, problems, command: `equipoise simulate ${argv.map(quoted).join(' ')}`, progress };
  const part = (): number => {
    const all = progress[Progress.all] ?? 0;
    return all === 0 ? 0 : (progress[Progress.done] ?? 0) / all;
  };
  const hide = showProgress(process.stderr, part);
  const answer = await inThread(order, beginning).finally(hide);
  if (answer.kind === 'interrupted') {
    output.log(`${answer.signal}: stopped after ${Math.floor(part() * 100)}% of the requests, without a result`,
      { event: 'stopped', signal: answer.signal });
    return INTERRUPTED[answer.signal] ?? FAILED;
  }
  if (answer.kind === 'problems') {
    output.log(`${answer.lines.join('\n')}\nSee equipoise simulate --help.`,
      { event: 'configuration-invalid', level: 'error' });
    return WRONG_USAGE;
  }
  if (answer.kind === 'failed') {
    output.log(answer.message, { event: 'failed', level: 'error' });
    return FAILED;
  }
  return publish(answer, args, beginning);
}

/** Writes the files, then prints. */
async function publish(
  { text, json, report }: Answer & { readonly kind: 'done' }, { values }: SimulateArguments, { output }: Beginning,
): Promise<number> {
  const files: readonly (readonly [path: string | undefined, content: string | undefined])[] = [
    [values.json === '-' ? undefined : values.json, json], [values.report, report],
  ];
  let code = 0;
  for (const [path, content] of files) {
    if (path === undefined || content === undefined) continue;
    try {
      await writeFile(path, content);
    } catch (error) {
      // The other results are still worth having.
      output.log(`cannot write ${path}: ${messageOf(error)}`, { event: 'failed', level: 'error' });
      code = FAILED;
    }
  }
  await output.print(values.json === '-' ? json.trimEnd() : text);
  if (report !== undefined && code === 0) output.log(`report: ${values.report ?? ''}`, { event: 'report' });
  return code;
}

type Ended = Answer | { readonly kind: 'interrupted'; readonly signal: string };

/** Runs the thread. Resolves when it has answered, or when a signal has ended it. */
async function inThread(order: Order, { signals, started }: Beginning): Promise<Ended> {
  const program = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
  // What strategies print must not get between the results.
  const worker = new Worker(program, { workerData: order, stdout: true });
  worker.stdout.pipe(process.stderr, { end: false });
  started();
  const watch = new StallWatch(STUCK_S);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Ended>((resolve) => {
      signals.onStop((signal) => {
        resolve({ kind: 'interrupted', signal });
      });
      timer = setInterval(() => {
        if (watch.stuck(order.progress)) resolve({ kind: 'failed', message: stuckMessage(order) });
      }, 1_000);
      worker.on('message', resolve).on('error', (error) => {
        resolve({ kind: 'failed', message: messageOf(error) });
      }).on('exit', (code) => {
        resolve({ kind: 'failed', message: `a strategy ended its thread with exit code ${code}` });
      });
    });
  } finally {
    clearInterval(timer);
    await worker.terminate();
  }
}

/** What blocks the thread can only be a strategy: while it is loaded, or in a run. */
function stuckMessage({ args: { strategy }, progress }: Order): string {
  const all = progress[Progress.all] ?? 0;
  if (all === 0) return `a strategy's file or factory has not returned for ${STUCK_S} s: does it loop?`;
  return `${strategy[progress[Progress.strategy] ?? 0] ?? 'a strategy'} has not returned for ${STUCK_S} s, after ${
    progress[Progress.done] ?? 0} of ${all} requests: does it loop?`;
}

/** It would be a pity to find out after minutes. */
function checkFiles({ values: { json, report } }: SimulateArguments, problems: string[]): void {
  if (report !== undefined && !/\.(?:html|svg)$/i.test(report)) {
    problems.push(`--report: must be a file named .html or .svg (got ${shown(report)})`);
  }
  for (const [flag, path] of [['--json', json], ['--report', report]] as const) {
    if (path === undefined || path === '-') continue;
    const folder = dirname(path);
    if (!existsSync(folder)) problems.push(`${flag}: the folder ${folder} does not exist; create it first`);
    else if (existsSync(path) && statSync(path).isDirectory()) {
      problems.push(`${flag}: cannot write ${path}: ${whyNoFile({ code: 'EISDIR' }) ?? ''}`);
    }
  }
}

/** An argument as a shell takes it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Lines of a paragraph, indented. */
function wrapped(text: string): string {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + word.length > 76) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => `  ${line}`).join('\n');
}
