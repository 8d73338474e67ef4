/**
 * Latencies at a part of what each gets through: closed-loop load finds that, open-loop load of half and of four fifths
 * of it finds what clients would wait.
 */
import process from 'node:process';
import { measure } from './measure.mjs';
import { program, result } from './programs.mjs';
import { loadCpu } from './stage.mjs';
import { median, spread } from './statistics.mjs';
import { inTurns, ratio } from './turns.mjs';

const levels = [50, 80];
const capacitySeconds = 3;

export const latency = {
  title: 'open loop, GETs of 100 bytes that come at random; counted from when they were due',
  play: async ({ stage, options: { rounds, seconds } }) => {
    const servers = await stage.servers([]);
    const rates = {};
    const samples = await inTurns(servers, rounds, async (server, round) => {
      if (round === 0) {
        // With 64 connections, the load's core is about as busy as the balancer's: it is what this machine can do.
        const request = { path: '/small', connections: 64 };
        rates[server.name] = (await measure(server, request, capacitySeconds, loadCpu)).requestsPerSecond;
      }
      const sample = {};
      for (const level of round === 0 ? levels.slice(0, 1) : levels) {
        const rate = Math.round(rates[server.name] * level / 100);
        // The load is the same whatever Node is under test.
        const command = [process.execPath, program('open-loop-client.mjs'), server.port, rate, seconds].map(String);
        sample[level] = { rate, ...await result(loadCpu, command) };
      }
      return sample;
    });
    return { samples };
  },
  tables: ({ samples }) => levels.map((level) => ({
    title: `at ${level}% of what it gets through in a closed loop`,
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
