/**
 * A balancer behind both fronts whose own sockets a test can break, in this process or in a separate one.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createBalancer } from '../../src/balancer.ts';
import { type FrontDoor, FRONTS } from './fronts.ts';
import { neverConnects } from './streams.ts';
import { Signal, within } from './wait.ts';

/** One of the balancer's sockets. */
export type Side = 'downstream' | 'upstream';
export type Break = 'FIN' | 'RST';

export interface Breakable {
  /** The ports of the fronts, in the order of `FRONTS`. */
  readonly ports: readonly number[];
  /** Breaks the balancer's own socket on that side of the latest exchange. */
  break(side: Side, how: Break): Promise<void>;
  /** Resolves when a request for {@link BLACK_HOLE} waits to connect. */
  connecting(): Promise<void>;
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>;
  /** Closes it. Fails if anything had to be cut, or if the process does not end cleanly. */
  close(): Promise<void>;
}

/** The target whose first connect is never answered. */
export const BLACK_HOLE = '/black-hole';

/** Starts one in this process, in front of this upstream. */
export async function startBreakable(upstream: string): Promise<Breakable> {
  const signal = new Signal();
  const made: Record<Side, Socket[]> = { downstream: [], upstream: [] };
  const noting = (side: Side) => (message: unknown): void => {
    made[side].push((message as { readonly socket: Socket }).socket);
    signal.raise();
  };
  // From diagnostics: a `connect` option, for example, would change the fast path.
  const channels = [
    ['net.server.socket', noting('downstream')], ['net.client.socket', noting('upstream')],
  ] as const;
  for (const [name, note] of channels) diagnostics.subscribe(name, note);

  const hole = 'http://black-hole.test';
  let connecting: Socket | undefined;
  const balancer = createBalancer({
    upstreams: [upstream, hole],
    strategy: {
      name: 'by target',
      pick: (candidates, { request }) => candidates.find(({ origin }) => {
        return (origin === hole) === (request.target === BLACK_HOLE);
      }) ?? candidates[0],
    },
    connect: ({ origin }) => {
      if (origin !== hole) return undefined;
      connecting = neverConnects();
      signal.raise();
      return connecting;
    },
    ejectAfter: 0,
    upgradeProtocols: ['raw'],
    onReport: () => undefined,
  }).on('settled', () => {
    signal.raise();
  });
  const doors: FrontDoor[] = [];
  for (const front of FRONTS) doors.push(await front.open(balancer));
  const ports = doors.map(({ port }) => port);
  /** Whether a socket is the balancer's; the test's own process has others, too. */
  const ours = (side: Side, { localPort = 0, remotePort }: Socket): boolean => {
    return side === 'downstream' ? ports.includes(localPort) : remotePort === Number(new URL(upstream).port);
  };
  return {
    ports,
    break: async (side, how) => {
      const find = (): Socket | undefined => side === 'upstream' && connecting !== undefined
        ? connecting : made[side].findLast((each) => !each.destroyed && ours(side, each));
      // A client's connection may be established before the balancer has accepted it.
      await signal.until(() => find() !== undefined, () => `a socket ${side}`);
      if (how === 'RST') find()?.resetAndDestroy();
      else find()?.end();
    },
    connecting: () => signal.until(() => connecting !== undefined, () => 'a connect'),
    idle: async () => {
      const open = (): boolean => balancer.upstreams.some(({ inFlight }) => inFlight > 0);
      await signal.until(() => !open(), () => 'all to settle');
      connecting = undefined;
      made.downstream.length = made.upstream.length = 0;
    },
    close: async () => {
      for (const [name, note] of channels) diagnostics.unsubscribe(name, note);
      const { cut } = await balancer.close();
      for (const door of doors) await door.close();
      assert.equal(cut, 0);
    },
  };
}

/** A call to one in a separate process. */
export type Call = readonly ['break', Side, Break] | readonly ['connecting'] | readonly ['idle'] | readonly ['close'];

/** Starts one in a separate process, in front of this upstream. */
export async function forkBreakable(upstream: string): Promise<Breakable> {
  const program = new URL('./breakable-program.ts', import.meta.url);
  const child = fork(program, [upstream], { execArgv: ['--import', 'tsx'], silent: true });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const over = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  const call = async (...what: Call): Promise<void> => {
    child.send(what);
    const fault = await answer(child, over, () => `${what.join(' ')}: ${said}`);
    assert.equal(fault, '');
  };
  return {
    ports: JSON.parse(await answer(child, over, () => `a start: ${said}`)) as number[],
    break: (side, how) => call('break', side, how),
    connecting: () => call('connecting'),
    idle: () => call('idle'),
    close: async () => {
      try {
        await call('close');
        const [code, signal] = await within(over, () => 'the process to end by itself');
        assert.deepEqual([code, signal, said], [0, null, ''], 'its exit code, its signal, and what it printed');
      } finally {
        child.kill('SIGKILL');
      }
    },
  };
}

/** The next message of a process; fails if it ends instead. */
async function answer(child: ChildProcess, over: Promise<unknown>, what: () => string): Promise<string> {
  const ended = over.then(() => {
    throw new Error(`the process ended before ${what()}`);
  });
  const [message] = (await within(Promise.race([once(child, 'message'), ended]), what)) as [string];
  return message;
}
