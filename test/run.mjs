/**
 * Runs the tests: all of them, or those that have one of the arguments in their path.
 *
 *   node test/run.mjs [--long] [PART ...]
 *
 * Starting Node with a TypeScript loader, and writing its coverage, takes longer than most test files. A run of
 * everything therefore bundles them: several files of one folder share a process, one after the other. Files that are
 * named get a process each.
 *
 * EQUIPOISE_SEED is the seed of what tests draw: the same each time unless it is given; empty, a new one for each file.
 * With EQUIPOISE_AGAIN=1, as in CI, files that failed run once more, by themselves and with nothing beside them. What
 * then passes is reported as unstable, by name and in the last line: a fault to be found, here or in the engine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The most files in one process. */
const BUNDLE_SIZE = 12;
/** Not bundled: they measure their own process or change it as a whole. */
const ALONE = /^(?:cost|fuzz)\//;
/** Without coverage, which would slow them by a quarter and adds nothing to that of the other tests. */
const UNCOVERED = /^fuzz\//;
/** Started first because they take longest. */
const FIRST = /^(?:fuzz|documents|cost|faults|cluster|cli)\//;
/** Tests wait as much as they work: one more process than there are cores keeps those busy. */
const AT_ONCE = availableParallelism() + 1;
/** For a process. What a test waits for has a limit of its own, see support/wait.ts. */
const LIMIT_MS = 600_000;
/** The most files that run again: if more failed, it was not by chance. */
const MOST_AGAIN = 3;
const SEED = '20261127';
/** How many of the slowest files are named. */
const SLOWEST = 12;

const root = fileURLToPath(new URL('.', import.meta.url));
const loader = import.meta.resolve('tsx');
const reporter = new URL('support/results-reporter.mjs', import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), 'equipoise-run-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const long = process.argv.includes('--long');
const parts = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const files = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
  .filter((name) => parts.length === 0
    ? name.endsWith('.long.test.ts') === long
    : parts.some((part) => name.includes(part)))
  .sort((one, other) => Number(FIRST.test(other)) - Number(FIRST.test(one)) || (one < other ? -1 : 1));
if (files.length === 0) {
  console.error(`no test file has ${parts.join(' or ')} in its path`);
  process.exit(1);
}

process.env.EQUIPOISE_SEED ??= SEED;
if (process.env.NODE_V8_COVERAGE) addMaps(process.env.NODE_V8_COVERAGE);
const startedAt = performance.now();
const waiting = [...bundles().entries()];
const ended = [];
const children = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    waiting.length = 0;
    for (const child of children) child.kill(signal);
    process.exitCode = 1;
  });
}
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) ended.push(...await run(...next));
}));
const unstable = process.env.EQUIPOISE_AGAIN ? await runAgain(ended.filter(({ failed }) => failed > 0)) : [];
const slowest = ended.sort((one, other) => other.ms - one.ms).slice(0, SLOWEST);
const [passed, failed, skipped] = ['passed', 'failed', 'skipped']
  .map((outcome) => ended.reduce((sum, file) => sum + file[outcome], 0));
console.log(`\nslowest: ${slowest.map(({ name, ms }) => `${name} ${seconds(ms)}`).join(', ')}`);
console.log(`Node ${process.versions.node}, ${seconds(performance.now() - startedAt)}, `
  + `EQUIPOISE_SEED=${process.env.EQUIPOISE_SEED}`);
if (unstable.length > 0) console.log(`unstable: failed at first, and passed alone: ${unstable.join(', ')}`);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`
  + (unstable.length > 0 ? `, ${unstable.length} unstable` : ''));
if (failed > 0) process.exitCode = 1;

/** The files of each process, in the order of their start. */
function bundles() {
  if (parts.length > 0 || long) return files.map((name) => [name]);
  const rooms = [...new Set(files.map(dirname))];
  return rooms.flatMap((room) => {
    const mine = files.filter((name) => dirname(name) === room);
    const count = ALONE.test(`${room}/`) ? mine.length : Math.ceil(mine.length / BUNDLE_SIZE);
    return Array.from({ length: count }, (_, index) => mine.filter((_, at) => at % count === index));
  });
}

/** Runs these files again, one after the other. Returns the names of those that pass now, and counts their new results. */
async function runAgain(files) {
  const passed = [];
  if (files.length > MOST_AGAIN || process.exitCode === 1) return passed;
  for (const [at, file] of files.entries()) {
    console.log(`\nagain: test/${file.name}`);
    const [result] = await run(`again-${at}`, [file.name]);
    if (result.failed > 0) continue;
    Object.assign(file, result);
    passed.push(`test/${file.name}`);
  }
  return passed;
}

/** Runs files in one process, prints what became of them, and resolves with a summary of each. */
async function run(index, names) {
  const program = join(folder, `${index}.mjs`);
  const output = join(folder, `${index}.jsonl`);
  const urls = names.map((name) => pathToFileURL(join(root, name)).href);
  writeFileSync(program, urls.map((url) => `import ${JSON.stringify(url)};\n`).join(''));
  const begun = performance.now();
  const isCovered = !names.every((name) => UNCOVERED.test(name));
  const child = spawn(process.execPath, [
    '--import', loader,
    // node:test then names the line of a test in its source.
    '--enable-source-maps',
    `--test-reporter=${reporter}`, `--test-reporter-destination=${output}`,
    program,
  ], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
    env: isCovered ? process.env : { ...process.env, NODE_V8_COVERAGE: undefined },
  });
  children.add(child);
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  const [code, signal] = await once(child, 'close');
  children.delete(child);

  const summaries = names.map((name) => ({ name, ms: 0, passed: 0, failed: 0, skipped: 0 }));
  let file = summaries[0];
  for (const result of resultsIn(output)) {
    const { name, line, ms, outcome, isSuite, reason, error } = result;
    // A test that a helper defines belongs to the file before it.
    file = summaries.find((one) => join(root, one.name) === result.file) ?? file;
    file.ms += ms;
    // A suite counts if it fails by itself, in a hook say.
    if (!isSuite || outcome === 'failed') file[outcome]++;
    if (outcome === 'failed') {
      console.log(`\nFAILED: ${name} (${relative(process.cwd(), result.file ?? '')}:${line})\n${indented(error)}\n`);
    }
    if (reason !== undefined) console.log(`skipped: ${name}: ${reason}`);
  }
  if (names.length === 1) file.ms = performance.now() - begun;
  if ((code !== 0 || signal !== null) && summaries.every(({ failed }) => failed === 0)) {
    // At an import say, or after the last test.
    file.failed++;
    console.log(`\nFAILED: the process of ${names.join(', ')} ended with ${signal ?? `code ${code}`}\n`);
  }
  // Warnings of tests that passed are of no interest: many provoke some.
  if (errors !== '' && summaries.some(({ failed }) => failed > 0)) console.log(indented(errors));
  for (const one of summaries) {
    const counts = ['passed', 'failed', 'skipped'].filter((outcome) => one[outcome] > 0);
    const told = counts.map((outcome) => `${one[outcome]} ${outcome}`).join(', ') || 'no tests';
    console.log(`${one.failed === 0 ? 'ok    ' : 'FAILED'} test/${one.name}  ${told}  ${seconds(one.ms)}`);
  }
  return summaries;
}

/**
 * Adds the source maps of `dist` to what the coverage report reads. Were they named in the code, each of the hundreds of
 * processes that tests start would load them and write them again.
 */
function addMaps(coverage) {
  const dist = fileURLToPath(new URL('../dist', import.meta.url));
  if (!existsSync(dist)) return;
  const paths = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.js.map'))
    .map((name) => join(dist, name));
  const maps = paths.map((path) => [
    pathToFileURL(path.slice(0, -'.map'.length)).href, { data: JSON.parse(readFileSync(path, 'utf8')) },
  ]);
  mkdirSync(coverage, { recursive: true });
  writeFileSync(join(coverage, 'maps.json'), JSON.stringify({
    result: [], 'source-map-cache': Object.fromEntries(maps),
  }));
}

/** What a process reported; where it was killed, its last line may lack its end. */
function resultsIn(path) {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line));
}

function indented(text) {
  return text.replace(/^/gm, '  ');
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
