/** Scenarios of one kind of request under full load: what one costs in CPU time, requests per second, memory. */
import { measure } from './measure.mjs';
import { bothCpus, loadCpu } from './stage.mjs';
import { median, spread } from './statistics.mjs';
import { inTurns, ratio } from './turns.mjs';

const warmUpSeconds = 2; // for V8 to compile what is hot, and for the pools to fill

/**
 * `request` is as wrk.mjs takes it. `checks` are those of check.mjs; `perMiB` counts the cost by octets; a sample takes
 * `leastSeconds`, even if fewer are asked for.
 */
export function load(title, request, { checks = [], perMiB = false, leastSeconds = 1 } = {}) {
  return {
    title: `${title}, ${request.connections} connection${request.connections === 1 ? '' : 's'}`,
    play: async ({ stage, options }) => {
      const servers = await stage.servers(checks);
      return { perMiB, samples: await samplesOf(servers, request, options, { leastSeconds }) };
    },
    tables: ({ perMiB, samples }) => [table(samples, perMiB, () => 'nginx')],
  };
}

/** One and two workers, for contestants that can share a port. */
export const workers = {
  title: 'keep-alive GETs of 100 bytes, 64 connections, by workers; these and the load share both cores',
  play: async ({ stage, options }) => {
    const scaling = stage.found.filter(({ scales }) => scales);
    const servers = [];
    for (const count of [1, 2]) {
      for (const server of await stage.start(scaling, bothCpus, count)) {
        servers.push({ ...server, name: `${server.name}, ${count}` });
      }
    }
    const samples = await samplesOf(servers, { path: '/small', connections: 64 }, options, { cpu: bothCpus });
    for (const { child } of servers) child.kill();
    return { perMiB: false, samples };
  },
  tables: ({ samples }) => [table(samples, false, (name) => `nginx, ${name.split(', ')[1]}`)],
};

function samplesOf(servers, request, { rounds, seconds }, { leastSeconds = 1, cpu = loadCpu }) {
  const least = (round) => round === 0 ? Math.max(warmUpSeconds, leastSeconds) : leastSeconds;
  return inTurns(servers, rounds, (server, round) => {
    return measure(server, request, Math.max(seconds, least(round)), cpu);
  });
}

/** `referenceOf` names the reference for each. */
function table(samples, perMiB, referenceOf) {
  const cost = ({ cpuUs, cpuUsPerMiB }) => perMiB ? cpuUsPerMiB : cpuUs;
  const rate = ({ requestsPerSecond, mebibytesPerSecond }) => perMiB ? mebibytesPerSecond : requestsPerSecond;
  const heads = ['', `CPU µs/${perMiB ? 'MiB' : 'request'}`, 'ratio to nginx', 'ratio to haproxy',
    perMiB ? 'MiB/s' : 'requests/s', 'CPU busy', 'RSS MiB'];
  const rows = Object.entries(samples).map(([name, list]) => [
    name,
    spread(list.map(cost), 1),
    ratio(list, samples[referenceOf(name)], cost),
    ratio(list, samples[referenceOf(name).replace('nginx', 'haproxy')], cost),
    median(list.map(rate)).toFixed(0),
    `${(100 * median(list.map(({ busy }) => busy))).toFixed(0)}%`,
    median(list.map(({ rssMiB }) => rssMiB)).toFixed(0),
  ]);
  return { title: '', rows: [heads, ...rows] };
}
