/**
 * The admin listener of a balancer: probes, metrics, upstreams to look at, to drain and to weigh, and the live page. In
 * a worker it answers for all of them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemTime } from '../../loop/clock.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import type { AdminView, Fulfilled } from './admin-view.ts';
import { type AdminOptions, checkAdmin } from './admin-options.ts';
import type { Administered } from './administered.ts';
import { Decisions, type Evidence, type Filter, type Recorded, recordedIn, recordsIn } from './decisions.ts';
import type { DoorRules } from './doors.ts';
import { IncidentLog, type Incident } from './incidents.ts';
import { type Order, Orders, ordersIn, type Wish } from './orders.ts';
import { Pages } from './pages.ts';
import { Requests } from './requests.ts';
import { summedShadows } from './shadows.ts';
import { statsOf, summed, type UpstreamStats, type WorkerStats, workerStatsIn } from './stats.ts';
import { type Question, Workers } from './workers.ts';

export interface Admin {
  /** Serves the admin listener: a listener for `node:http`. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Resolves with whether this worker, or another one, is ready: what `/readyz` says. */
  ready(): Promise<boolean>;
  /** Ends the pages and leaves the channel. The server is the embedder's to close. */
  close(): void;
}

/** Makes the admin listener of a balancer. Throws OPTIONS_INVALID. */
export function createAdmin(options: AdminOptions): Admin {
  checkAdmin(options);
  return new BalancerAdmin(options);
}

class BalancerAdmin implements Admin, AdminView {
  readonly doors: DoorRules;
  readonly metrics: AdminOptions['metrics'];
  readonly pages: Pages;
  readonly handle: Admin['handle'];
  readonly #balancer: Administered;
  readonly #stopping: AbortSignal | undefined;
  readonly #time: TimeSource;
  readonly #log: IncidentLog;
  readonly #decisions: Decisions;
  readonly #workers: Workers;
  readonly #orders: Orders;
  readonly #startedAt: number;
  #busy = performance.eventLoopUtilization();
  #load = 0;
  readonly #onRemoved = ({ pool, upstream }: { pool: string; upstream: { origin: string } }): void => {
    this.#orders.forget(pool, upstream.origin);
  };

  constructor({ balancer, metrics, channel, token, hosts = [], stopping, orders, onOrders, time }: AdminOptions) {
    this.doors = { token, hosts };
    this.metrics = metrics;
    this.#balancer = balancer;
    this.#stopping = stopping;
    this.#time = time ?? systemTime;
    this.#startedAt = this.#time.now();
    this.#log = new IncidentLog(balancer, this.#time);
    this.#decisions = new Decisions(balancer, this.#time);
    this.#workers = new Workers({
      ready: () => this.#isReady,
      answer: (question) => this.#answer(question),
      watched: (ms) => {
        this.#decisions.record(ms);
      },
      report: () => this.#report(),
    }, () => this.#orders, this.#time);
    this.#orders = new Orders(balancer, this.#workers.me, onOrders);
    for (const order of ordersIn(orders)) this.#orders.obey(order);
    if (orders !== undefined) this.#orders.tell();
    this.pages = new Pages({
      time: this.#time,
      watch: () => {
        this.#decisions.record(WATCHED_MS);
        this.#workers.watch();
      },
      view: () => this.#view(),
    });
    this.handle = new Requests(this).handle;
    balancer.on('removed', this.#onRemoved);
    try {
      this.#workers.join(channel);
    } catch (cause) {
      this.close();
      throw cause;
    }
  }

  async ready(): Promise<boolean> {
    if (this.#isReady) return true;
    const { values } = await this.#workers.ask({ what: 'ready' }, READY_MS);
    return values.includes(true);
  }

  async upstreams(): Promise<readonly UpstreamStats[]> {
    const own = this.#stats();
    const { values } = await this.#workers.ask({ what: 'stats' }, ASK_MS);
    return summed([own, ...values.map(workerStatsIn).filter((one) => one !== undefined)]);
  }

  async order(pool: string, origin: string, wish: Wish): Promise<Fulfilled> {
    const order: Order = this.#orders.of(pool, origin, wish);
    const isHere = this.#orders.obey(order);
    const { values, others } = await this.#workers.order(order, ORDER_MS);
    this.pages.refresh();
    return { isThere: isHere || values.includes(true), workers: others + 1, confirmed: values.length + 1 };
  }

  async why(filter: Filter): Promise<{ decisions: readonly Recorded[]; recordingFor: number }> {
    const own = this.#record(filter);
    const { values } = await this.#workers.ask({ what: 'why', filter }, ASK_MS);
    const all = [own, ...values.map(recordedIn)].flat().sort((one, other) => other.at - one.at);
    return { decisions: all.slice(0, filter.limit), recordingFor: RECORD_MS / 1_000 };
  }

  close(): void {
    this.pages.close();
    this.#workers.close();
    this.#decisions.close();
    this.#log.close();
    this.#balancer.off('removed', this.#onRemoved);
  }

  get #isReady(): boolean {
    return this.#balancer.ready && this.#stopping?.aborted !== true;
  }

  #record(filter: Filter): readonly Recorded[] {
    this.#decisions.record(RECORD_MS);
    return this.#decisions.find(filter);
  }

  #answer({ what, filter }: Question): unknown {
    switch (what) {
      case 'ready': return this.#isReady;
      case 'stats': return this.#stats();
      case 'why': return this.#record(filterIn(filter));
    }
  }

  #stats(limit = Infinity): WorkerStats {
    const pools = Object.entries(this.#balancer.pools);
    return {
      pid: process.pid,
      ready: this.#isReady,
      uptimeS: Math.round((this.#time.now() - this.#startedAt) / 1_000),
      load: this.#measured(),
      memoryMb: Math.round(process.memoryUsage.rss() / 1_048_576),
      pools: pools.map(([name, { strategy, shadow }]) => ({ name, strategy, shadow })),
      upstreams: pools.flatMap(([name, { upstreams }]) => upstreams.map((one) => (
        statsOf(name, one, this.#log.ejectionOf(one), this.#orders.weightOf(name, one))))).slice(0, limit),
    };
  }

  /** How busy this process is. Measured over a while: a moment within one turn of the event loop is always busy. */
  #measured(): number {
    const busy = performance.eventLoopUtilization();
    if (busy.active + busy.idle - this.#busy.active - this.#busy.idle > BUSY_MS) {
      this.#load = performance.eventLoopUtilization(busy, this.#busy).utilization;
      this.#busy = busy;
    }
    return this.#load;
  }

  /** What pages elsewhere show of this worker. */
  #report(): Report {
    return {
      stats: this.#stats(MAX_SHOWN),
      incidents: this.#log.incidents,
      evidence: this.#decisions.evidence,
      decisions: this.#decisions.find({ limit: MAX_DECISIONS_SHOWN }),
    };
  }

  #view(): unknown {
    const reports = [this.#report(), ...this.#workers.reports.map(reportIn).filter((one) => one !== undefined)];
    const incidents = reports.flatMap((one) => one.incidents).sort((one, other) => other.at - one.at);
    const decisions = reports.flatMap((one) => one.decisions).sort((one, other) => other.at - one.at);
    const workers = reports.map(({ stats: { pid, ready, uptimeS, load, memoryMb, upstreams } }) => ({
      pid, ready, uptimeS, load, memoryMb, inFlight: upstreams.reduce((sum, { inFlight }) => sum + inFlight, 0),
    }));
    const ofWorkers = reports.flatMap(({ stats }) => stats.pools);
    const pools = [...new Map(ofWorkers.map((pool) => [pool.name, pool])).values()].map((pool) => ({
      ...pool, shadow: summedShadows(ofWorkers.filter(({ name }) => name === pool.name).map(({ shadow }) => shadow)),
    }));
    return {
      at: this.#time.epoch(),
      ready: workers.some((worker) => worker.ready),
      workers,
      pools,
      upstreams: summed(reports.map(({ stats }) => stats)),
      incidents: incidents.slice(0, MAX_INCIDENTS_SHOWN),
      evidence: reports.flatMap((one) => one.evidence),
      decisions: decisions.slice(0, MAX_DECISIONS_SHOWN),
    };
  }
}

/** What a worker says every second, while pages are open. */
interface Report {
  readonly stats: WorkerStats;
  readonly incidents: readonly Incident[];
  readonly evidence: readonly Evidence[];
  readonly decisions: readonly Recorded[];
}

function reportIn(value: unknown): Report | undefined {
  const [report] = recordsIn([value]);
  const stats = workerStatsIn(report?.['stats']);
  if (report === undefined || stats === undefined) return undefined;
  return {
    stats,
    incidents: recordsIn(report['incidents']) as unknown as readonly Incident[],
    evidence: recordsIn(report['evidence']) as unknown as readonly Evidence[],
    decisions: recordedIn(report['decisions']),
  };
}

/** A filter from another worker. */
function filterIn(value: unknown): Filter {
  const [given = {}] = recordsIn([value]);
  const texts = Object.entries(given).filter(([, text]) => typeof text === 'string');
  const { limit } = given;
  return { ...Object.fromEntries(texts), limit: typeof limit === 'number' ? limit : 0 };
}

const READY_MS = 250;
const ASK_MS = 1_000;
const ORDER_MS = 2_000;
/** How long decisions are recorded after the last question for them. */
const RECORD_MS = 60_000;
const WATCHED_MS = 4_000;
const BUSY_MS = 900;
/** Beyond these, the page would be of little help, and its updates large. */
const MAX_SHOWN = 500;
const MAX_INCIDENTS_SHOWN = 30;
const MAX_DECISIONS_SHOWN = 12;
