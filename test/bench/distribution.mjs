/**
 * Compares the launcher's ways to distribute connections: what a new one costs, which worker gets it, and whether
 * any is lost at a reload.
 *
 *   npm run build && node test/bench/distribution.mjs [--only shared,primary,least-connections,reuse-port] [--workers 4]
 *                     [--rounds 5] [--connections 5000] [--seconds 2] [--reloads 5] [--node PATH] [--json FILE]
 *
 * `shared` and `primary` are values of `distribution`; `least-connections` is that strategy as `dispatch`; with
 * `reuse-port` each worker listens for itself, by an option of `listen` that Node has from 23.1 on. Nothing is pinned:
 * workers must share the available cores with the load. All stay running and are loaded in turns, A B C A B C, and a
 * round's ratios pair what was measured side by side.
 */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, askOn, count, open } from './connections.mjs';
import { freePorts, start, startServer, ticksPerSecond, tree, version } from './processes.mjs';
import { median, spread } from './statistics.mjs';
import { fail, print, printTable, progress } from './terminal.mjs';
import { counts, listOf } from './values.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const ways = ['shared', 'primary', 'least-connections', 'reuse-port'];
const atOnce = 16;
const idleConnections = 40;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: ways.join(',') },
    workers: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '2' },
    reloads: { type: 'string', default: '5' },
    node: { type: 'string', default: process.execPath },
    json: { type: 'string' },
  },
});
const { workers, rounds, connections, seconds, reloads } =
  counts(values, ['workers', 'rounds', 'connections', 'seconds', 'reloads']);
const node = version(values.node) ?? fail(`--node: cannot run ${values.node}`);
if (version('wrk') === undefined) fail('wrk is needed for the load on open connections (apt install wrk)');
if (!existsSync(path.join(here, '../../dist/src/cluster/index.js'))) fail('run npm run build first');

const servers = await startAll(listOf('only', values.only, ways));
const samples = await play();
const losses = {};
for (const server of servers) losses[server.way] = await reloadUnderLoad(server);
show();
if (values.json !== undefined) {
  const report = { date: new Date().toISOString(), ...{ node, workers, rounds, connections, reloads, samples, losses } };
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(0); // the servers go with it

async function startAll(chosen) {
  const [major, minor] = node.split('.').map(Number);
  const able = chosen.filter((way) => {
    const runs = way !== 'reuse-port' || major > 23 || (major === 23 && minor >= 1);
    if (!runs) print(`${way}: Node ${node} has no reusePort, skipped (--node PATH, from 23.1 on)`);
    return runs;
  });
  const ports = await freePorts(able.length);
  const started = [];
  for (const [index, way] of able.entries()) {
    const port = ports[index];
    const command = [values.node, path.join(here, 'launched.mjs'), way, String(port), String(workers)];
    const server = { way, ...await startServer(undefined, command, port), log: '' };
    server.child.stderr.on('data', (data) => { server.log += data; });
    await allServe(server);
    started.push(server);
  }
  return started;
}

/** Resolves when all workers are ready: a connection may be taken by the first that is. */
async function allServe({ pid, port, way }) {
  for (let tries = 0; tries < 2000; tries++) {
    const seen = new Set((await Promise.all(Array.from({ length: atOnce }, () => ask(port)))));
    if (seen.size === workers && tree(pid).length === workers + 1) return;
  }
  throw new Error(`${way}: not all workers of ${pid} serve`);
}

/** All rounds, the first a warm-up, for V8 to compile what is hot: the samples of each way. */
async function play() {
  const measured = Object.fromEntries(servers.map(({ way }) => [way, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const server of servers) {
      const sample = { ...await fresh(server), ...await kept(server), idle: await idle(server) };
      progress(`round ${round}/${rounds} ${server.way} ${sample.connectionUs.toFixed(0)} µs`);
      if (round > 0) measured[server.way].push(sample);
    }
  }
  progress('');
  return measured;
}

/** New connections, one request each. */
async function fresh({ pid, port, way }) {
  const before = cpuSeconds(pid);
  let left = connections;
  const { answers, failures } = await askOn(port, atOnce, () => left-- > 0);
  if (failures.size > 0) throw new Error(`${way}: ${shown(failures)} of ${connections} connections failed`);
  const shares = [...answers.values()].map((served) => served / connections * workers);
  if (shares.length < workers) shares.push(0);
  return { connectionUs: (cpuSeconds(pid) - before) / connections * 1e6, shares };
}

/** Requests on open connections. */
async function kept({ pid, port, way }) {
  const before = cpuSeconds(pid);
  const child = start(undefined, ['wrk', '-t', '1', '-c', '64', '-d', `${seconds}s`, `http://127.0.0.1:${port}/`],
    ['ignore', 'pipe', 'inherit']);
  let output = '';
  child.stdout.on('data', (data) => { output += data; });
  await once(child, 'close');
  const requests = Number(/(\d+) requests in /.exec(output)?.[1]);
  if (!(requests > 0) || output.includes('Socket errors')) throw new Error(`${way}: wrk failed:\n${output}`);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  return { requestUs: (cpuSeconds(pid) - before) / requests * 1e6, requestsPerSecond };
}

/** A few connections that come one by one and stay: how many each worker got. */
async function idle({ port }) {
  const opened = [];
  while (opened.length < idleConnections) opened.push(await open(port));
  const counts = new Map();
  for (const { worker } of opened) count(counts, worker);
  await Promise.all(opened.map(({ socket }) => once(socket.destroy(), 'close')));
  const sorted = [...counts.values()].sort((a, b) => b - a);
  return [...sorted, ...Array(Math.max(0, workers - sorted.length)).fill(0)];
}

/** New connections all the time, and reloads: how many of them got no answer. */
async function reloadUnderLoad(server) {
  const { way, child, pid, port } = server;
  let over = false;
  const load = askOn(port, atOnce, () => !over);
  for (let reload = 0; reload < reloads; reload++) {
    progress(`${way}: reload ${reload + 1}/${reloads}`);
    const said = server.log.length;
    process.kill(pid, 'SIGHUP');
    while (!server.log.slice(said).includes('reload: complete')) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${way} ended:\n${server.log}`);
      await sleep(20);
    }
  }
  over = true;
  const { answers, failures } = await load;
  progress('');
  return { connections: sum([...answers.values(), ...failures.values()]), lost: Object.fromEntries(failures) };
}

function show() {
  print(`node ${node}, ${workers} workers, ${rounds} rounds of ${connections} new connections and ${seconds} s of requests `
    + `on 64 open ones: median (min-max); then ${reloads} reloads under new connections`);
  const first = servers[0].way;
  printTable('', [
    ['', 'CPU µs/connection', `ratio to ${first}`, 'even: 100%', `${idleConnections} idle ones`, 'CPU µs/request',
      'requests/s', 'lost at reloads'],
    ...servers.map(({ way }) => {
      const list = samples[way];
      const { connections: tried, lost } = losses[way];
      return [
        way,
        spread(list.map(({ connectionUs }) => connectionUs), 0),
        spread(list.map(({ connectionUs }, round) => connectionUs / samples[first][round].connectionUs), 2),
        range(list.flatMap(({ shares }) => shares)),
        list.at(-1).idle.join(' '),
        spread(list.map(({ requestUs }) => requestUs), 1),
        median(list.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
        `${sum(Object.values(lost))} of ${tried}${sum(Object.values(lost)) > 0 ? ` (${shown(Object.entries(lost))})` : ''}`,
      ];
    }),
  ]);
}

function range(shares) {
  return `${(100 * Math.min(...shares)).toFixed(0)}-${(100 * Math.max(...shares)).toFixed(0)}%`;
}

function shown(counts) {
  return [...counts].map((pair) => pair.join(' ')).join(', ');
}

function cpuSeconds(pid) {
  return sum(tree(pid).map(({ ticks }) => ticks)) / ticksPerSecond;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
