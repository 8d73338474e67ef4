/** Minutes of full load: whether memory stays constant after the first minute. */
import { rssMiB, tree } from './processes.mjs';
import { loadCpu } from './stage.mjs';
import { sum } from './statistics.mjs';
import { progress } from './terminal.mjs';
import { refuse } from './turns.mjs';
import { wrk } from './wrk.mjs';

const sampleMs = 10_000;
const settledMs = 60_000;

export const soak = {
  title: 'full load for minutes: RSS each 10 s, its drift from the first minute on (half the range, to the mean)',
  play: async ({ stage, options: { minutes, only } }) => {
    const servers = await stage.servers([]);
    // Only us by default; others on request.
    const chosen = servers.filter(({ name }) => only !== undefined || name.startsWith('equipoise'));
    const samples = {};
    for (const server of chosen) {
      const rss = [];
      const timer = setInterval(() => {
        rss.push(sum(tree(server.pid).map(({ pid }) => rssMiB(pid))));
        progress(`${server.name} ${rss.length * sampleMs / 1000} s ${rss.at(-1).toFixed(1)} MiB`);
      }, sampleMs);
      try {
        const { requests } = await wrk(server.port, { path: '/small', connections: 64 }, minutes * 60, loadCpu);
        samples[server.name] = { requests, rss };
      } catch (error) {
        refuse(server.name, error);
      }
      clearInterval(timer);
    }
    return { minutes, samples };
  },
  tables: ({ minutes, samples }) => [{
    title: `${minutes} minutes each`,
    rows: [
      ['', 'requests', 'RSS MiB after 1 min', 'at the end', 'least', 'most', 'drift'],
      ...Object.entries(samples).map(([name, { requests, rss }]) => {
        const settled = rss.slice(settledMs / sampleMs - 1);
        const [least, most] = [Math.min(...settled), Math.max(...settled)];
        const mean = sum(settled) / settled.length;
        return [
          name, String(requests), ...[settled[0], settled.at(-1), least, most].map((mebibytes) => mebibytes.toFixed(1)),
          `± ${((most - least) / 2 / mean * 100).toFixed(1)}%`,
        ];
      }),
    ],
  }],
};
