/**
 * A balancer under test: in virtual time, with everything it does recorded. It is closed at the end of the test, and
 * nothing of it may be left then.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { BalancerOptions, UpstreamOptions } from '../../src/options/options.ts';
import type { Outcome, PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import { type Client, connectTo } from './client.ts';
import { type FrontDoor, type FrontKind, SOCKET } from './fronts.ts';
import { HOOKS_OF_ENVIRONMENT } from './noop-hooks.ts';
import { atEnd } from './scope.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { countTraces, TRACES_OF_ENVIRONMENT } from './traced.ts';
import type { ScriptedUpstream } from './upstream.ts';
import { Signal, turns, within } from './wait.ts';

/** A pick, as the strategy saw it. */
export interface Pick {
  readonly origin: string | undefined;
  readonly candidates: readonly string[];
  readonly attempt: number;
}

export interface Settled extends Outcome {
  readonly origin: string;
}

export interface TestOptions extends Omit<BalancerOptions, 'upstreams' | 'onReport' | 'time'> {
  readonly upstreams: readonly (ScriptedUpstream | string | UpstreamOptions)[];
  /** The front. Default: the socket. */
  readonly front?: FrontKind;
}

/** Picks the first candidate. */
export const first: Strategy = { name: 'first', pick: (candidates) => candidates[0] };

export class BalancerUnderTest {
  readonly balancer: Balancer;
  readonly time = new VirtualTime();
  readonly picks: Pick[] = [];
  /** The settled attempts, in order. */
  readonly outcomes: Settled[] = [];
  /** The reports, as `CODE` or `CODE at origin`. */
  readonly reports: string[] = [];
  /** The errors that were reported. */
  readonly errors: Error[] = [];
  #door: FrontDoor | undefined;
  /** Called with each report. */
  onReport: (() => void) | undefined;
  readonly #t: TestContext;
  readonly #front: FrontKind;
  readonly #signal = new Signal();
  /** Picks that have not settled. */
  readonly #open: Upstream[] = [];
  readonly #faults: string[] = [];

  constructor(t: TestContext, options: TestOptions) {
    const { upstreams, front, strategy = first, ...rest } = options;
    this.#t = t;
    this.#front = front ?? SOCKET;
    this.balancer = createBalancer({
      // The protocols that tests upgrade to; node:http must know them.
      upgradeProtocols: ['raw', 'other/1'],
      ...HOOKS_OF_ENVIRONMENT,
      ...rest,
      upstreams: upstreams.map((upstream) => {
        return typeof upstream === 'object' && 'events' in upstream ? upstream.origin : upstream;
      }),
      strategy: this.#watched(strategy),
      time: this.time,
      onReport: ({ error, upstream }) => {
        this.errors.push(error);
        this.reports.push(upstream === undefined ? error.code : `${error.code} at ${upstream}`);
        this.#signal.raise();
        this.onReport?.();
      },
    });
  }

  get port(): number {
    assert.ok(this.#door !== undefined, 'the front door is not open');
    return this.#door.port;
  }

  /** Opens the front door. */
  async open(): Promise<void> {
    this.#door = await this.#front.open(this.balancer);
  }

  /** A new connection to the balancer. */
  connect(): Promise<Client> {
    return connectTo(this.#t, this.port);
  }

  /** Resolves when `count` attempts have settled since the start. */
  settled(count: number): Promise<void> {
    return this.#signal.until(() => this.outcomes.length >= count, () => `${count} settled attempts; ${this.#state()}`);
  }

  /** Resolves when `count` picks were made since the start. */
  picked(count: number): Promise<void> {
    return this.#signal.until(() => this.picks.length >= count, () => `${count} picks; ${this.#state()}`);
  }

  /** Resolves when `count` reports have arrived since the start. */
  reported(count: number): Promise<void> {
    return this.#signal.until(() => this.reports.length >= count, () => `${count} reports; ${this.#state()}`);
  }

  /** Advances time by `ms`, and lets everything that is due happen. */
  async advance(ms: number): Promise<void> {
    this.time.advance(ms);
    await turns(3);
  }

  /** Waits for everything in flight, then closes all. Fails if anything is left. */
  async end(): Promise<void> {
    try {
      await this.#nothingInFlight();
    } finally {
      const closed = this.balancer.close({ timeoutMs: 0 });
      this.time.advance(1);
      await within(closed, () => 'the balancer to close');
      await this.#door?.close();
    }
    assert.equal(this.time.timers, 0, 'the clock runs on after the close');
  }

  async #nothingInFlight(): Promise<void> {
    await this.#signal.until(() => this.#open.length === 0, () => `all attempts to settle; ${this.#state()}`);
    assert.deepEqual(this.#faults, []);
    // Other pools have strategies that are not watched.
    const upstreams = Object.values(this.balancer.pools).flatMap((pool) => pool.upstreams);
    const inFlight = (): number[] => upstreams.map((each) => each.inFlight - each.inFlightElsewhere);
    for (let i = 0; i < 100 && inFlight().some((count) => count > 0); i++) await turns(1);
    for (const [i, count] of inFlight().entries()) assert.equal(count, 0, `in flight at ${upstreams[i]?.origin}`);
    const picked = this.picks.filter(({ origin }) => origin !== undefined).length;
    assert.equal(this.outcomes.length, picked, 'each pick settles exactly once');
  }

  #watched(strategy: Strategy): Strategy {
    const watched: Strategy = {
      name: strategy.name,
      pick: (candidates, context) => this.#pick(strategy, candidates, context),
      settled: (upstream, outcome) => {
        const at = this.#open.indexOf(upstream);
        if (at < 0) this.#faults.push(`${upstream.origin} settled more often than it was picked`);
        this.#open.splice(at, 1);
        this.outcomes.push({ origin: upstream.origin, ...outcome });
        this.#signal.raise();
        strategy.settled?.(upstream, outcome);
      },
    };
    if (strategy.changed !== undefined) watched.changed = strategy.changed.bind(strategy);
    return strategy.picksFull === true ? { ...watched, picksFull: true } : watched;
  }

  #pick(strategy: Strategy, candidates: readonly Upstream[], context: PickContext): Upstream | undefined {
    let picked: Upstream | undefined;
    try {
      return picked = strategy.pick(candidates, context);
    } finally {
      const mayDrain = (own: Upstream): boolean => (
        context.draining?.includes(own) === true && own.inFlight < own.maxInFlight);
      const begins = picked !== undefined && (candidates.includes(picked) || mayDrain(picked));
      const counted = begins ? picked : undefined;
      if (counted !== undefined) this.#open.push(counted);
      this.picks.push({
        origin: counted?.origin,
        candidates: candidates.map(({ origin }) => origin),
        attempt: context.attempt,
      });
      this.#signal.raise();
    }
  }

  #state(): string {
    const outcomes = this.outcomes.map(({ ok, error, status }) => `${ok ? 'ok' : 'failed'} ${error ?? status ?? ''}`);
    return `picks: ${this.picks.length}, settled: [${outcomes.join(', ')}], reports: [${this.reports.join(', ')}]`;
  }
}

/** Makes a balancer and opens its front door. It ends with the test. */
export async function startBalancer(t: TestContext, options: TestOptions): Promise<BalancerUnderTest> {
  if (TRACES_OF_ENVIRONMENT) countTraces(t);
  const under = new BalancerUnderTest(t, options);
  atEnd(t, () => under.end());
  await under.open();
  return under;
}
