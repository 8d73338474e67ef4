import type { Candidate, PickContext, PickRequest, Strategy, Upstream } from '../src/strategy.ts';

/** What a strategy that hashes may go by. */
type Context<C> = PickContext<C extends Upstream ? PickRequest : undefined>;

export interface MaglevOptions<C extends Candidate = Upstream> {
  /**
   * The key of a request: requests of one key go to one candidate. Default: the client's address. Requests without a
   * key (undefined, or `''`) are spread at random.
   */
  readonly by?: (context: Context<C>) => string | undefined;
  /**
   * Entries of the table: a prime; default 65,537. With a hundred times as many as candidates, shares differ by 1%.
   * Balancers that must agree need the same.
   */
  readonly tableSize?: number;
  /** Source of randomness for requests without a key: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Maglev hashing: a table in which the candidates take turns to claim entries, each in an order of its own. Shares are
 * even within 1%, by weight. When a candidate leaves, its keys move, and some others with them (with 100 candidates,
 * 0.6% of all); while it is ejected, its own alone. All balancers with the same list agree, whatever its order.
 *
 * What it cannot know: load, and how much each key brings.
 *
 * Cost of a pick: O(1) in the array of the last `changed`; O(n) in any other array, such as a retry's. After a change
 * of members or weights, the picks that follow build the new table, in steps of up to 1,024 entries, some 20 µs each;
 * until it is ready, the old one is used for those that are still there. Source: Eisenbud and others, "Maglev: A Fast
 * and Reliable Software Network Load Balancer", NSDI 2016, §3.4; weights as in Envoy: turns in proportion.
 */
export function maglev<C extends Candidate = Upstream>(
  { by = ({ remoteAddress }) => remoteAddress, tableSize = 65_537, rng = Math.random }: MaglevOptions<C> = {},
): Strategy<C> {
  if (!isPrime(tableSize)) throw new RangeError(`tableSize must be a prime such as 65537 (got ${String(tableSize)})`);
  let told: readonly C[] | undefined;
  let candidatesTold: ReadonlySet<C> = new Set();
  let table: Table<C> | undefined;
  let building: Generator<undefined, Table<C>> | undefined;
  /** What the table was built for. */
  let builtFor = '';
  const build = (): void => {
    const step = building?.next();
    if (step?.done === true) {
      table = step.value;
      building = undefined;
    }
  };
  return {
    name: 'maglev',
    pick(candidates, context) {
      if (building !== undefined) build();
      const key = by(context);
      const hash = key === undefined || key === '' ? Math.floor(rng() * 2 ** 32) : hashed(key);
      if (table !== undefined) {
        const known = candidates === told;
        // Where an entry's owner is out, the key goes on in an order of its own: so the keys of one spread evenly.
        const step = 1 + mixed(hash ^ 0x5bd1e995) % (tableSize - 1);
        for (let look = 0, at = hash % tableSize; look < MOST_LOOKS; look++, at = (at + step) % tableSize) {
          const member = table.members[table.entries[at] ?? 0];
          if (member !== undefined && (known ? candidatesTold.has(member) : candidates.includes(member))) return member;
        }
      }
      return highest(candidates, hash);
    },
    changed(candidates, members = candidates) {
      told = candidates;
      candidatesTold = new Set(candidates);
      const sorted = [...members].sort((one, other) => (one.id < other.id ? -1 : 1));
      const wanted = sorted.map(({ id, weight }) => `${id} ${weight}`).join('\n');
      // The objects of a candidate that left and came back differ.
      const same = wanted === builtFor && table?.members.every((each, at) => each === sorted[at]) === true;
      if (same) {
        building = undefined;
        return;
      }
      builtFor = wanted;
      building = built(sorted, tableSize);
      // The first one is needed at once, and a small one is soon built.
      if (table === undefined || tableSize <= AT_ONCE) while (building as unknown !== undefined) build();
    },
  };
}

/** The index of the member that owns each entry. */
interface Table<C> {
  readonly members: readonly C[];
  readonly entries: Uint32Array;
}

/** Without a table: the candidate with the highest score for the key. */
function highest<C extends Candidate>(candidates: readonly C[], hash: number): C | undefined {
  let best: C | undefined;
  let most = -1;
  for (const candidate of candidates) {
    const score = mixed(hash ^ hashed(candidate.id));
    if (score > most) [best, most] = [candidate, score];
  }
  return best;
}

/** Fills a table in slices. */
function* built<C extends Candidate>(members: readonly C[], size: number): Generator<undefined, Table<C>> {
  const entries = new Uint32Array(size);
  const taken = new Uint8Array(size);
  const next = new Float64Array(members.length);
  const skips = new Float64Array(members.length);
  // A turn of the heaviest is a whole one; the others save theirs up.
  const turns = new Float64Array(members.length);
  let heaviest = 0;
  for (const { weight } of members) heaviest = Math.max(heaviest, weight);
  for (const [at, { id }] of members.entries()) {
    const hash = hashed(id);
    next[at] = hash % size;
    skips[at] = 1 + mixed(hash ^ 0x9e3779b9) % (size - 1);
    if (at % SLICE === SLICE - 1) yield;
  }
  let left = members.length === 0 ? 0 : size;
  let work = 0;
  while (left > 0) {
    for (let member = 0; member < members.length && left > 0; member++) {
      if (++work % SLICE === 0) yield;
      const turn = (turns[member] ?? 0) + (members[member]?.weight ?? 0) / heaviest;
      turns[member] = turn >= 1 ? turn - 1 : turn;
      if (turn < 1) continue;
      let at = next[member] ?? 0;
      const skip = skips[member] ?? 1;
      while (taken[at] === 1) {
        at = (at + skip) % size;
        if (++work % SLICE === 0) yield;
      }
      taken[at] = 1;
      entries[at] = member;
      next[member] = (at + skip) % size;
      left--;
    }
  }
  return { members, entries };
}

function isPrime(number: number): boolean {
  if (!Number.isInteger(number) || number < 2 || number > 2 ** 31) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

/** 32 bits of a text: FNV-1a, mixed. */
function hashed(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixed(hash);
}

/** Every bit of the result depends on every bit of the number (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let mix = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}

const AT_ONCE = 4_099;
const SLICE = 1_024;
/** Where almost all are out, a search among the candidates is shorter. */
const MOST_LOOKS = 64;
