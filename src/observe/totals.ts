/**
 * The counters of all processes together. Whatever its kind, a row only grows.
 */
import { isRecord } from '../options/checks.ts';

/** Something counted: what kind of thing, which one, and how much. Travels between processes as it is. */
export interface Row {
  readonly kind: Kind;
  readonly labels: readonly string[];
  readonly values: readonly number[];
}

/**
 * The kinds of rows, with the names of their labels. The values of `durations` are those of a histogram; those of
 * `upstream` are ejections, retries, then a histogram; those of `carried` are connections, octets received and sent;
 * all others have one.
 */
export const KINDS = {
  requests: ['pool', 'method', 'code'],
  durations: ['pool'],
  upstream: ['pool', 'upstream'],
  attempts: ['pool', 'upstream', 'code'],
  refused: ['code'],
  carried: [],
  shadow: ['pool', 'strategy', 'agreed'],
  shadowFaults: ['pool', 'strategy'],
  shadowUpstreams: ['pool', 'upstream', 'strategy'],
} as const;

export type Kind = keyof typeof KINDS;

/** A pool, or one upstream of a pool. */
export interface Owner {
  readonly pool: string;
  readonly upstream: string | undefined;
}

interface Sum {
  readonly kind: Kind;
  readonly labels: readonly string[];
  readonly values: number[];
}

/** The rows of one owner. */
interface Owned extends Owner {
  readonly keys: Set<string>;
  changedAt: number;
}

export class Totals {
  readonly #sums = new Map<string, Sum>();
  readonly #owners = new Map<string, Owned>();

  /** How many pools and upstreams have rows. */
  get owners(): number {
    return this.#owners.size;
  }

  /** Adds rows. `now` is for {@link Totals.idle}. */
  add(rows: Iterable<Row>, now: number): void {
    for (const { kind, labels, values } of rows) {
      const key = keyOf(kind, labels);
      let sum = this.#sums.get(key);
      if (sum === undefined) this.#sums.set(key, sum = { kind, labels, values: [] });
      for (const [i, value] of values.entries()) sum.values[i] = (sum.values[i] ?? 0) + value;
      const owner = ownerOf(kind, labels);
      if (owner !== undefined) this.#own(owner, key, now);
    }
  }

  /** All rows of a kind. */
  *of(kind: Kind): Generator<Row> {
    for (const sum of this.#sums.values()) if (sum.kind === kind) yield sum;
  }

  /** All rows, for a process that has just come. */
  all(): Row[] {
    return [...this.#sums.values()].map(({ kind, labels, values }) => ({ kind, labels, values: [...values] }));
  }

  /** Starts again from these rows. */
  replace(rows: Iterable<Row>, now: number): void {
    this.#sums.clear();
    this.#owners.clear();
    this.add(rows, now);
  }

  /**
   * Owners that `exists` does not know, the longest idle first: those that have not changed since `before`, and all
   * beyond `most`.
   */
  idle(exists: (owner: Owner) => boolean, before: number, most: number): Owner[] {
    const absent = [...this.#owners.values()]
      .filter((owner) => owner.pool !== REMOVED && owner.upstream !== REMOVED && !exists(owner))
      .sort((one, other) => one.changedAt - other.changedAt);
    const beyond = absent.length - most;
    return absent.filter(({ changedAt }, i) => i < beyond || changedAt < before)
      .map(({ pool, upstream }) => ({ pool, upstream }));
  }

  /** Moves what these owners have counted to one row for all that are removed: their sum never falls. */
  retire(owners: Iterable<Owner>, now: number): void {
    for (const owner of owners) {
      const name = nameOf(owner);
      const owned = this.#owners.get(name);
      if (owned === undefined) continue;
      this.#owners.delete(name);
      const moved: Row[] = [];
      for (const key of owned.keys) {
        const sum = this.#sums.get(key);
        if (sum === undefined) continue;
        this.#sums.delete(key);
        const [pool = '', upstream, ...rest] = sum.labels;
        const labels = owner.upstream === undefined
          ? [REMOVED, ...sum.labels.slice(1)]
          : [pool, upstream === undefined ? '' : REMOVED, ...rest];
        moved.push({ kind: sum.kind, labels, values: sum.values });
      }
      this.add(moved, now);
    }
  }

  #own(owner: Owner, key: string, now: number): void {
    const name = nameOf(owner);
    let owned = this.#owners.get(name);
    if (owned === undefined) this.#owners.set(name, owned = { ...owner, keys: new Set(), changedAt: now });
    owned.keys.add(key);
    owned.changedAt = now;
  }
}

/** The rows among what another process has sent. It may be another version of this program: the rest is ignored. */
export function rowsIn(value: unknown): Row[] {
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function isRow(value: unknown): value is Row {
  if (!isRecord(value)) return false;
  const { kind, labels, values } = value;
  return typeof kind === 'string' && Object.hasOwn(KINDS, kind) &&
    Array.isArray(labels) && labels.length === KINDS[kind as Kind].length &&
    labels.every((label) => typeof label === 'string') &&
    Array.isArray(values) && values.length <= MAX_VALUES &&
    values.every((each) => typeof each === 'number' && each >= 0 && each < Infinity);
}

function ownerOf(kind: Kind, labels: readonly string[]): Owner | undefined {
  const [pool = '', upstream] = labels;
  switch (kind) {
    case 'requests':
    case 'shadow':
    case 'shadowFaults':
    case 'durations': return { pool, upstream: undefined };
    case 'upstream':
    case 'shadowUpstreams':
    case 'attempts': return { pool, upstream };
    default: return undefined;
  }
}

function keyOf(kind: Kind, labels: readonly string[]): string {
  return `${kind}\0${labels.join('\0')}`;
}

function nameOf({ pool, upstream }: Owner): string {
  return upstream === undefined ? pool : `${pool}\0${upstream}`;
}

/** The label of pools and upstreams that were removed long ago, or by the thousand. */
export const REMOVED = '(removed)';
/** A histogram and two counters; more than any row has. */
const MAX_VALUES = 64;
