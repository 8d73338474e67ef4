/**
 * An upstream in the simulation: a server, and what is wrong with it.
 */
import { coldFactor, type Fault, type Trouble, Troubles } from './faults.ts';
import { LoadMeter } from './load-meter.ts';
import { createServer, type Discipline, type Job, type Server } from './server.ts';
import type { Due, Timeline } from './timeline.ts';

/** One server, as it is set up. */
export interface ServerSettings {
  /** As `upstream.origin` and `id`. */
  readonly origin: string;
  readonly weight: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Work done per millisecond; 1 by default. */
  readonly speed: number;
  /** How many requests it serves at a time. */
  readonly concurrency: number;
  readonly discipline: Discipline;
  /** Over how long it measures the load that it reports; undefined if it does not report. */
  readonly loadReportMs: number | undefined;
}

/** A try of a request on a server. */
export interface Call {
  /** The answer came, with this status, and with this load report if the server sends one. */
  answered(status: number, now: number, report: string | undefined): void;
}

export class SimulatedServer {
  readonly settings: ServerSettings;
  readonly #timeline: Timeline;
  readonly #server: Server;
  readonly #rng: () => number;
  readonly #meter: LoadMeter | undefined;
  readonly #troubles = new Troubles();
  #trouble: Trouble;
  /** Fast errors under way. */
  #failing = 0;
  /** When it became cold, and what it has got since. */
  #coldSince = 0;
  #warmed = 0;

  /** `rng`: numbers in [0, 1), for faults that concern a share of the requests. */
  constructor(settings: ServerSettings, timeline: Timeline, rng: () => number) {
    this.settings = settings;
    this.#timeline = timeline;
    this.#rng = rng;
    this.#server = createServer(timeline, settings.discipline, settings.concurrency, settings.speed);
    const { concurrency, loadReportMs } = settings;
    if (loadReportMs !== undefined) this.#meter = new LoadMeter(this.#server, concurrency, loadReportMs);
    this.#trouble = this.#troubles.now;
  }

  /** Whether connections are refused. */
  get down(): boolean {
    return this.#trouble.down;
  }

  /** Whether the balancers have removed it from their pools, or taken it out of service. */
  get membership(): Pick<Trouble, 'removed' | 'drained'> {
    return this.#trouble;
  }

  /** How many requests it has. */
  get present(): number {
    return this.#server.present + this.#failing;
  }

  busyMs(now: number): number {
    return this.#server.busyMs(now);
  }

  /** Serves `work`, in milliseconds at speed 1. */
  serve(call: Call, work: number, now: number): void {
    const { failing } = this.#trouble;
    if (failing !== undefined && (failing.share === 1 || this.#rng() < failing.share)) {
      this.#failing++;
      this.#timeline.schedule(new FastError(() => {
        this.#failing--;
      }, call, failing.status, this.#meter), now + failing.afterMs);
    } else this.#server.submit(new Work(call, work * this.#factor(now), this.#meter), now);
  }

  /** Plans a fault: it comes and goes, again and again if it repeats. Each time, `told` is called afterwards. */
  plan(fault: Fault, told: (begins: boolean, now: number) => void): void {
    const { fromMs, toMs = Infinity, everyMs } = fault;
    const change = (begins: boolean, now: number): void => {
      if (begins) this.#troubles.begin(fault);
      else this.#troubles.end(fault);
      const before = this.#trouble;
      this.#trouble = this.#troubles.now;
      if (begins && fault.kind === 'cold') {
        this.#coldSince = now;
        this.#warmed = 0;
      }
      if (before.stopped !== this.#trouble.stopped) {
        this.#server.setSpeed(this.#trouble.stopped ? 0 : this.settings.speed, now);
      }
      told(begins, now);
    };
    this.#timeline.schedule(new Change(change, true, this.#timeline, everyMs), fromMs);
    if (toMs < Infinity) this.#timeline.schedule(new Change(change, false, this.#timeline, everyMs), toMs);
  }

  /** How many times as long as usual the work takes that arrives now. */
  #factor(now: number): number {
    const { slow, cold } = this.#trouble;
    return cold === undefined ? slow : slow * coldFactor(cold, now - this.#coldSince, this.#warmed++);
  }
}

class Work implements Job {
  readonly work: number;
  readonly #call: Call;
  readonly #meter: LoadMeter | undefined;

  constructor(call: Call, work: number, meter: LoadMeter | undefined) {
    this.#call = call;
    this.work = work;
    this.#meter = meter;
  }

  done(now: number): void {
    this.#call.answered(200, now, this.#meter?.answered(200, now));
  }
}

class FastError implements Due {
  at = 0;
  turn = 0;
  place = -1;
  readonly #over: () => void;
  readonly #call: Call;
  readonly #status: number;
  readonly #meter: LoadMeter | undefined;

  constructor(over: () => void, call: Call, status: number, meter: LoadMeter | undefined) {
    this.#over = over;
    this.#call = call;
    this.#status = status;
    this.#meter = meter;
  }

  happen(now: number): void {
    this.#over();
    this.#call.answered(this.#status, now, this.#meter?.answered(this.#status, now));
  }
}

class Change implements Due {
  at = 0;
  turn = 0;
  place = -1;
  readonly #change: (begins: boolean, now: number) => void;
  readonly #begins: boolean;
  readonly #timeline: Timeline;
  readonly #everyMs: number | undefined;

  constructor(
    change: (begins: boolean, now: number) => void, begins: boolean, timeline: Timeline, everyMs: number | undefined,
  ) {
    this.#change = change;
    this.#begins = begins;
    this.#timeline = timeline;
    this.#everyMs = everyMs;
  }

  happen(now: number): void {
    if (this.#everyMs !== undefined) this.#timeline.schedule(this, now + this.#everyMs);
    this.#change(this.#begins, now);
  }
}
