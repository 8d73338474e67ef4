/** One measurement: wrk's load on one server, and what that server's process tree spent on it. */
import { rssMiB, ticksPerSecond, tree } from './processes.mjs';
import { sum } from './statistics.mjs';
import { wrk } from './wrk.mjs';

export async function measure({ pid, port }, request, seconds, loadCpu) {
  const before = tree(pid);
  const load = await wrk(port, request, seconds, loadCpu);
  const after = tree(pid);
  const pids = (processes) => processes.map(({ pid }) => pid).join(' ');
  // The time of a process that ended meanwhile would be missing from the sum.
  if (before.length === 0 || pids(before) !== pids(after)) {
    throw new Error(`its processes changed under load: ${pids(before)} became ${pids(after)}`);
  }
  const cpuSeconds = (ticks(after) - ticks(before)) / ticksPerSecond;
  return {
    cpuUs: cpuSeconds / load.requests * 1e6,
    // With large bodies, those under way at the end would be missing from the requests, but not from the bytes.
    cpuUsPerMiB: cpuSeconds / (load.bytes / 2 ** 20) * 1e6,
    requestsPerSecond: load.requests / load.seconds,
    mebibytesPerSecond: load.bytes / 2 ** 20 / load.seconds,
    busy: cpuSeconds / load.seconds,
    rssMiB: sum(after.map(({ pid }) => rssMiB(pid))),
  };
}

function ticks(processes) {
  return sum(processes.map(({ ticks }) => ticks));
}
