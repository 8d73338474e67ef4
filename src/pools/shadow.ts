/**
 * A strategy in the shadow of the one that picks: asked what it would have picked, never followed. See README.md for
 * what its figures can say, and what they cannot.
 */
import { BalancerError, type Ending, type ErrorCode } from '../errors.ts';
import { disowned, isThenable, messageOf, nameOf, watched } from '../guard.ts';
import type { ShadowFigures } from '../meter.ts';
import type { Answered, Outcome, PickContext, Strategy, Upstream } from '../strategy.ts';
import { traitsOf, type StrategyTraits } from './plugin.ts';
import type { Services } from './services.ts';

/** A pick of the shadow beside one of the live strategy, until the attempt settles. */
export interface ShadowPick {
  /** The shadow that was asked: the pool may have another one when the attempt settles. */
  readonly shadow: Shadow;
  readonly upstream: Upstream;
  readonly agreed: boolean;
  readonly note: unknown;
  /** What the response head from its upstream was expected to take, in ms; 0 if nothing was known. */
  readonly estimateMs: number;
  /** The same, if latency grows in proportion to what is in flight. */
  readonly byLoadMs: number;
}

/** What the picks of an upstream came to. */
interface Share {
  live: number;
  shadow: number;
  /** Moving average of what it had in flight when the live strategy picked it, over as many picks as `latencyMs`. */
  load: number;
}

export class Shadow {
  readonly strategy: Strategy;
  readonly name: string;
  readonly traits: StrategyTraits;
  readonly #pool: string;
  readonly #services: Pick<Services, 'events' | 'report'>;
  readonly #shares = new Map<Upstream, Share>();
  /** The faults that were reported: each kind once. */
  readonly #reported = new Set<string>();
  #picks = 0;
  #agreed = 0;
  #differed = 0;
  #declined = 0;
  #faults = 0;
  /** Over the answered attempts for which there is an estimate. */
  #compared = 0;
  #liveMs = 0;
  #estimateMs = 0;
  #byLoadMs = 0;

  constructor(strategy: Strategy, pool: string, services: Pick<Services, 'events' | 'report'>) {
    this.strategy = strategy;
    this.name = nameOf(strategy);
    this.traits = traitsOf(strategy);
    this.#pool = pool;
    this.#services = services;
  }

  /**
   * Asks it, after the live strategy picked `live` and before that is counted. `isPick` says whether a value could have
   * been picked.
   */
  pick(
    candidates: readonly Upstream[], context: PickContext, live: Upstream, isPick: (picked: unknown) => boolean,
  ): ShadowPick | undefined {
    this.#picks++;
    const share = this.#shareOf(live);
    share.load += share.live === 0 ? live.inFlight : (live.inFlight - share.load) / LOAD_WINDOW;
    share.live++;
    let picked: unknown;
    try {
      picked = this.strategy.pick(candidates, context);
      if (picked === undefined) this.#declined++;
      else if (!isPick(picked)) {
        this.#faults++;
        this.#fault(whatInstead(picked), undefined);
        picked = undefined;
      }
    } catch (cause) {
      this.#faults++;
      this.#fault('threw in pick', cause);
      picked = undefined;
    }
    const upstream = picked as Upstream | undefined;
    const agreed = upstream === live;
    this.#services.events.meters.current?.shadowPick?.(this.#pool, this.name, upstream, agreed);
    if (upstream === undefined) return undefined;
    if (agreed) this.#agreed++;
    else this.#differed++;
    const own = this.#shareOf(upstream);
    own.shadow++;
    const { latencyMs, inFlight } = upstream;
    const load = own.live === 0 ? inFlight : own.load;
    const byLoadMs = latencyMs * (inFlight + 1) / (load + 1);
    return { shadow: this, upstream, agreed, note: context.note, estimateMs: latencyMs, byLoadMs };
  }

  /** The live attempt has its response head, after `latencyMs`. Where both agreed, the shadow hears of it. */
  answered(pick: ShadowPick, head: Pick<Answered, 'status' | 'header'>, latencyMs: number, now: number): void {
    const { upstream, agreed, note, estimateMs, byLoadMs } = pick;
    if (agreed || estimateMs > 0) {
      this.#compared++;
      this.#liveMs += latencyMs;
      this.#estimateMs += agreed ? latencyMs : estimateMs;
      this.#byLoadMs += agreed ? latencyMs : byLoadMs;
    }
    if (!agreed || !this.traits.hearsAnswered) return;
    const { status } = head;
    this.#run('answered', () => this.strategy.answered?.(upstream, {
      status, latencyMs, now, note, header: (name) => head.header(name),
    }));
  }

  /**
   * The live attempt has settled. Where both agreed, the shadow hears how; else its pick ends as if the client had
   * left: nothing is known of the upstream.
   */
  settled(
    pick: ShadowPick, ending: Ending, status: number | undefined, error: ErrorCode | undefined, durationMs: number,
    now: number,
  ): void {
    if (!this.traits.hearsSettled) return;
    const { upstream, agreed, note } = pick;
    const outcome: Outcome = agreed
      ? { ok: ending.fault !== 'upstream', status, durationMs, error, now, note }
      : { ok: true, status: undefined, durationMs, error: 'DOWNSTREAM_GONE', now, note };
    this.#run('settled', () => this.strategy.settled?.(upstream, outcome));
  }

  /** Membership, weights, tags or health have changed. */
  changed(candidates: readonly Upstream[], members: readonly Upstream[]): void {
    for (const upstream of this.#shares.keys()) if (upstream.state === 'gone') this.#shares.delete(upstream);
    if (this.traits.hearsChanged) this.#run('changed', () => this.strategy.changed?.(candidates, members));
  }

  /** What it came to so far. */
  get figures(): ShadowFigures {
    const mean = (sum: number): number => this.#compared === 0 ? 0 : sum / this.#compared;
    return Object.freeze({
      strategy: this.name,
      picks: this.#picks,
      agreed: this.#agreed,
      differed: this.#differed,
      declined: this.#declined,
      faults: this.#faults,
      estimate: Object.freeze({
        requests: this.#compared,
        liveMs: mean(this.#liveMs),
        shadowMs: mean(this.#estimateMs),
        shadowByLoadMs: mean(this.#byLoadMs),
      }),
      upstreams: Object.freeze([...this.#shares].filter(([{ state }]) => state !== 'gone')
        .map(([{ origin }, { live, shadow }]) => Object.freeze({ origin, live, shadow }))),
    });
  }

  #shareOf(upstream: Upstream): Share {
    let share = this.#shares.get(upstream);
    if (share === undefined) this.#shares.set(upstream, share = { live: 0, shadow: 0, load: 0 });
    return share;
  }

  #run(method: string, hook: () => unknown): void {
    const onFault = (what: string, cause: unknown): void => {
      this.#faults++;
      this.#fault(`${what} in ${method}`, cause);
    };
    try {
      watched(hook(), onFault);
    } catch (cause) {
      onFault('threw', cause);
    }
  }

  /** Counts a fault; reports the first of its kind. */
  #fault(what: string, cause: unknown): void {
    this.#services.events.meters.current?.shadowFault?.(this.#pool, this.name);
    if (this.#reported.has(what)) return;
    this.#reported.add(what);
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`;
    this.#services.report(new BalancerError('STRATEGY_FAILED', `shadow strategy ${this.name} of the pool ` +
      `${this.#pool} ${what}${why}; requests are not affected, and this is reported once`, { cause }), undefined);
  }
}

/** What is wrong with a value that is not a candidate. */
function whatInstead(picked: unknown): string {
  if (!isThenable(picked)) return 'picked something that is not a candidate';
  disowned(picked);
  return 'is asynchronous: pick must return a candidate, not a promise';
}

/** That of the moving average `latencyMs`. */
const LOAD_WINDOW = 10;
