/**
 * Latencies at a fraction of each one's throughput: closed-loop load finds that, open-loop load of half and of four
 * fifths of it measures how long clients would wait.
 */
import process from 'node:process';
import { measure } from './measure.mjs';
import { program, result } from './programs.mjs';
import { loadCpu } from './stage.mjs';
import { median, spread } from './statistics.mjs';
import { progress } from './terminal.mjs';
import { inTurns, ratio } from './turns.mjs';

const levels = [50, 80];
const capacitySeconds = 3;
/** Beyond this fraction of its capacity, the load's own core would make requests wait. */
const loadPart = 0.6;
const excessiveRate = 80_000;

export const latency = {
  title: 'open loop, GETs of 100 bytes that come at random; counted from when they were due',
  play: async ({ stage, options: { rounds, seconds } }) => {
    const servers = await stage.servers([]);
    progress('what the load can do without a balancer');
    const { answeredPerSecond } = await openLoop(new URL((await stage.origins())[0]).port, excessiveRate, 1);
    const mostRate = Math.round(answeredPerSecond * loadPart);
    const capacities = {};
    const samples = await inTurns(servers, rounds, async (server, round) => {
      if (round === 0) {
        const request = { path: '/small', connections: 64 };
        capacities[server.name] = (await measure(server, request, capacitySeconds, loadCpu)).requestsPerSecond;
      }
      const sample = {};
      for (const level of round === 0 ? levels.slice(0, 1) : levels) {
        const rate = Math.min(mostRate, Math.round(capacities[server.name] * level / 100));
        sample[level] = { rate, ...await openLoop(server.port, rate, seconds) };
      }
      return sample;
    });
    return { mostRate, capacities, samples };
  },
  tables: ({ mostRate, samples }) => levels.map((level) => ({
    title: `at ${level}% of its closed-loop rate, ${mostRate} requests/s at most, which is what the load can do`,
    rows: [
      ['', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'p99 to nginx', 'sent late, p99 ms'],
      ...Object.entries(samples).map(([name, list]) => {
        const of = (figure) => list.map((sample) => sample[level][figure]);
        return [
          name, median(of('rate')).toFixed(0), ...['p50', 'p99', 'p999'].map((figure) => spread(of(figure), 2)),
          ratio(list, samples.nginx, (sample) => sample[level].p99), median(of('late')).toFixed(2),
        ];
      }),
    ],
  })),
};

/** The load's Node is the same whatever Node is under test. */
function openLoop(port, rate, seconds) {
  return result(loadCpu, [process.execPath, program('open-loop-client.mjs'), ...[port, rate, seconds].map(String)]);
}
