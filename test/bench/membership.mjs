/** The effect of membership changes on requests, for few and many upstreams: longest stall, and latencies. */
import { once } from 'node:events';
import process from 'node:process';
import { sizes } from './picks.mjs';
import { freePorts, startServer } from './processes.mjs';
import { program, result } from './programs.mjs';
import { balancerCpu, loadCpu } from './stage.mjs';
import { progress } from './terminal.mjs';

const rate = 1000;
const phases = ['quiet', 'changes'];

export const membership = {
  title: `add, remove and update (1% of all) each 50 ms, under ${rate} requests a second`,
  play: async ({ stage, options: { node, seconds } }) => {
    const rows = [];
    for (const size of sizes) {
      const [port] = await freePorts(1);
      const command = [node, program('membership-server.mjs'), ...[size, port].map(String), ...await stage.origins()];
      const { child } = await startServer(balancerCpu, command, port, { ipc: true });
      const load = (loadSeconds) => result(loadCpu,
        [process.execPath, program('open-loop-client.mjs'), ...[port, rate, loadSeconds].map(String)]);
      await load(1); // for V8 to compile what is hot
      for (const kind of phases) {
        progress(`membership of ${size}, ${kind}`);
        const told = once(child, 'message');
        // The load goes on for as long: its client takes a moment to start.
        child.send({ kind, seconds: seconds + 1 });
        const [latency, [stalls]] = await Promise.all([load(seconds), told]);
        rows.push({ size, kind, ...stalls, p99: latency.p99, longest: latency.max });
      }
      child.kill();
    }
    return { rows };
  },
  tables: ({ rows }) => [{
    title: 'the longest of each, in ms',
    rows: [
      ['upstreams', 'phase', 'changes', 'add', 'remove', 'update', 'loop stall', 'request p99', 'request'],
      ...rows.map(({ size, kind, changes, add, remove, update, stallMs, p99, longest }) => [
        String(size), kind, String(changes),
        ...[add, remove, update].map((ms) => kind === 'quiet' ? '-' : ms.toFixed(2)),
        ...[stallMs, p99, longest].map((ms) => ms.toFixed(2)),
      ]),
    ],
  }],
};
