/**
 * Plays one simulation.
 */
import { BalancerError, type ErrorCode } from '../errors.ts';
import { messageOf, nameOf } from '../guard.ts';
import { isRecord, shown } from '../options/checks.ts';
import { type BalancerSettings, readOptions } from '../options/parse.ts';
import type { Strategy } from '../strategy.ts';
import { Accounts } from './accounts.ts';
import { onBoard } from './board.ts';
import { delayedChannel } from './channel.ts';
import { CookieJars } from './cookies.ts';
import { Histogram } from './histogram.ts';
import type { Simulation } from './options.ts';
import { exponentialDraw, stream } from './random.ts';
import { Batch, BATCHES, type Mark, SimulationResult } from './result.ts';
import { Series } from './series.ts';
import { SimulatedBalancer } from './simulated-balancer.ts';
import type { Asker, SimulatedExchange } from './simulated-exchange.ts';
import { SimulatedServer } from './simulated-server.ts';
import { type Due, Timeline } from './timeline.ts';

/** Plays it to its end. Throws what the strategy throws, and RangeError if the run does not add up. */
export function play(simulation: Simulation): SimulationResult {
  const run = new Run(simulation);
  try {
    return run.play();
  } finally {
    run.stop();
  }
}

class Run implements Asker {
  readonly #simulation: Simulation;
  readonly #timeline = new Timeline();
  readonly #servers: readonly SimulatedServer[];
  readonly #balancers: readonly SimulatedBalancer[];
  readonly #works: () => number;
  readonly #spread: () => number;
  readonly #clients: () => number;
  readonly #thinks: () => number;
  readonly #series: Series;
  readonly #latencies = new Histogram();
  readonly #batches = Array.from({ length: BATCHES }, () => new Batch());
  readonly #codes = new Map<string, number>();
  readonly #marks: Mark[] = [];
  /** The first requests, which find the servers empty, are left out. */
  readonly #warm: number;
  /** The request that the balancer acts on: what a fault of the strategy is about. */
  acting = -1;
  readonly cookies: CookieJars | undefined;
  readonly #startedAt = performance.now();
  #strategy = '';
  /** The picks of each server at the last sample. */
  #sampled: readonly number[] = [];
  #fault: BalancerError | undefined;
  readonly #accounts = new Accounts();
  /** After this long without an end, a request that is left was lost. */
  readonly #patienceMs: number;
  #failed = 0;
  /** Whether there are arrivals to come. */
  #arriving = true;

  constructor(simulation: Simulation) {
    const { seed, servers, faults, requests, service, rate, settings, cookies } = simulation;
    this.#simulation = simulation;
    this.cookies = cookies ? new CookieJars() : undefined;
    this.#warm = Math.floor(requests / 10);
    this.#patienceMs = patienceOf(settings);
    const works = stream(seed, 'work');
    this.#works = service.start?.(works) ?? (() => service.draw(works));
    this.#spread = stream(seed, 'balancer');
    this.#clients = stream(seed, 'client');
    this.#thinks = stream(seed, 'think');
    this.#servers = servers.map((server, at) => {
      return new SimulatedServer(server, this.#timeline, stream(seed, `fault ${at}`));
    });
    this.#balancers = this.#createBalancers();
    for (const fault of faults) {
      const server = this.#servers[fault.server];
      server?.plan(fault, (begins, now) => {
        this.#mark(now, begins ? fault.kind : `${fault.kind} over`, server.settings.origin);
        if (fault.kind === 'removed' || fault.kind === 'drained') {
          for (const balancer of this.#balancers) balancer.follow(server);
        }
      });
    }
    this.#series = new Series(rate === undefined ? service.meanMs : requests / rate / 400);
  }

  play(): SimulationResult {
    this.#startArrivals();
    this.#planSample();
    const accounts = this.#accounts;
    const timeline = this.#timeline;
    for (let steps = 1; (this.#arriving || accounts.ended < accounts.begun) && timeline.step(); steps++) {
      // Timers that are too many may leave no time for requests.
      if (steps % STEPS_PER_LOOK === 0) this.#mindTime();
      if (this.#fault !== undefined) throw this.#fault;
      if (!this.#arriving && timeline.now() - accounts.changedAt > this.#patienceMs) break;
    }
    if (this.#fault !== undefined) throw this.#fault;
    this.#check();
    return this.#result();
  }

  stop(): void {
    for (const balancer of this.#balancers) balancer.stop();
  }

  ended(exchange: SimulatedExchange, status: number, code: ErrorCode | undefined, now: number): void {
    const { deadlineMs, arrivals, requests } = this.#simulation;
    const { number, arrivedAt, client } = exchange;
    const latencyMs = now - arrivedAt;
    const late = latencyMs > deadlineMs;
    const well = status < 500 && status !== 429;
    exchange.balancer.rest(exchange);
    this.#accounts.end(latencyMs, now);
    if (late || !well) {
      this.#failed++;
      const name = code ?? (well ? 'late' : String(status));
      this.#codes.set(name, (this.#codes.get(name) ?? 0) + 1);
    }
    this.#series.ended(latencyMs, late || !well);
    if (number >= this.#warm) {
      const batch = this.#batches[Math.floor((number - this.#warm) * BATCHES / (requests - this.#warm))];
      if (batch === undefined) throw new RangeError(`request ${number} is one too many`);
      batch.requests++;
      if (late || !well) batch.failed++;
      if (well) {
        this.#latencies.add(latencyMs);
        batch.latencies.add(latencyMs);
      }
    }
    if (arrivals.kind === 'closed') this.#comesBack(client, arrivals.thinkMs, now);
  }

  #createBalancers(): readonly SimulatedBalancer[] {
    const { seed, settings, balancers, peersDelayMs, poolOptions, strategy: create } = this.#simulation;
    const timeline = this.#timeline;
    const servers = new Map(this.#servers.map((server) => [server.settings.origin, server]));
    const channel = peersDelayMs === undefined ? undefined : delayedChannel(timeline, peersDelayMs);
    return Array.from({ length: balancers }, (_, at) => {
      const strategy = this.#createStrategy(create, at);
      const own = channel === undefined ? settings : readOptions({ ...poolOptions, peers: channel }, []);
      const balancer = new SimulatedBalancer(own, {
        timeline, servers, strategy, rng: stream(seed, `health ${at}`), asker: this,
        onFault: (error) => {
          this.#fault ??= this.#blame(error.message, error.cause, error.code);
        },
      });
      for (const event of ['ejected', 'readmitted'] as const) {
        balancer.events.on(event, ({ upstream }) => {
          this.#mark(timeline.now(), event, upstream.origin);
        });
      }
      return balancer;
    });
  }

  #createStrategy(create: Simulation['strategy'], balancer: number): Strategy {
    const { seed, boardMs } = this.#simulation;
    const made: unknown = create({ rng: stream(seed, `strategy ${balancer}`), now: () => this.#timeline.now() });
    if (!isRecord(made) || typeof made['pick'] !== 'function') {
      throw new BalancerError('OPTIONS_INVALID', `strategy: must return a strategy, with pick (got ${shown(made)})`);
    }
    const strategy = made as unknown as Strategy;
    this.#strategy = nameOf(strategy);
    return boardMs === 0 ? strategy : onBoard(strategy, this.#timeline, boardMs);
  }

  /** An error that says how to meet it again. */
  #blame(message: string, cause: unknown, code: ErrorCode = 'STRATEGY_FAILED'): BalancerError {
    const { seed } = this.#simulation;
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`;
    const when = this.acting < 0 ? 'before the first request' : `request ${this.acting + 1}`;
    return new BalancerError(code, `${message}${why} (seed ${seed}, ${when})`, { cause });
  }

  #startArrivals(): void {
    const { arrivals, rate = 1, seed } = this.#simulation;
    const rng = stream(seed, 'arrivals');
    if (arrivals.kind === 'closed') {
      for (let client = 0; client < arrivals.clients; client++) this.#comesBack(client, arrivals.thinkMs, 0);
      return;
    }
    const next = arrivals.start(rng);
    const scale = arrivals.scaled ? 1 / rate : 1;
    const plan = (now: number): void => {
      const gap = this.#accounts.begun < this.#simulation.requests ? next() : undefined;
      if (gap === undefined) this.#arriving = false;
      else this.#timeline.schedule(arrival, now + gap * scale);
    };
    const arrival: Due = {
      at: 0, turn: 0, place: -1,
      happen: (now) => {
        this.#begin(Math.floor(this.#clients() * this.#simulation.clients), now);
        plan(now);
      },
    };
    plan(0);
  }

  /** A client of a closed loop sends its next request. */
  #comesBack(client: number, thinkMs: number, now: number): void {
    if (this.#accounts.begun + this.#coming >= this.#simulation.requests) {
      this.#arriving = this.#coming > 0;
      return;
    }
    this.#arriving = true;
    this.#coming++;
    const at = thinkMs === 0 ? now : now + thinkMs * exponentialDraw(this.#thinks);
    this.#timeline.schedule({
      at: 0, turn: 0, place: -1,
      happen: (then) => {
        this.#coming--;
        this.#begin(client, then);
        this.#arriving = this.#coming > 0 || this.#accounts.begun < this.#simulation.requests;
      },
    }, at);
  }

  /** Requests of a closed loop that are about to come. */
  #coming = 0;

  #begin(client: number, now: number): void {
    if (this.#accounts.begun % LOOK_EVERY === 0) this.#mindTime();
    const balancers = this.#balancers;
    const balancer = balancers.length === 1 ? balancers[0] : balancers[Math.floor(this.#spread() * balancers.length)];
    balancer?.request(this.#accounts.begin(now), client, this.#works(), now);
  }

  /** Ends a run that takes too long by the real clock: most often that is the strategy. */
  #mindTime(): void {
    const { timeLimitMs, requests } = this.#simulation;
    if (performance.now() - this.#startedAt <= timeLimitMs) return;
    this.#fault ??= this.#blame(
      `strategy ${this.#strategy} is too slow: ${this.#accounts.begun} of ${requests} requests took more than ` +
      `${timeLimitMs} ms by the real clock; simulate fewer, raise timeLimitMs, or lengthen boardMs and everyMs if ` +
      'they are very short', undefined);
  }

  #mark(ms: number, what: string, server: string): void {
    if (this.#marks.length < MOST_MARKS) this.#marks.push({ ms, what, server });
  }

  #planSample(): void {
    this.#timeline.schedule({
      at: 0, turn: 0, place: -1,
      happen: () => {
        const shown = this.#servers.slice(0, MOST_SHOWN);
        const picks = shown.map(({ settings }) => this.#picksOf(settings.origin));
        this.#series.take(
          shown.map(({ present }) => present),
          picks.map((count, server) => count - (this.#sampled[server] ?? 0)),
        );
        this.#sampled = picks;
        this.#planSample();
      },
    }, this.#series.next);
  }

  #picksOf(origin: string): number {
    let picks = 0;
    for (const balancer of this.#balancers) picks += balancer.picksOf(origin);
    return picks;
  }

  #check(): void {
    const { begun } = this.#accounts;
    this.#accounts.check(this.#balancers.reduce((sum, { inFlight }) => sum + inFlight, 0));
    const away = this.#simulation.faults.some(({ kind }) => kind === 'removed' || kind === 'drained');
    if (this.#codes.get('NO_CANDIDATE') === begun && !away) {
      throw this.#blame(`strategy ${this.#strategy} never picked: it returned undefined each time`, undefined);
    }
  }

  #result(): SimulationResult {
    const { seed } = this.#simulation;
    const now = this.#timeline.now();
    const picks = this.#servers.map(({ settings }) => this.#picksOf(settings.origin));
    const all = picks.reduce((sum, each) => sum + each, 0);
    return new SimulationResult({
      strategy: this.#strategy,
      seed,
      requests: this.#accounts.begun,
      failed: this.#failed,
      durationMs: now,
      upstreams: this.#servers.map((server, at) => ({
        id: server.settings.origin,
        picks: picks[at] ?? 0,
        share: all === 0 ? 0 : (picks[at] ?? 0) / all,
        utilisation: server.settings.concurrency === Infinity || now === 0
          ? 0
          : server.busyMs(now) / (now * server.settings.concurrency),
      })),
      codes: Object.fromEntries(this.#codes),
      latencies: this.#latencies,
      batches: this.#batches,
      samples: this.#series.samples,
      marks: this.#marks,
    });
  }
}

/** Within this time each attempt, and each wait between two, was ended by its timeout. */
function patienceOf({ pools }: BalancerSettings): number {
  let longest = 0;
  for (const { responseTimeoutMs, queueTimeoutMs, maxAttempts } of pools.values()) {
    longest = Math.max(longest, (responseTimeoutMs + queueTimeoutMs + 1_000) * (maxAttempts + 1));
  }
  return longest;
}

/** Requests from one look at the real clock to the next. */
const LOOK_EVERY = 16;
const STEPS_PER_LOOK = 65_536;
/** Servers whose course is kept for the plots. */
const MOST_SHOWN = 32;
const MOST_MARKS = 1_000;
