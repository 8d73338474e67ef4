/** The available contestants, and their servers, started when a scenario first needs them. */
import { availableParallelism, cpus } from 'node:os';
import process from 'node:process';
import { check } from './check.mjs';
import { aptHint, contestants } from './contestants.mjs';
import { freePorts, startServer, version } from './processes.mjs';
import { fail, print } from './terminal.mjs';
import { refuse } from './turns.mjs';
import { startUpstreams } from './upstreams.mjs';

/** The balancers' core, that of load and upstreams, and both. */
export const balancerCpu = 0;
export const loadCpu = 1;
export const bothCpus = '0,1';

export class Stage {
  machine = `${cpus().length} x ${cpus()[0].model}`;
  /** Of everything that takes part. */
  versions = {};
  /** The contestants that are installed. */
  found;
  #node;
  #origins;
  #servers;

  /** Looks for contestants. It installs nothing: missing ones are named, with how to get them, and left out. */
  constructor({ node, only }) {
    this.#node = node;
    this.versions.node = version(node) ?? fail(`--node: cannot run ${node}`);
    if (process.platform !== 'linux') fail('Linux only: it reads /proc and pins with taskset');
    if (availableParallelism() < 2) fail('it needs two CPUs');
    for (const needed of ['nginx', 'wrk']) {
      this.versions[needed] = version(needed) ?? fail(`${needed} is needed for the upstreams and the load: ${aptHint}`);
    }
    this.found = contestants.filter(({ name, found, hint }) => {
      if (only?.includes(name) === false) return false;
      const present = found();
      if (present === undefined) print(`${name}: not found, skipped (${hint})`);
      else this.versions[name] = present;
      return present !== undefined;
    });
    print(`${this.machine}\n${Object.entries(this.versions).map((pair) => pair.join(' ')).join(', ')}\n`);
  }

  async origins() {
    this.#origins ??= await startUpstreams(loadCpu);
    return this.#origins;
  }

  /** The contestants' servers, one worker each, those that pass `checks`. */
  async servers(checks) {
    this.#servers ??= await this.start(this.found, balancerCpu, 1);
    return this.#passing(this.#servers, checks);
  }

  /** Starts a server for each, and checks that it does the required work. */
  async start(wanted, cpu, workers) {
    const origins = await this.origins();
    const ports = await freePorts(wanted.length);
    const started = [];
    for (const [index, { name, command }] of wanted.entries()) {
      try {
        const port = ports[index];
        const server = await startServer(cpu, command({ name, node: this.#node, port, origins, workers }), port);
        started.push({ name, ...server });
      } catch (error) {
        refuse(name, error);
      }
    }
    return this.#passing(started, ['basics']);
  }

  async #passing(servers, checks) {
    const passing = [];
    for (const server of servers) {
      try {
        await check(server.port, await this.origins(), checks);
        passing.push(server);
      } catch (error) {
        refuse(server.name, error);
      }
    }
    return passing;
  }
}
