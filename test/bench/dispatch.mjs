/**
 * Whether it pays to choose the worker of a connection: one worker computes half of the time, and new connections come
 * at a steady rate, with one request each.
 *
 *   npm run build && node test/bench/dispatch.mjs [--only primary,shared,round-robin,least-connections,least-busy]
 *                     [--workers 4] [--compute 50] [--connections 10000] [--rate 400] [--rounds 2] [--node PATH]
 *                     [--json FILE]
 *
 * The first worker computes for `--compute` ms, then rests for as long. Connections come at random (Poisson), whatever
 * happens to earlier ones, and latencies count from when one was due: a stall counts against all that it kept
 * waiting. `primary` and `shared` are values of `distribution`, the others strategies as `dispatch`. All stay running
 * (only one that is loaded computes) and are loaded in turns, A B C A B C.
 */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, count } from './connections.mjs';
import { freePorts, startServer, ticksPerSecond, tree, version } from './processes.mjs';
import { spread } from './statistics.mjs';
import { fail, print, printTable, progress } from './terminal.mjs';
import { counts, listOf } from './values.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const ways = ['primary', 'shared', 'round-robin', 'least-connections', 'least-busy'];
const known = [...ways, 'reuse-port']; // from Node 23.1 on

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: ways.join(',') },
    workers: { type: 'string', default: '4' },
    compute: { type: 'string', default: '50' },
    connections: { type: 'string', default: '10000' },
    rate: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '2' },
    node: { type: 'string', default: process.execPath },
    json: { type: 'string' },
  },
});
const { workers, compute, connections, rate, rounds } =
  counts(values, ['workers', 'compute', 'connections', 'rate', 'rounds']);
const chosen = listOf('only', values.only, known);
const node = version(values.node) ?? fail(`--node: cannot run ${values.node}`);
if (!existsSync(path.join(here, '../../dist/src/cluster/index.js'))) fail('run npm run build first');

const samples = Object.fromEntries(chosen.map((way) => [way, []]));
for (let round = 1; round <= rounds; round++) {
  for (const way of chosen) {
    const sample = await measure(way);
    samples[way].push(sample);
    progress(`round ${round}/${rounds} ${way} p99 ${sample.p99.toFixed(1)} ms`);
  }
}
progress('');
show();
if (values.json !== undefined) {
  const report = { date: new Date().toISOString(), ...{ node, workers, compute, connections, rate, rounds, samples } };
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(0); // the servers go with it

/** One round of one way, in separate processes: the computing first workers of the others would disturb it. */
async function measure(way) {
  const [port] = await freePorts(1);
  const command = [values.node, path.join(here, 'launched.mjs'), way, String(port), String(workers), String(compute)];
  const { child, pid } = await startServer(undefined, command, port);
  await steady(port, 2 * rate); // for V8 to compile what is hot
  const before = cpuSeconds(pid);
  const { latencies, answers, failures } = await steady(port, connections);
  const cpu = cpuSeconds(pid) - before;
  child.kill();
  const part = (fraction) => latencies[Math.floor(fraction * latencies.length)];
  return {
    share: (answers.get('1') ?? 0) / connections,
    shares: [...answers.values()].map((served) => served / connections).sort((a, b) => a - b),
    p50: part(0.5), p90: part(0.9), p99: part(0.99), p999: part(0.999),
    cpu: cpu * rate / connections,
    failed: Object.fromEntries(failures),
  };
}

/** New connections at a fixed rate. Resolves with their latencies in ms, sorted, and the workers that answered. */
async function steady(port, many) {
  const latencies = [];
  const answers = new Map();
  const failures = new Map();
  await new Promise((resolve) => {
    let settled = 0;
    const one = async (due) => {
      try {
        count(answers, await ask(port));
      } catch (error) {
        count(failures, error.code ?? error.message);
      }
      latencies.push(performance.now() - due);
      if (++settled === many) resolve();
    };
    let made = 0;
    let due = performance.now();
    const timer = setInterval(() => {
      for (const now = performance.now(); made < many && due <= now; made++) {
        one(due);
        due -= Math.log(1 - Math.random()) * 1000 / rate;
      }
      if (made === many) clearInterval(timer);
    }, 1);
  });
  return { latencies: latencies.sort((a, b) => a - b), answers, failures };
}

function show() {
  print(`node ${node}, ${workers} workers, the first computes ${compute} ms of each ${2 * compute}; ${connections} `
    + `connections, ${rate} a second, ${rounds} rounds: median (min-max)`);
  const first = chosen[0];
  printTable('', [
    ['', 'its share', 'p50 ms', 'p90 ms', 'p99 ms', `p99 to ${first}`, 'p99.9 ms', 'CPUs', 'failed'],
    ...chosen.map((way) => {
      const list = samples[way];
      const column = (name, digits) => spread(list.map((sample) => sample[name]), digits);
      return [
        way,
        `${spread(list.map(({ share }) => 100 * share), 1)}%`,
        column('p50', 1),
        column('p90', 1),
        column('p99', 1),
        spread(list.map(({ p99 }, round) => p99 / samples[first][round].p99), 2),
        column('p999', 1),
        column('cpu', 2),
        String(list.flatMap(({ failed }) => Object.values(failed)).reduce((total, number) => total + number, 0)),
      ];
    }),
  ]);
}

function cpuSeconds(pid) {
  return tree(pid).reduce((total, { ticks }) => total + ticks, 0) / ticksPerSecond;
}
