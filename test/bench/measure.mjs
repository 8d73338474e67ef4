/** One measurement: wrk's load on one server, and what that server's process tree spent on it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { start, ticksPerSecond, tree } from './processes.mjs';

export const scenarios = {
  small: { title: 'keep-alive GETs of 100 bytes', path: '/small', connections: 64 },
  '1m': { title: 'keep-alive GETs of 1 MiB', path: '/1m', connections: 16 },
};

// wrk sends Host alone; these make a request about as long as those that real clients send.
const fields = ['User-Agent: wrk (equipoise bench)', 'Accept: */*', 'Accept-Encoding: gzip, br', 'Accept-Language: en'];

export async function measure({ pid, port }, scenario, seconds, loadCpu) {
  const before = tree(pid);
  const { requests, requestsPerSecond } = await wrk(port, scenario, seconds, loadCpu);
  const after = tree(pid);
  const pids = (processes) => processes.map(({ pid }) => pid).join(' ');
  // The time of a process that ended meanwhile would be missing from the sum.
  if (before.length === 0 || pids(before) !== pids(after)) {
    throw new Error(`its processes changed under load: ${pids(before)} became ${pids(after)}`);
  }
  const cpuSeconds = (ticks(after) - ticks(before)) / ticksPerSecond;
  return {
    cpuUs: cpuSeconds / requests * 1e6,
    requestsPerSecond,
    busy: cpuSeconds * requestsPerSecond / requests,
    rssMiB: sum(after.map(({ pid }) => rssKiB(pid))) / 1024,
  };
}

async function wrk(port, { path, connections }, seconds, cpu) {
  const child = start(cpu, ['wrk', '-t', '1', '-c', String(connections), '-d', `${seconds}s`,
    ...fields.flatMap((field) => ['-H', field]), `http://127.0.0.1:${port}${path}`], ['ignore', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data; });
  const [code] = await once(child, 'close');
  const requests = Number(/(\d+) requests in /.exec(output)?.[1] ?? 0);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  const complaint = /Socket errors:.*|Non-2xx or 3xx responses:.*/.exec(output)?.[0];
  if (complaint !== undefined) throw new Error(`wrk: ${complaint} (of ${requests} requests)`);
  if (code !== 0 || requests === 0) throw new Error(`wrk failed:\n${output}`);
  return { requests, requestsPerSecond };
}

function ticks(processes) {
  return sum(processes.map(({ ticks }) => ticks));
}

function rssKiB(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
