/**
 * A layer 4 balancer under test: in virtual time, with everything it does recorded, and nothing left at the end.
 */
import assert from 'node:assert/strict';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { BalancerError } from '../../src/errors.ts';
import type { FinishedExchange } from '../../src/events.ts';
import type { TcpBalancerOptions, TcpUpstreamOptions } from '../../src/options/tcp-options.ts';
import type { Upstream } from '../../src/strategy.ts';
import { createTcpBalancer, type TcpBalancer } from '../../src/tcp/tcp-balancer.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { adopt, type Client, connectTo } from './client.ts';
import { atEnd } from './scope.ts';
import { Signal, turns, within } from './wait.ts';

/** A server of raw connections. */
export interface RawUpstream {
  readonly origin: string;
  readonly port: number;
  /** The number of connections so far. */
  readonly count: number;
  /** The next connection. */
  accepted(): Promise<Client>;
  /** Refuses connections from now on, and resets those that there are. */
  down(): Promise<void>;
  up(): Promise<void>;
}

/** Starts a server; `serve` gets each connection. */
export async function rawUpstream(t: TestContext, serve?: (socket: Socket) => void): Promise<RawUpstream> {
  const waiting: Client[] = [];
  const signal = new Signal();
  const open = new Set<Socket>();
  let count = 0;
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    count++;
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => undefined);
    if (serve !== undefined) serve(socket);
    else waiting.push(adopt(t, socket));
    signal.raise();
  });
  const listen = (port: number): Promise<void> => new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const down = async (): Promise<void> => {
    for (const socket of open) socket.resetAndDestroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  atEnd(t, down);
  return {
    origin: `tcp://127.0.0.1:${port}`,
    port,
    get count() {
      return count;
    },
    accepted: async () => {
      await signal.until(() => waiting.length > 0, () => 'a connection of the balancer');
      const client = waiting.shift();
      assert.ok(client !== undefined);
      return client;
    },
    down,
    up: () => listen(port),
  };
}

/** Answers each connection with what it sends, and says who it is first, if it has a `name`. */
export function echo(name = ''): (socket: Socket) => void {
  return (socket) => {
    if (name !== '') socket.write(name);
    socket.pipe(socket);
  };
}

/** An origin that refuses connections, as `refusingOrigin` is. */
export const REFUSING = 'tcp://127.0.0.1:1';

export interface TcpTestOptions extends Omit<TcpBalancerOptions, 'upstreams' | 'onReport' | 'time'> {
  readonly upstreams?: readonly (RawUpstream | string | TcpUpstreamOptions)[];
}

export class TcpUnderTest {
  readonly balancer: TcpBalancer;
  readonly time = new VirtualTime();
  readonly finished: FinishedExchange[] = [];
  /** The events, in order: `settled tcp://... ok`, `refused NO_CANDIDATE`, `retried CONNECT_REFUSED`. */
  readonly events: string[] = [];
  readonly reports: string[] = [];
  port = 0;
  readonly #t: TestContext;
  readonly #signal = new Signal();

  constructor(t: TestContext, { upstreams, ...options }: TcpTestOptions) {
    this.#t = t;
    this.balancer = createTcpBalancer({
      ...(upstreams === undefined ? {} : {
        strategy: { name: 'first', pick: (candidates: readonly Upstream[]) => candidates[0] },
        upstreams: upstreams.map((each) => typeof each === 'object' && 'accepted' in each ? each.origin : each),
      }),
      ...options,
      time: this.time,
      onReport: ({ error, upstream }) => {
        assert.ok(error instanceof BalancerError);
        this.reports.push(upstream === undefined ? error.code : `${error.code} at ${upstream}`);
        this.#signal.raise();
      },
    });
    const note = (event: string): void => {
      this.events.push(event);
      this.#signal.raise();
    };
    this.balancer
      .on('settled', ({ upstream, outcome: { ok, error } }) => {
        note(`settled ${upstream.origin} ${ok ? 'ok' : 'failed'}${error === undefined ? '' : ` ${error}`}`);
      })
      .on('retried', ({ code, upstream }) => {
        note(`retried ${String(code)} after ${upstream.origin}`);
      })
      .on('refused', ({ code, status }) => {
        note(`refused ${code} ${status}`);
      })
      .on('ejected', ({ upstream, by }) => {
        note(`ejected ${upstream.origin} by ${by}`);
      })
      .on('readmitted', ({ upstream, by }) => {
        note(`readmitted ${upstream.origin} by ${by}`);
      })
      .on('finished', (event) => {
        this.finished.push(event);
        this.#signal.raise();
      });
  }

  connect(): Promise<Client> {
    return connectTo(this.#t, this.port);
  }

  /** Connects, and resolves once that was reset, which the client may learn as late as it connects. */
  async refused(): Promise<void> {
    try {
      assert.equal(await (await this.connect()).over(), 'reset');
    } catch (cause) {
      assert.equal((cause as NodeJS.ErrnoException).code, 'ECONNRESET');
    }
  }

  /** Resolves when `count` connections have finished since the start. */
  async done(count: number): Promise<void> {
    await this.until(() => this.finished.length >= count, `${count} finished connections`);
  }

  async until(seen: () => boolean, what: string): Promise<void> {
    await this.#signal.until(seen, () => `${what}; events: ${this.events.join(', ')}; ${this.reports.join(', ')}`);
  }

  /** As `until`, for what no event tells. */
  async soon(seen: () => boolean, what: string): Promise<void> {
    const looking = async (): Promise<void> => {
      while (!seen()) await turns(1);
    };
    await within(looking(), () => `${what}; events: ${this.events.join(', ')}`);
  }

  /** How many connections are open, and how many of them wait for room in any pool. */
  get connections(): { readonly open: number; readonly queued: number } {
    const metering = this.balancer.meter({ exchange: ignore, answered: ignore, attempt: ignore });
    const { openConnections, queued } = metering.traffic();
    metering.stop();
    return { open: openConnections, queued: Object.values(queued).reduce((sum, count) => sum + count, 0) };
  }

  /** Advances time by `ms`, and lets everything that is due happen. */
  async advance(ms: number): Promise<void> {
    this.time.advance(ms);
    await turns(3);
  }

  async end(): Promise<void> {
    const closed = this.balancer.close({ timeoutMs: 0 });
    this.time.advance(1);
    await within(closed, () => 'the balancer to close');
    assert.equal(this.time.timers, 0, 'the clock runs on after the close');
    for (const { upstreams } of Object.values(this.balancer.pools)) {
      for (const { inFlight, origin } of upstreams) assert.equal(inFlight, 0, `in flight at ${origin}`);
    }
  }
}

function ignore(): void {
  // Nothing is counted.
}

/** Makes a balancer that listens. It ends with the test. */
export async function startTcp(t: TestContext, options: TcpTestOptions): Promise<TcpUnderTest> {
  const under = new TcpUnderTest(t, options);
  atEnd(t, () => under.end());
  const address = await under.balancer.listen({ port: 0, host: '127.0.0.1' });
  assert.ok(typeof address === 'object');
  under.port = address.port;
  return under;
}
