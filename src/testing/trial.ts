/**
 * One trial of the conformance suite: a strategy and its open attempts.
 */
import assert from 'node:assert/strict';
import { isThenable } from '../guard.ts';
import type { Candidate, Outcome, PickContext, PickRequest, Strategy } from '../strategy.ts';
import type { FakeUpstream, StandIn } from './stand-in.ts';

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
}

/** Checks each pick, and settles each exactly once. */
export class Trial {
  readonly open: FakeUpstream[] = [];
  readonly #strategy: Tested;
  readonly #rng: () => number;
  readonly #declines: boolean;
  /** One object for all picks, as in the balancer. */
  readonly #context = { attempt: 1, remoteAddress: '', request: { method: 'GET', target: '/', host: '', field } };

  constructor(make: Make, rng: () => number, options: ConformanceOptions = {}) {
    this.#strategy = make({ rng });
    this.#rng = rng;
    this.#declines = options.declines === true;
  }

  changed(candidates: readonly StandIn[]): void {
    this.#strategy.changed?.(candidates);
  }

  /** A checked pick that begins no attempt. */
  choose<C extends StandIn>(
    candidates: readonly C[], context: PickContext<PickRequest | undefined> = this.#context,
  ): C | undefined {
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
    const picked = this.choose(candidates);
    if (picked) {
      picked.begin();
      this.open.push(picked);
    }
    return picked;
  }

  settle(candidate: FakeUpstream | undefined, outcome: Outcome = success): FakeUpstream | undefined {
    if (!candidate) return undefined;
    const [settled] = this.open.splice(this.open.indexOf(candidate), 1);
    assert.equal(settled, candidate);
    candidate.end();
    this.#strategy.settled?.(candidate, outcome);
    return candidate;
  }

  settleAll(): void {
    while (this.open.length > 0) this.settle(this.open[0]);
  }
}

export const success: Outcome = { ok: true, status: 200, durationMs: 5, error: undefined };
export const failure: Outcome = { ok: false, status: undefined, durationMs: 0, error: 'connect_refused' };
export const outcomes: readonly Outcome[] = [
  success, failure, { ok: true, status: 500, durationMs: 1e6, error: undefined },
];

/** An integer from 0 up to, but not including, `limit`. */
export function below(limit: number, rng: () => number): number {
  return Math.floor(rng() * limit);
}

function field(): string | undefined {
  return undefined;
}
