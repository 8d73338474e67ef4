/**
 * One trial of the conformance suite: a strategy and its open attempts.
 */
import assert from 'node:assert/strict';
import { isThenable } from '../guard.ts';
import type { Candidate, LoadReport, Outcome, PickContext, PickRequest, Strategy } from '../strategy.ts';
import type { PickContextParts } from './pick-context.ts';
import { FakeUpstream, type StandIn } from './stand-in.ts';

/** A strategy of upstreams or of workers. The suite checks that it picks one of the stand-ins. */
export interface Tested extends Omit<Strategy<StandIn>, 'pick'> {
  pick(candidates: readonly StandIn[], context: PickContext<never>): Candidate | undefined;
}

/** Creates a strategy. `rng` is the randomness of the run: numbers in [0, 1), like `Math.random`. */
export type Make = (seams: { readonly rng: () => number }) => Tested;

/** What a strategy may do on purpose, although most must not. */
export interface ConformanceOptions {
  /** False if equal, idle candidates need not all be picked, for example because a hash decides. Default true. */
  readonly spreads?: boolean;
  /** True if `pick` may return undefined although it was offered candidates. Default false. */
  readonly declines?: boolean;
  /**
   * True if it must pick in proportion to the weights, both while all are idle and while nothing settles. Default
   * false.
   */
  readonly weighted?: boolean;
  /**
   * True if, of two candidates, it must pick the one with fewer in flight; with `weighted`, for its weight. Default
   * false.
   */
  readonly leastLoaded?: boolean;
  /**
   * For a strategy that sends each key to the same candidate, such as a hash: what the context of a request with this
   * key holds, e.g. `(key) => ({ remoteAddress: key })`. Default: it goes by no key.
   */
  readonly keyed?: (key: string) => PickContextParts<PickRequest> & { readonly request?: Partial<PickRequest> };
  /**
   * True if it reads the reports of upstreams: the stand-ins' `load` is then a `LoadReport` or undefined. Default
   * false: it is a number, as that of a worker.
   */
  readonly reports?: boolean;
}

/** Checks each pick, and settles each exactly once. */
export class Trial {
  readonly open: FakeUpstream[] = [];
  /** Cookies that it set, as `name=value`. */
  readonly cookies: string[] = [];
  /** The headers of the next requests. */
  header: (name: string) => string | undefined = header;
  readonly #strategy: Tested;
  readonly #rng: () => number;
  readonly #declines: boolean;
  readonly #reports: boolean;
  /** One object for all picks, as in the balancer. */
  readonly #context = {
    attempt: 1, remoteAddress: '', now: 1_000_000, note: undefined as unknown,
    request: { method: 'GET', target: '/', host: '', header: (name: string) => this.header(name) },
    respondWith: (name: string, value: string) => {
      if (name.toLowerCase() === 'set-cookie') this.cookies.push(value.split(';', 1)[0] ?? '');
    },
  };
  /** What `pick` left for each open attempt, and whether it was answered. */
  readonly #notes: unknown[] = [];
  readonly #answered: boolean[] = [];

  constructor(make: Make, rng: () => number, options: ConformanceOptions = {}) {
    this.#strategy = make({ rng });
    this.#rng = rng;
    this.#declines = options.declines === true;
    this.#reports = options.reports === true;
  }

  get now(): number {
    return this.#context.now;
  }

  /** Time goes by. */
  wait(ms: number): void {
    this.#context.now += ms;
  }

  changed(candidates: readonly StandIn[], members = candidates): void {
    this.#report(candidates);
    this.#strategy.changed?.(candidates, members);
  }

  /** A checked pick that begins no attempt. */
  choose<C extends StandIn>(
    candidates: readonly C[], context: PickContext<PickRequest | undefined> = this.#context,
  ): C | undefined {
    this.#report(candidates);
    const picked: unknown = this.#strategy.pick(candidates, context as PickContext<never>);
    assert.ok(!isThenable(picked), 'pick() returned a promise; it must be synchronous');
    if (picked === undefined) assert.ok(this.#declines, 'pick() returned undefined (allow it with `declines: true`)');
    const candidate = candidates.find((each) => each === picked);
    assert.equal(candidate, picked, 'pick() returned what is not in the array it was given');
    return candidate;
  }

  /** A checked pick for a request of its own; begins an attempt. */
  pick(candidates: readonly FakeUpstream[], attempt = 1): FakeUpstream | undefined {
    this.#context.attempt = attempt;
    this.#context.remoteAddress = `10.0.0.${String(below(256, this.#rng))}`;
    this.#context.request.target = `/${String(below(1000, this.#rng))}`;
    this.#context.now += this.#rng() * 10;
    this.#context.note = undefined;
    const picked = this.choose(candidates);
    if (picked) {
      picked.begin();
      this.open.push(picked);
      this.#notes.push(this.#context.note);
      this.#answered.push(false);
    }
    return picked;
  }

  /** Settles the oldest open attempt on `candidate`; one that was answered is told so first. */
  settle(candidate: FakeUpstream | undefined, ending: Ending = success): FakeUpstream | undefined {
    if (!candidate) return undefined;
    return this.settleAt(this.open.indexOf(candidate), ending);
  }

  /** Answers the open attempt of this number, once. */
  answerAt(at: number, { status, durationMs }: Ending = success): void {
    const candidate = this.open.at(at);
    if (candidate === undefined || this.#answered.at(at) === true || status === undefined) return;
    this.#answered.splice(at, 1, true);
    const { now } = this.#context;
    const note = this.#notes.at(at);
    this.#strategy.answered?.(candidate, { status, header, latencyMs: durationMs, now, note });
  }

  /** Settles the open attempt of this number. */
  settleAt(at: number, ending: Ending = success): FakeUpstream {
    this.answerAt(at, ending);
    const [candidate] = this.open.splice(at, 1);
    const [note] = this.#notes.splice(at, 1);
    this.#answered.splice(at, 1);
    assert.ok(candidate !== undefined);
    candidate.end();
    this.#strategy.settled?.(candidate, { ...ending, now: this.#context.now, note });
    return candidate;
  }

  /** Tells of the end of an attempt that another strategy picked. */
  settleUnpicked(candidate: FakeUpstream | undefined, ending: Ending): void {
    if (candidate === undefined) return;
    this.#strategy.settled?.(candidate, { ...ending, now: this.#context.now, note: undefined });
  }

  settleAll(): void {
    while (this.open.length > 0) this.settle(this.open[0]);
  }

  /** Has stand-ins that still show a worker's load report as equal upstreams. */
  #report(candidates: readonly StandIn[]): void {
    if (!this.#reports) return;
    for (const candidate of candidates) {
      if (candidate instanceof FakeUpstream && typeof candidate.load === 'number') candidate.burden(reportAt(this.now));
    }
  }
}

/** How an attempt ends, but for when, and what its pick left. */
export type Ending = Omit<Outcome, 'now' | 'note'>;

export const success: Ending = { ok: true, status: 200, durationMs: 5, error: undefined };
export const failure: Ending = { ok: false, status: undefined, durationMs: 0, error: 'connect_refused' };
export const outcomes: readonly Ending[] = [
  success, failure, { ok: true, status: 500, durationMs: 1e6, error: undefined },
];

/** A sound report. */
export function reportAt(at: number, parts: Partial<LoadReport> = {}): LoadReport {
  return {
    at, applicationUtilization: 0.5, cpuUtilization: 0.4, memUtilization: 0.3, rps: 100, eps: 0, utilization: {},
    namedMetrics: {}, ...parts,
  };
}

/** An integer from 0 up to, but not including, `limit`. */
export function below(limit: number, rng: () => number): number {
  return Math.floor(rng() * limit);
}

function header(): string | undefined {
  return undefined;
}
