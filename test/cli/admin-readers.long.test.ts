/**
 * Readers that do not read, all at once: a scraper that takes an octet now and then, a hundred pages that take nothing,
 * and a stalled reader of the access log. Serving does not notice, memory is bounded, and all is given back.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { turns, within } from '../support/wait.ts';

const PAGES = 100;
const CLIENTS = 4;
/** That many upstreams make an event of a page large. */
const UPSTREAMS = 100;
/** What may wait for each page (src/observe/admin/pages.ts), twice, and room for the heap to breathe. */
const MAX_GROWTH = 2 * PAGES * 262_144 + 96 * 1_048_576;

const SKIPPED = !existsSync('/proc/self/fd') ? 'this system has no /proc'
  : spawnSync('mkfifo', ['--version']).status === null ? 'this system has no mkfifo' : false;

/** The processes that serve. */
function serving(binary: Binary, workers: string): number[] {
  if (workers === '1') return [binary.pid];
  return [...binary.stderr.matchAll(/\(process (\d+)\) is ready/g)].map(([, pid]) => Number(pid));
}

function openFiles(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + readdirSync(`/proc/${pid}/fd`).length, 0);
}

function memory(pids: readonly number[]): number {
  const rss = (pid: number): number => (
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1_024);
  return pids.reduce((total, pid) => total + rss(pid), 0);
}

/** Opens a connection that sends `request`, and reads nothing by itself. */
async function unread(t: TestContext, port: number, request: string): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(request);
  return socket;
}

/** Keep-alive clients that check every answer, until they are stopped. */
function load(port: number): { readonly asked: () => number; readonly stop: () => Promise<void> } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  let [asked, stopped] = [0, false];
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!stopped) {
      const { status, body } = await get(port, `/${asked++}${'x'.repeat(1_000)}`, { agent });
      assert.deepEqual([status, body], [200, 'A']);
    }
  });
  return {
    asked: () => asked,
    stop: async () => {
      stopped = true;
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

for (const workers of ['1', '2']) {
  test(`readers that do not read cost little, with ${workers} to serve`, { skip: SKIPPED }, async (t) => {
    const pipe = join(directory(t), 'log.pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    t.after(() => {
      closeSync(reader);
    });
    const origin = await startNamed(t, 'A');
    const aliases = Array.from({ length: UPSTREAMS }, (_, at) => origin.replace('127.0.0.1', `127.0.0.${at + 1}`));
    const [first = ''] = aliases;
    const cwd = directory(t, {
      // The others are there to be shown.
      'strategy.mjs': 'export default { name: "one", pick: ([first]) => first };',
    });
    const args = ['-l', '127.0.0.1:0', '-w', workers, '-s', './strategy.mjs', '--admin', '127.0.0.1:0'];
    const binary = start(t, [...args, '--access-log', pipe, ...aliases], { cwd });
    const port = await binary.port();
    await binary.logged(/admin listener: /);
    const admin = Number(/admin listener: http:\/\/127\.0\.0\.1:(\d+)/.exec(binary.stderr)?.[1]);
    const pids = serving(binary, workers);
    assert.equal(pids.length, Number(workers));

    const clients = load(port);
    const served = async (more: number): Promise<void> => {
      const before = clients.asked();
      while (clients.asked() < before + more) await turns(1);
    };
    await within(served(200), () => 'the clients to be served');
    const [files, before] = [openFiles(pids), memory(pids)];

    const sockets = [await unread(t, admin, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(200))];
    for (let at = 0; at < PAGES; at++) {
      sockets.push(await unread(t, admin, 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    }
    let most = 0;
    for (let round = 1; round <= 40; round++) {
      // Each change is an event for every page.
      const path = `/upstreams/default/${encodeURIComponent(first)}/weight`;
      await new Promise<void>((resolve, reject) => {
        http.request({ host: '127.0.0.1', port: admin, path, method: 'POST', agent: false }, (response) => {
          response.resume().once('end', resolve);
        }).on('error', reject).end(String(round));
      });
      await within(served(20), () => 'the clients to be served meanwhile');
      // The scraper takes an octet.
      sockets[0]?.read(1);
      most = Math.max(most, memory(pids));
    }
    assert.ok(most - before < MAX_GROWTH, `memory grew by ${most - before} octets`);

    for (const socket of sockets) socket.destroy();
    const given = async (): Promise<void> => {
      while (openFiles(pids) > files) await served(10);
    };
    await within(given(), () => `the connections to be given back: ${openFiles(pids)} files, ${files} before`);
    await clients.stop();
    binary.signal('SIGTERM');
    const { code, stderr } = await binary.exit();
    assert.equal(code, 0, stderr);
    t.diagnostic(`${clients.asked()} requests answered, memory from ${before} to ${most} octets at most`);
  });
}
