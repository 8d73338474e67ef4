/**
 * An upstream that answers when the test says so, and the queue of requests for it.
 */
import type { TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from './balancer.ts';
import { type Client, get } from './client.ts';
import { type Peer, response, type ScriptedUpstream, startUpstream } from './upstream.ts';
import { gate, Signal } from './wait.ts';

/** Holds each request until it is released; then answers with its target. */
export class Holding {
  readonly upstream: ScriptedUpstream;
  /** The targets of the requests that arrived, in order. */
  readonly targets: string[] = [];
  readonly #held: (() => void)[] = [];
  readonly #signal = new Signal();

  private constructor(upstream: ScriptedUpstream) {
    this.upstream = upstream;
  }

  static async start(t: TestContext): Promise<Holding> {
    const holding: Holding = new Holding(await startUpstream(t, (peer) => holding.#serve(peer)));
    return holding;
  }

  get origin(): string {
    return this.upstream.origin;
  }

  /** Resolves when `count` requests have arrived since the start. */
  came(count: number): Promise<void> {
    return this.#signal.until(
      () => this.targets.length >= count, () => `${count} requests, having [${this.targets.join(', ')}]`);
  }

  /** Answers the request that has been held longest. */
  release(): void {
    this.#held.shift()?.();
  }

  async #serve(peer: Peer): Promise<void> {
    for (;;) {
      const { head } = await peer.request();
      const [, target = ''] = head.line.split(' ');
      const { opened, open } = gate();
      this.#held.push(open);
      this.targets.push(target);
      this.#signal.raise();
      await opened;
      peer.send(response(target));
    }
  }
}

/** Watches the queue of a balancer. */
export class Waits {
  readonly #under: BalancerUnderTest;
  readonly #signal = new Signal();
  /** The number of waiting requests, each time that one began to wait. */
  readonly counts: number[] = [];

  constructor(under: BalancerUnderTest) {
    this.#under = under;
    under.balancer.on('queued', ({ waiting }) => {
      this.counts.push(waiting);
      this.#signal.raise();
    });
  }

  /** Resolves when requests have begun to wait `count` times since the start. */
  waited(count: number): Promise<void> {
    return this.#signal.until(() => this.counts.length >= count, () => `${count} requests to wait`);
  }

  /** Sends a request that must wait, over its own connection. */
  async send(request: string | Buffer = get()): Promise<Client> {
    const client = await this.#under.connect();
    const before = this.counts.length;
    client.send(request);
    await this.#signal.until(() => this.counts.length > before, () => 'a request to wait');
    return client;
  }
}

export interface FullBalancer {
  readonly holding: Holding;
  readonly under: BalancerUnderTest;
  readonly waits: Waits;
  /** The downstream whose request to `/0` is in flight. */
  readonly client: Client;
}

/** Starts a balancer with one upstream that is full: its limit is one request, which is in flight. */
export async function startFull(t: TestContext, options: Omit<TestOptions, 'upstreams'>): Promise<FullBalancer> {
  const holding = await Holding.start(t);
  const under = await startBalancer(t, {
    upstreams: [{ origin: holding.origin, maxInFlight: 1 }], maxQueued: 9, ...options,
  });
  const waits = new Waits(under);
  const client = await under.connect();
  client.send(get('/0'));
  await holding.came(1);
  return { holding, under, waits, client };
}
