/**
 * Connections dropped for lack of file descriptors are reported: Node itself says nothing.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BalancerError } from '../../src/errors.ts';
import { DroppedConnections } from '../../src/fronts/dropped-connections.ts';
import { atEnd } from '../support/scope.ts';
import { Signal } from '../support/wait.ts';

const POSIX = process.platform === 'win32' ? 'needs ulimit' : false;

test('idle downstreams really take all descriptors', { skip: POSIX }, async (t) => {
  const program = fileURLToPath(new URL('../support/dropping-program.ts', import.meta.url));
  // Its standard output in place of the shell's: Node raises the soft limit, but not the hard one.
  const child = spawn('sh', ['-c', 'ulimit -n 150; exec "$0" "$@"', process.execPath, '--import', 'tsx', program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const signal = new Signal();
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    signal.raise();
  });
  const sockets: net.Socket[] = [];
  const over = once(child, 'close');
  atEnd(t, async () => {
    said += 'RESOURCES';
    for (const socket of [...sockets]) socket.destroy();
    child.kill('SIGKILL');
    await over;
  });
  await signal.until(() => said.includes('\n'), () => 'its port');
  const port = Number(/port (\d+)/.exec(said)?.[1]);
  let dropped = 0;
  const connect = (): void => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined).once('close', () => {
      sockets.splice(sockets.indexOf(socket), 1);
      dropped++;
      signal.raise();
      // The program may have had a file open for a moment: its descriptor must be taken as well.
      if (!said.includes('RESOURCES') && child.exitCode === null) setTimeout(connect, 10);
    });
    sockets.push(socket.resume());
  };
  for (let i = 0; i < 200; i++) connect();
  await signal.until(() => dropped > 0, () => 'a connection to be dropped');
  await signal.until(() => said.includes('RESOURCES'), () => `a report: ${said}`);
  assert.match(said, /^port \d+\nRESOURCES_EXHAUSTED: connections are being dropped: no file descriptors are left; /);
});

describe('the check for a free descriptor', () => {
  const start = (): { dropped: DroppedConnections; reports: BalancerError[]; tries: () => number; lacks: boolean } => {
    const reports: BalancerError[] = [];
    let tries = 0;
    const state = {
      dropped: new DroppedConnections((told) => {
        tries++;
        told(state.lacks ? Object.assign(new Error('EMFILE'), { code: 'EMFILE' }) : undefined);
      }, (error) => reports.push(error)),
      reports,
      tries: () => tries,
      lacks: false,
    };
    return state;
  };

  test('runs once a second at most, and only with more downstreams than ever before', () => {
    const { dropped, tries, reports } = start();
    for (let now = 0; now < 5_000; now += 100) dropped.sweep(now, 64);
    assert.equal(tries(), 0);
    for (let now = 5_000; now < 10_000; now += 100) dropped.sweep(now, 65 + now / 100);
    assert.equal(tries(), 5);
    // Once more for the last one.
    for (let now = 10_000; now < 90_000; now += 100) dropped.sweep(now, 100);
    assert.equal(tries(), 6);
    assert.deepEqual(reports, []);
  });

  test('or after an upstream connection failed for lack of resources', () => {
    const { dropped, tries } = start();
    dropped.suspect();
    for (let now = 0; now < 5_000; now += 100) dropped.sweep(now, 1);
    assert.equal(tries(), 1);
  });

  test('and runs on while there is none; that is reported every 10 s', () => {
    const state = start();
    state.lacks = true;
    state.dropped.suspect();
    for (let now = 0; now < 30_000; now += 100) state.dropped.sweep(now, 1);
    assert.equal(state.tries(), 30);
    assert.deepEqual(state.reports.map(({ code }) => code), Array.from({ length: 3 }, () => 'RESOURCES_EXHAUSTED'));
    state.lacks = false;
    for (let now = 30_000; now < 60_000; now += 100) state.dropped.sweep(now, 1);
    assert.equal(state.tries(), 31);
  });
});
