/**
 * A paired benchmark of load balancers: what one request costs each of them in CPU time, on one core.
 *
 *   node test/bench/run.mjs [--scenario small,1m] [--only equipoise-listen,nginx] [--rounds 5] [--seconds 3]
 *                           [--node PATH] [--json FILE]
 *
 * The balancers run on CPU 0; wrk and the upstreams on CPU 1. All stay running and are loaded in turns, A B C A B C,
 * so that a slow minute of the machine meets them all, and a round's ratios pair what was measured side by side.
 * It installs nothing: what is missing is named, with how to get it, and skipped.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { check } from './check.mjs';
import { aptHint, contestants } from './contestants.mjs';
import { measure, scenarios } from './measure.mjs';
import { freePorts, startServer, version } from './processes.mjs';
import { startUpstreams } from './upstreams.mjs';

const balancerCpu = 0;
const loadCpu = 1;
const warmUpSeconds = 3; // for V8 to compile what is hot, and for the pools to fill

const options = readCommandLine();
const versions = { node: version(options.node) ?? fail(`--node: cannot run ${options.node}`) };
if (process.platform !== 'linux') fail('Linux only: it reads /proc and pins with taskset');
if (availableParallelism() < 2) fail('it needs two CPUs');
for (const needed of ['nginx', 'wrk']) {
  versions[needed] = version(needed) ?? fail(`${needed} is needed for the upstreams and the load: ${aptHint}`);
}
const chosen = contestants.filter(({ name, found, hint }) => {
  if (!options.only.includes(name)) return false;
  const present = found();
  if (present === undefined) print(`${name}: not found, skipped (${hint})`);
  else versions[name] = present;
  return present !== undefined;
});
print(`${cpus()[0].model}, ${Object.entries(versions).map((pair) => pair.join(' ')).join(', ')}\n`);

const servers = await startAll();
const results = {};
for (const name of options.scenario) {
  results[name] = await play(scenarios[name]);
  printTable(scenarios[name], results[name]);
}
if (options.json !== undefined) {
  const { rounds, seconds } = options;
  const machine = `${cpus().length} x ${cpus()[0].model}`;
  const report = { date: new Date().toISOString(), machine, versions, rounds, seconds, results };
  writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(process.exitCode ?? 0); // the servers go with it

/** Starts and checks the contestants; those that answer wrongly are named and left out. */
async function startAll() {
  const origins = await startUpstreams(loadCpu);
  const ports = await freePorts(chosen.length);
  const started = [];
  for (const [index, { name, command }] of chosen.entries()) {
    try {
      const port = ports[index];
      const server = await startServer(balancerCpu, command({ name, node: options.node, port, origins }), port);
      await check(port, origins);
      started.push({ name, ...server });
    } catch (error) {
      refuse(name, error);
    }
  }
  return started;
}

/** All rounds of one scenario, the first a warm-up: the samples of each contestant that stayed faultless. */
async function play(scenario) {
  const samples = {};
  for (let round = 0; round <= options.rounds; round++) {
    for (const server of servers) {
      const { name } = server;
      if (round > 0 && samples[name] === undefined) continue; // refused before
      try {
        const seconds = round === 0 ? Math.max(warmUpSeconds, options.seconds) : options.seconds;
        const sample = await measure(server, scenario, seconds, loadCpu);
        progress(`round ${round}/${options.rounds} ${name} ${sample.cpuUs.toFixed(1)} µs`);
        if (round === 0) samples[name] = [];
        else samples[name].push(sample);
      } catch (error) {
        refuse(name, error);
        delete samples[name];
      }
    }
  }
  progress('');
  return samples;
}

function printTable({ title, connections }, samples) {
  print(`${title}, ${connections} connections, ${options.rounds} rounds of ${options.seconds} s: median (min-max)`);
  const rows = Object.entries(samples).map(([name, list]) => [
    name,
    spread(list.map(({ cpuUs }) => cpuUs), 1),
    // Within each round: what both met in the same minute cancels out.
    samples.nginx ? spread(list.map(({ cpuUs }, round) => cpuUs / samples.nginx[round].cpuUs), 2) : '-',
    median(list.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
    `${(100 * median(list.map(({ busy }) => busy))).toFixed(0)}%`,
    median(list.map(({ rssMiB }) => rssMiB)).toFixed(0),
  ]);
  rows.unshift(['', 'CPU µs/request', 'ratio to nginx', 'requests/s', 'CPU busy', 'RSS MiB']);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    print(row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join('  '));
  }
  print('');
}

function spread(numbers, digits) {
  const [low, middle, high] = [Math.min(...numbers), median(numbers), Math.max(...numbers)];
  return `${middle.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function readCommandLine() {
  const text = (value) => ({ type: 'string', default: value });
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        scenario: text('small'),
        only: text(contestants.map(({ name }) => name).join(',')),
        rounds: text('5'),
        seconds: text('3'),
        node: text(process.execPath),
        json: { type: 'string' },
      },
    }));
  } catch (error) {
    fail(error.message);
  }
  return {
    ...values,
    scenario: listOf(values.scenario, Object.keys(scenarios)),
    only: listOf(values.only, contestants.map(({ name }) => name)),
    rounds: positive(values.rounds),
    seconds: positive(values.seconds),
  };
}

function listOf(value, known) {
  const names = value.split(',');
  for (const name of names) if (!known.includes(name)) fail(`'${name}' is none of ${known.join(', ')}`);
  return names;
}

function positive(value) {
  return /^[1-9]\d*$/.test(value) ? Number(value) : fail(`'${value}' is not a positive whole number`);
}

function refuse(name, error) {
  progress('');
  print(`${name}: REFUSED: ${error.message}\n`);
  process.exitCode = 1;
}

function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
