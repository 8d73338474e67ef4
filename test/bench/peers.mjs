/**
 * How evenly least-connections loads upstreams of different speed: in one process, in workers that share their counts,
 * and in workers that each use their own.
 *
 *   node test/bench/peers.mjs [--rounds 4] [--seconds 10] [--connections 48] [--workers 2]
 *
 * Six upstreams answer after 20 to 120 ms. Each counts its requests in flight; the spread is the difference
 * between the momentary largest and smallest count, averaged over the time. Connections are distributed
 * unevenly among workers, as in production: then it shows which workers know of the others.
 */
import { Agent, createServer, request } from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePorts, startServer } from './processes.mjs';
import { median } from './statistics.mjs';
import { print } from './terminal.mjs';
import { counts } from './values.mjs';

const delaysMs = [20, 40, 60, 80, 100, 120];
const warmUpMs = 1_000;
const settings = [
  ['one process', 1, 'alone'],
  ['workers, shared', undefined, 'shared'],
  ['workers, alone', undefined, 'alone'],
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '48' },
    workers: { type: 'string', default: '2' },
  },
});
const { rounds, seconds, connections, workers } =
  counts(values, ['rounds', 'seconds', 'connections', 'workers']);

/** What each upstream has in flight, and the sums of that over the time since `reset`. */
const inFlight = delaysMs.map(() => 0);
const area = delaysMs.map(() => 0);
let spreadArea = 0;
let answered = 0;
let since = 0;
let last = 0;

function note() {
  const now = performance.now();
  for (const [i, count] of inFlight.entries()) area[i] += count * (now - last);
  spreadArea += (Math.max(...inFlight) - Math.min(...inFlight)) * (now - last);
  last = now;
}

function reset() {
  note();
  area.fill(0);
  spreadArea = answered = 0;
  since = last;
}

const origins = await Promise.all(delaysMs.map((delayMs, i) => new Promise((resolve) => {
  const server = createServer({ keepAliveTimeout: 60_000 }, (_, response) => {
    note();
    inFlight[i]++;
    setTimeout(() => {
      note();
      inFlight[i]--;
      answered++;
      response.end('done');
    }, delayMs);
  });
  server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
})));

const ports = await freePorts(settings.length);
const samples = Object.fromEntries(settings.map(([name]) => [name, []]));
for (let round = 1; round <= rounds; round++) {
  for (const [i, [name, count = workers, knowledge]] of settings.entries()) {
    const command = [process.execPath, new URL('peers-server.mjs', import.meta.url).pathname,
      String(count), knowledge, String(ports[i]), ...origins];
    const { child } = await startServer(undefined, command, ports[i]);
    samples[name].push(await load(ports[i]));
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  }
}

const single = samples['one process'];
print(`${connections} connections, ${rounds} rounds of ${seconds} s, medians`);
for (const [name] of settings) {
  const ratio = median(samples[name].map(({ spread }, round) => spread / single[round].spread));
  const means = delaysMs.map((_, i) => median(samples[name].map(({ mean }) => mean[i])).toFixed(1)).join(' ');
  print(`${name.padEnd(16)} spread ${median(samples[name].map(({ spread }) => spread)).toFixed(2)} ` +
    `(${samples[name].map(({ spread }) => spread.toFixed(2)).join(', ')}), ${ratio.toFixed(2)} of one process; ` +
    `mean in flight ${means}; ${median(samples[name].map(({ rate }) => rate)).toFixed(0)} requests/s`);
}
process.exit();

/** Sends requests continuously, over connections that stay open. */
async function load(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  let going = true;
  const ask = () => new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', resolve))
      .on('error', reject).end();
  });
  const all = Array.from({ length: connections }, async () => {
    while (going) await ask();
  });
  await sleep(warmUpMs);
  reset();
  await sleep(seconds * 1_000);
  note();
  const passed = last - since;
  const sample = { spread: spreadArea / passed, mean: area.map((sum) => sum / passed), rate: answered / passed * 1_000 };
  going = false;
  await Promise.all(all);
  agent.destroy();
  return sample;
}
