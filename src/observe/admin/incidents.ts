/**
 * Recent failures, and how long ejections last. Recorded from the start, so that the page shows what happened before it
 * was opened. Costs nothing while nothing fails.
 */
import type { BalancerEvents, Listener } from '../../events.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import type { Upstream } from '../../strategy.ts';
import type { Observed } from '../access-log-options.ts';

/** Something that happened. `at` is in milliseconds since 1970. */
export interface Incident {
  readonly at: number;
  readonly what: 'ejected' | 'readmitted' | 'retried' | 'refused' | 'draining' | 'drained' | 'activated';
  readonly pool?: string;
  readonly origin?: string;
  /** What ended an attempt, or was answered. */
  readonly code?: string;
  readonly status?: number;
  /** Of an ejection. */
  readonly by?: string;
}

/** Why an upstream is ejected, and for how long. */
export interface Ejection {
  readonly by: string;
  readonly code?: string;
  readonly status?: number;
  readonly sinceMs: number;
  /** How long until it is tried again, at most; null: until its probes succeed. */
  readonly trialInMs: number | null;
}

type On = { readonly [N in keyof BalancerEvents]?: Listener<N> };

export class IncidentLog {
  readonly #balancer: Observed;
  readonly #time: TimeSource;
  readonly #incidents: Incident[] = [];
  readonly #ejected = new Map<Upstream, BalancerEvents['ejected'] & { readonly since: number }>();
  readonly #listeners: On;

  constructor(balancer: Observed, time: TimeSource) {
    this.#balancer = balancer;
    this.#time = time;
    const about = (what: Incident['what']) => ({ pool, upstream: { origin } }: BalancerEvents['added']): void => {
      this.#add({ what, pool, origin });
    };
    this.#listeners = {
      ejected: (event) => {
        const { pool, upstream, by, code, status } = event;
        this.#ejected.set(upstream, { ...event, since: time.now() });
        this.#add({ what: 'ejected', pool, origin: upstream.origin, by, ...reason(code, status) });
      },
      readmitted: (event) => {
        this.#ejected.delete(event.upstream);
        about('readmitted')(event);
      },
      removed: ({ upstream }) => {
        this.#ejected.delete(upstream);
      },
      retried: ({ pool, upstream: { origin }, code, status }) => {
        this.#add({ what: 'retried', pool, origin, ...reason(code, status) });
      },
      refused: ({ status, code }) => {
        // What a client did wrong is not a failure of the balancer, or of an upstream.
        if (status >= 500) this.#add({ what: 'refused', code, status });
      },
      draining: about('draining'),
      drained: about('drained'),
      activated: about('activated'),
    };
    for (const [name, listener] of this.#entries) balancer.on(name, listener);
  }

  /** The last ones, the latest first. */
  get incidents(): readonly Incident[] {
    return this.#incidents.toReversed();
  }

  ejectionOf(upstream: Upstream): Ejection | undefined {
    const event = this.#ejected.get(upstream);
    if (event === undefined) return undefined;
    const { by, code, status, forMs, since } = event;
    const sinceMs = this.#time.now() - since;
    const trialInMs = forMs === Infinity ? null : Math.max(0, forMs - sinceMs);
    return { by, ...reason(code, status), sinceMs, trialInMs };
  }

  close(): void {
    for (const [name, listener] of this.#entries) this.#balancer.off(name, listener);
  }

  get #entries(): [keyof BalancerEvents, Listener<keyof BalancerEvents>][] {
    return Object.entries(this.#listeners) as [keyof BalancerEvents, Listener<keyof BalancerEvents>][];
  }

  #add(incident: Omit<Incident, 'at'>): void {
    this.#incidents.push({ at: this.#time.epoch(), ...incident });
    if (this.#incidents.length > MAX_INCIDENTS) this.#incidents.shift();
  }
}

function reason(code: string | undefined, status: number | undefined): Pick<Incident, 'code' | 'status'> {
  return { ...(code === undefined ? {} : { code }), ...(status === undefined ? {} : { status }) };
}

const MAX_INCIDENTS = 40;
