/**
 * What one process has counted and not handed over yet. Every request passes here, so nothing is allocated once an
 * upstream, a pool and a status have been seen: a count is an addition to an array.
 */
import type { Meter } from '../meter.ts';
import type { Upstream } from '../strategy.ts';
import { Histogram } from './histogram.ts';
import type { Row } from './totals.ts';

export class Counters implements Meter {
  readonly #codes = new Codes();
  readonly #pools = new Map<string, PoolCounts>();
  readonly #upstreams = new WeakMap<Upstream, UpstreamCounts>();
  readonly #refused = new Map<string, number>();
  /** By pool and strategy. */
  readonly #shadows = new Map<string, ShadowCounts>();
  /** Pools and upstreams with something to hand over. */
  readonly #dirty: (PoolCounts | UpstreamCounts)[] = [];
  readonly #onMany: () => void;

  /** `onMany` is called when so much has come together that it should be taken. */
  constructor(onMany: () => void) {
    this.#onMany = onMany;
  }

  /** `status` is a number, or what stands for it where there is none. */
  exchange(pool: string, method: string, status: number | string, durationMs: number): void {
    let counts = this.#pools.get(pool);
    if (counts === undefined) this.#pools.set(pool, counts = new PoolCounts(pool));
    if (!counts.dirty) this.#touch(counts);
    counts.durations.observe(durationMs);
    const ofMethod = counts.requests[methodIndex(method)];
    if (ofMethod === undefined) return;
    const code = typeof status === 'number' ? this.#codes.ofStatus(status) : this.#codes.of(status);
    ofMethod[code] = (ofMethod[code] ?? 0) + 1;
  }

  answered(pool: string, upstream: Upstream, latencyMs: number): void {
    this.#of(pool, upstream).latencies.observe(latencyMs);
  }

  attempt(pool: string, upstream: Upstream, status: number | undefined, error: string | undefined): void {
    const { attempts } = this.#of(pool, upstream);
    const code = error === undefined && status !== undefined
      ? this.#codes.ofStatus(status)
      : this.#codes.of(error ?? '');
    attempts[code] = (attempts[code] ?? 0) + 1;
  }

  retried(pool: string, upstream: Upstream): void {
    this.#of(pool, upstream).retries++;
  }

  ejected(pool: string, upstream: Upstream): void {
    this.#of(pool, upstream).ejections++;
  }

  shadowPick(pool: string, strategy: string, upstream: Upstream | undefined, agreed: boolean): void {
    const counts = this.#shadow(pool, strategy);
    if (agreed) counts.agreed++;
    else counts.differed++;
    if (upstream !== undefined) counts.upstreams.set(upstream.origin, (counts.upstreams.get(upstream.origin) ?? 0) + 1);
  }

  shadowFault(pool: string, strategy: string): void {
    this.#shadow(pool, strategy).faults++;
  }

  #shadow(pool: string, strategy: string): ShadowCounts {
    const key = `${pool}\0${strategy}`;
    let counts = this.#shadows.get(key);
    if (counts === undefined) {
      counts = { pool, strategy, agreed: 0, differed: 0, faults: 0, upstreams: new Map() };
      this.#shadows.set(key, counts);
    }
    return counts;
  }

  refused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** Hands over what was counted since the last time. */
  take(): Row[] {
    const rows: Row[] = [];
    for (const counts of this.#dirty) {
      counts.dirty = false;
      if (counts instanceof PoolCounts) this.#takePool(counts, rows);
      else this.#takeUpstream(counts, rows);
    }
    this.#dirty.length = 0;
    for (const [code, count] of this.#refused) rows.push({ kind: 'refused', labels: [code], values: [count] });
    this.#refused.clear();
    for (const counts of this.#shadows.values()) takeShadow(counts, rows);
    this.#shadows.clear();
    // Names of pools are the embedder's, who may make up one for each change.
    if (this.#pools.size > MAX_POOLS) this.#pools.clear();
    return rows;
  }

  #of(pool: string, upstream: Upstream): UpstreamCounts {
    let counts = this.#upstreams.get(upstream);
    if (counts === undefined) this.#upstreams.set(upstream, counts = new UpstreamCounts(pool, upstream.origin));
    if (!counts.dirty) this.#touch(counts);
    return counts;
  }

  #touch(counts: PoolCounts | UpstreamCounts): void {
    if (this.#dirty.length >= MANY) this.#onMany();
    counts.dirty = true;
    this.#dirty.push(counts);
  }

  #takePool({ pool, requests, durations }: PoolCounts, rows: Row[]): void {
    if (durations.count > 0) rows.push({ kind: 'durations', labels: [pool], values: durations.take() });
    for (const [method, counts] of requests.entries()) {
      const name = METHODS[method] ?? OTHER;
      this.#takeCodes(counts, (code, count) => {
        rows.push({ kind: 'requests', labels: [pool, name, code], values: [count] });
      });
    }
  }

  #takeUpstream(counts: UpstreamCounts, rows: Row[]): void {
    const { pool, origin, attempts, latencies } = counts;
    rows.push({
      kind: 'upstream', labels: [pool, origin], values: [counts.ejections, counts.retries, ...latencies.take()],
    });
    counts.ejections = counts.retries = 0;
    this.#takeCodes(attempts, (code, count) => {
      rows.push({ kind: 'attempts', labels: [pool, origin, code], values: [count] });
    });
  }

  #takeCodes(counts: (number | undefined)[], each: (code: string, count: number) => void): void {
    for (let code = 0; code < counts.length; code++) {
      const count = counts[code] ?? 0;
      if (count === 0) continue;
      counts[code] = 0;
      each(this.#codes.text(code), count);
    }
  }
}

/** What the strategy in the shadow of a pool would have done. */
interface ShadowCounts {
  readonly pool: string;
  readonly strategy: string;
  agreed: number;
  differed: number;
  faults: number;
  /** Its picks, by origin. */
  readonly upstreams: Map<string, number>;
}

function takeShadow({ pool, strategy, agreed, differed, faults, upstreams }: ShadowCounts, rows: Row[]): void {
  rows.push({ kind: 'shadow', labels: [pool, strategy, 'true'], values: [agreed] });
  rows.push({ kind: 'shadow', labels: [pool, strategy, 'false'], values: [differed] });
  rows.push({ kind: 'shadowFaults', labels: [pool, strategy], values: [faults] });
  for (const [origin, count] of upstreams) {
    rows.push({ kind: 'shadowUpstreams', labels: [pool, origin, strategy], values: [count] });
  }
}

class PoolCounts {
  readonly pool: string;
  readonly durations = new Histogram();
  /** By method, then by code. */
  readonly requests: readonly (number | undefined)[][] = [...METHODS, OTHER].map(() => []);
  dirty = false;

  constructor(pool: string) {
    this.pool = pool;
  }
}

class UpstreamCounts {
  readonly pool: string;
  readonly origin: string;
  readonly latencies = new Histogram();
  /** By code. */
  readonly attempts: (number | undefined)[] = [];
  ejections = 0;
  retries = 0;
  dirty = false;

  constructor(pool: string, origin: string) {
    this.pool = pool;
    this.origin = origin;
  }
}

/** Statuses and error codes as small integers, in the order in which they were seen. */
class Codes {
  readonly #texts: string[] = [];
  /** One more than the index; 0: not seen yet. */
  readonly #statuses = new Uint16Array(1_000);
  readonly #byText = new Map<string, number>();

  ofStatus(status: number): number {
    const known = this.#statuses[status] ?? 0;
    if (known > 0) return known - 1;
    const code = this.of(String(status));
    this.#statuses[status] = code + 1;
    return code;
  }

  of(text: string): number {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const code = this.#texts.push(text) - 1;
    this.#byText.set(text, code);
    return code;
  }

  text(code: number): string {
    return this.#texts[code] ?? '';
  }
}

/** A client may send any method: those that are not known share one label. */
function methodIndex(method: string): number {
  switch (method) {
    case 'GET': return 0;
    case 'HEAD': return 1;
    case 'POST': return 2;
    case 'PUT': return 3;
    case 'DELETE': return 4;
    case 'OPTIONS': return 5;
    case 'PATCH': return 6;
    case 'CONNECT': return 7;
    case 'TRACE': return 8;
    case '': return 9;
    default: return METHODS.length;
  }
}

/** In the order of `methodIndex`. A connection of layer 4 has no method. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE', ''];
const OTHER = 'OTHER';
/** Upstreams that come and go while nobody asks must not pile up. */
const MANY = 4_096;
const MAX_POOLS = 1_000;
