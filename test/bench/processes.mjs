/** The bench's surroundings: a temporary directory, free ports, and child processes that cannot outlive it. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

export const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']));
export const directory = mkdtempSync(path.join(tmpdir(), 'equipoise-bench-'));

// Debian's nginx and haproxy live in /usr/sbin, which an ordinary user's PATH often lacks.
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };
const running = new Set();

process.on('exit', () => {
  for (const pid of running) killGroup(pid);
  rmSync(directory, { recursive: true, force: true });
});
for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]]) {
  process.on(signal, () => process.exit(128 + number));
}

/**
 * Runs a command on one CPU (or on those of a list, '0,1'), or on any if `cpu` is undefined. `detached` makes it the
 * leader of a group, so that nginx's workers go with their master; the death signal covers the case that the bench
 * itself is killed outright.
 */
export function start(cpu, [command, ...args], stdio) {
  const pin = cpu === undefined ? [] : ['taskset', '-c', String(cpu)];
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...pin, command, ...args], { env, stdio, detached: true });
  if (child.pid === undefined) return child; // not spawned: its 'error' event says why
  running.add(child.pid);
  child.once('exit', () => {
    killGroup(child.pid);
    running.delete(child.pid);
  });
  return child;
}

/** Starts a server and waits until it accepts connections. `ipc` opens a channel to a Node child. */
export async function startServer(cpu, command, port, { ipc = false } = {}) {
  const child = start(cpu, command, ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => { said = (said + data).slice(-2000); });
  }
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    if (await accepts(port)) return { child, pid: child.pid, port };
    await sleep(50);
  }
  throw new Error(`${command.join(' ')} did not start:\n${said}`);
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** Ports that were free a moment ago. Taken together, so that no two are the same. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** A process and its descendants, each with the CPU time it has used so far, in clock ticks. */
export function tree(root) {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).map(stat).filter(Boolean);
  const found = all.filter(({ pid }) => pid === root);
  for (const { pid } of found) found.push(...all.filter(({ parent }) => parent === pid)); // grows while it is walked
  return found;
}

function stat(pid) {
  try {
    // The second field is the name in brackets and may hold spaces; those after it are plain (proc_pid_stat(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
    return { pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined; // ended since the directory was read
  }
}

/** How many files a process may have open. The hard limit counts: Node raises its own and its children's to that. */
export function maxOpenFiles() {
  return Number(/^Max open files +\w+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 2 ** 20);
}

/** The memory that a process has resident. */
export function rssMiB(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;
}

/** The CPU time that one process has used so far. */
export function cpuSeconds(pid) {
  return (stat(pid)?.ticks ?? NaN) / ticksPerSecond;
}

/** What a command prints for `-v` (both streams: nginx writes to stderr), or undefined where it is not installed. */
export function version(command) {
  const { error, stdout, stderr } = spawnSync(command, ['-v'], { env, encoding: 'utf8' });
  return error ? undefined : /\d+\.\d+[\w.]*/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // No process is left in it.
  }
}
