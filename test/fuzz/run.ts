/**
 * The long run: `npm run fuzz -- <count> [--front socket|node:http] [--kind requests|responses] [--seed N]
 * [--workers N]`, and `--only INDEX` to repeat one draw of a seed. Exits with 1 if anything was found.
 */
import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { testSeed } from '../../src/testing/random.ts';
import { FRONTS } from './front.ts';
import { type Find, KINDS, Session } from './session.ts';

/** A worker's report of the cases since its last report. */
interface News {
  readonly cases: number;
  readonly counts: readonly (readonly [what: string, count: number])[];
  readonly finds: readonly Find[];
}

/** Cases between two reports of a worker, and between two lines of progress; findings that are shown. */
const TOLD_AFTER = 5_000;
const SHOWN_AFTER = 100_000;
const MAX_SHOWN = 20;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    front: { type: 'string', default: 'socket' },
    kind: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: String(os.availableParallelism()) },
    only: { type: 'string' },
    worker: { type: 'string' },
  },
});
const count = Number(positionals[0] ?? 1_000_000);
const seed = values.seed === undefined ? testSeed() : Number(values.seed);
const workers = Number(values.workers);
const front = FRONTS.find((name) => name === values.front);
const kinds = KINDS.filter((name) => values.kind === undefined || name === values.kind);
if (![count, seed, workers].every(Number.isSafeInteger) || workers < 1 || front === undefined || kinds.length === 0) {
  throw new RangeError(`usage: npm run fuzz -- <count> [--front ${FRONTS.join('|')}] [--kind ${KINDS.join('|')}] `
    + '[--seed N] [--workers N] [--only INDEX]');
}
// Most cases end in an error somewhere: its stack trace is not used.
Error.stackTraceLimit = 0;

if (values.worker !== undefined) await work(Number(values.worker));
else if (values.only !== undefined) await repeat(Number(values.only));
else await lead();

/** Runs this worker's share of the cases. */
async function work(worker: number): Promise<void> {
  const session = new Session(seed, front);
  let cases = 0;
  const tell = async (): Promise<void> => {
    const news: News = { cases, counts: [...session.counts], finds: session.finds.splice(0) };
    cases = 0;
    session.counts.clear();
    // Waits until the report is sent: the loop that runs the cases leaves no other time for it.
    await new Promise((resolve) => process.send?.(news, resolve));
  };
  // All kinds in turn, whatever the number of workers.
  for (let turn = worker; turn * kinds.length < count; turn += workers) {
    for (const kind of kinds) cases += await session.run(turn * KINDS.length + KINDS.indexOf(kind));
    if (cases >= TOLD_AFTER) await tell();
  }
  await tell();
  await session.close();
  process.disconnect();
}

/** Starts the workers, sums up their reports, and prints the result. */
async function lead(): Promise<void> {
  const started = performance.now();
  const counts = new Map<string, number>();
  let cases = 0;
  let found = 0;
  let shown = 0;
  const what = `${kinds.join(' and ')} by ${values.front}`;
  console.log(`fuzzing ${what} with seed ${seed}: ${count} draws, ${workers} workers`);
  const hear = (news: News): void => {
    cases += news.cases;
    for (const [what, more] of news.counts) counts.set(what, (counts.get(what) ?? 0) + more);
    for (const find of news.finds) if (++found <= MAX_SHOWN) show(find);
    if (cases - shown < SHOWN_AFTER) return;
    shown = cases;
    const rate = Math.round(cases / (performance.now() - started) * 1000);
    console.log(`${cases} cases, ${rate}/s, ${found} found`);
  };
  const children = Array.from({ length: workers }, (_, i) => startWorker(i, hear));
  const codes = await Promise.all(children.map(async (child) => new Promise((resolve) => child.once('exit', resolve))));
  console.log(summary(counts));
  const broken = codes.filter((code) => code !== 0).length;
  console.log(`${cases} cases with seed ${seed}: ${found} found${broken > 0 ? `, ${broken} workers broke down` : ''}`);
  if (found + broken > 0) process.exitCode = 1;
}

function startWorker(index: number, hear: (news: News) => void): ChildProcess {
  const options = ['--seed', String(seed), '--workers', String(workers), '--worker', String(index)];
  options.push('--front', values.front, ...(values.kind === undefined ? [] : ['--kind', values.kind]));
  const child = fork(fileURLToPath(import.meta.url), [String(count), ...options]);
  child.on('message', hear);
  return child;
}

/** Runs what one index draws. */
async function repeat(index: number): Promise<void> {
  const session = new Session(seed, front);
  const cases = await session.run(index);
  for (const find of session.finds) show(find);
  console.log(summary(session.counts));
  console.log(`${cases} cases of draw ${index} with seed ${seed}: ${session.finds.length} found`);
  if (session.finds.length > 0) process.exitCode = 1;
  await session.close();
}

function show({ index, fault, found, small, saw }: Find): void {
  console.log(`\nFOUND in ${KINDS[index % KINDS.length] ?? ''}: ${escaped(fault)}`);
  console.log(`  case:    ${escaped(JSON.stringify(found))}`);
  console.log(`  smaller: ${escaped(JSON.stringify(small))}`);
  console.log(`  saw:     ${escaped(JSON.stringify(saw)).slice(0, 4_000)}`);
  console.log(`  repeat:  npm run fuzz -- --front ${values.front} --seed ${seed} --only ${index}`);
}

function summary(counts: ReadonlyMap<string, number>): string {
  return [...counts].sort().map(([what, some]) => `  ${what}: ${some}`).join('\n');
}

function escaped(text: string): string {
  return text.replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
