import type { Candidate, PickContext, PickRequest, Strategy, Upstream } from '../src/strategy.ts';

/** What a strategy that hashes may go by. */
type Context<C> = PickContext<C extends Upstream ? PickRequest : undefined>;

export interface RingHashOptions<C extends Candidate = Upstream> {
  /**
   * The key of a request: requests of one key go to one candidate. Default: the client's address. Requests without a
   * key (undefined, or `''`) are spread at random.
   */
  readonly by?: (context: Context<C>) => string | undefined;
  /** Points on the ring for a weight of 1; default 100. More make shares more even, and the table larger. */
  readonly pointsPerWeight?: number;
  /**
   * How far above the mean a candidate may be, in attempts in flight of this strategy by weight: 1.25 is a quarter
   * above. A key then moves on along the ring. Above 1; default Infinity: keys never move for load.
   */
  readonly balanceFactor?: number;
  /** Source of randomness for requests without a key: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Ring hashing (Ketama): each candidate has points on a ring, and a key belongs to the first point after it. When a
 * candidate leaves, or is ejected, exactly its own keys move, to those that follow its points. All balancers with the
 * same list agree, whatever its order.
 *
 * Shares differ by √((n-1)/(nv+1)) of the mean, v being the points of each: with 100 candidates and 100 points by 10%.
 * `maglev` is more even.
 *
 * What it cannot know: how much each key brings. `balanceFactor` moves the overflow of a key on along the ring. It
 * counts what this strategy has in flight, not what others have.
 *
 * Cost of a pick: O(log p) for p points in the array of the last `changed`, whose ring has at most a million; O(n) in
 * any other array, such as a retry's. A ring of more than 16,384 points is built at the picks that follow a change, up
 * to 512 points at each, some 10 µs; until it is ready, the old one is used for those that are still there. Source:
 * Karger and others, "Consistent Hashing and Random Trees", STOC 1997; libketama (Last.fm, 2007); bounded loads after
 * Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018.
 */
export function ringHash<C extends Candidate = Upstream>(
  {
    by = ({ remoteAddress }) => remoteAddress, pointsPerWeight = 100, balanceFactor = Infinity, rng = Math.random,
  }: RingHashOptions<C> = {},
): Strategy<C> {
  let told: readonly C[] | undefined;
  let candidatesTold: ReadonlySet<C> = new Set();
  let totalWeight = 0;
  let ring: Ring<C> | undefined;
  let building: Generator<undefined, Ring<C>> | undefined;
  /** What the ring was built for. */
  let builtFor = '';
  const open = new Map<string, number>();
  let all = 0;
  const build = (): void => {
    const step = building?.next();
    if (step?.done === true) {
      ring = step.value;
      building = undefined;
    }
  };
  return {
    name: 'ring-hash',
    pick(candidates, context) {
      if (building !== undefined) build();
      const key = by(context);
      const hash = key === undefined || key === '' ? Math.floor(rng() * 2 ** 32) : hashed(key);
      const known = candidates === told;
      let weight = totalWeight;
      if (!known) {
        weight = 0;
        if (balanceFactor < Infinity) for (const candidate of candidates) weight += candidate.weight;
      }
      const fits = (candidate: C): boolean => {
        if (!(known ? candidatesTold.has(candidate) : candidates.includes(candidate))) return false;
        if (balanceFactor === Infinity) return true;
        return (open.get(candidate.id) ?? 0) < Math.ceil(balanceFactor * (all + 1) * candidate.weight / weight);
      };
      const picked = (ring && after(ring, hash, fits)) ?? highest(candidates, hash, fits) ?? candidates[0];
      if (picked !== undefined && balanceFactor < Infinity) {
        all++;
        open.set(picked.id, (open.get(picked.id) ?? 0) + 1);
      }
      return picked;
    },
    settled({ id }) {
      const before = open.get(id);
      if (before === undefined) return;
      all--;
      if (before > 1) open.set(id, before - 1);
      else open.delete(id);
    },
    changed(candidates, members = candidates) {
      told = candidates;
      candidatesTold = new Set(candidates);
      totalWeight = candidates.reduce((sum, { weight }) => sum + weight, 0);
      const sorted = [...members].sort((one, other) => (one.id < other.id ? -1 : 1));
      const wanted = sorted.map(({ id, weight }) => `${id} ${weight}`).join('\n');
      // The objects of a candidate that left and came back differ.
      const same = wanted === builtFor && ring?.members.every((each, at) => each === sorted[at]) === true;
      if (same) {
        building = undefined;
        return;
      }
      builtFor = wanted;
      building = built(sorted, pointsPerWeight);
      const points = sorted.reduce((sum, { weight }) => sum + weight * pointsPerWeight, 0);
      // The first one is needed at once, and a small one is soon built.
      if (ring === undefined || points <= AT_ONCE) while (building as unknown !== undefined) build();
    },
  };
}

/** Points in the order of their hashes, and the index of each one's member. */
interface Ring<C> {
  readonly members: readonly C[];
  readonly hashes: Uint32Array;
  readonly owners: Uint32Array;
}

/** The owner of the first point from `hash` on that fits; undefined if none does among the first thousand. */
function after<C>({ members, hashes, owners }: Ring<C>, hash: number, fits: (one: C) => boolean): C | undefined {
  const { length } = hashes;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  let last = -1;
  for (let step = 0, at = low; step < Math.min(length, MOST_STEPS); step++, at++) {
    if (at >= length) at -= length;
    const owner = owners[at] ?? 0;
    if (owner === last) continue;
    last = owner;
    const member = members[owner];
    if (member !== undefined && fits(member)) return member;
  }
  return undefined;
}

/** Without a ring: the candidate with the highest score for the key. */
function highest<C extends Candidate>(
  candidates: readonly C[], hash: number, fits: (one: C) => boolean,
): C | undefined {
  let best: C | undefined;
  let most = -1;
  for (const candidate of candidates) {
    const score = mixed(hash ^ hashed(candidate.id));
    if (score > most && fits(candidate)) [best, most] = [candidate, score];
  }
  return best;
}

/** Builds a ring in slices: sorts the points into buckets by their first bits, then each bucket by itself. */
function* built<C extends Candidate>(members: readonly C[], pointsPerWeight: number): Generator<undefined, Ring<C>> {
  const counts = pointsOf(members, pointsPerWeight);
  let length = 0;
  for (const count of counts) length += count;
  const shift = 32 - Math.min(24, Math.max(1, Math.ceil(Math.log2(length + 1)) - 1));
  const starts = new Uint32Array(2 ** (32 - shift) + 1);
  const points = new Uint32Array(length);
  const bases = members.map(({ id }) => hashed(id));
  let done = 0;
  let work = 0;
  for (const [member, count] of counts.entries()) {
    for (let point = 0; point < count; point++) {
      const hash = pointAt(bases[member] ?? 0, point);
      points[done++] = hash;
      const bucket = (hash >>> shift) + 1;
      starts[bucket] = (starts[bucket] ?? 0) + 1;
      if (++work % SLICE === 0) yield;
    }
  }
  for (let bucket = 1; bucket < starts.length; bucket++) {
    starts[bucket] = (starts[bucket] ?? 0) + (starts[bucket - 1] ?? 0);
    if (++work % (4 * SLICE) === 0) yield;
  }
  const ends = starts.slice();
  const hashes = new Uint32Array(length);
  const owners = new Uint32Array(length);
  done = 0;
  for (const [member, count] of counts.entries()) {
    for (let point = 0; point < count; point++) {
      const hash = points[done++] ?? 0;
      const bucket = hash >>> shift;
      // Where it belongs among those of its bucket; of equal hashes, the first member's comes first.
      let at = ends[bucket] ?? 0;
      ends[bucket] = at + 1;
      while (at > (starts[bucket] ?? 0) && (hashes[at - 1] ?? 0) > hash) {
        hashes[at] = hashes[at - 1] ?? 0;
        owners[at] = owners[at - 1] ?? 0;
        at--;
      }
      hashes[at] = hash;
      owners[at] = member;
      if (++work % SLICE === 0) yield;
    }
  }
  return { members, hashes, owners };
}

/** How many points each gets: at least one, and together at most a million or so. */
function pointsOf(members: readonly Candidate[], pointsPerWeight: number): readonly number[] {
  let total = 0;
  let heaviest = 0;
  for (const { weight } of members) {
    total += weight;
    heaviest = Math.max(heaviest, weight);
  }
  let each = pointsPerWeight;
  // By powers of two, so that a small change of the weights does not move every point.
  while (each * total > MOST_POINTS) each /= 2;
  while (each * heaviest < 8 && heaviest > 0) each *= 2;
  return members.map(({ weight }) => Math.max(1, Math.round(each * weight)));
}

function pointAt(base: number, point: number): number {
  return mixed(base + Math.imul(point, 0x9e3779b9));
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

const AT_ONCE = 16_384;
const SLICE = 512;
const MOST_POINTS = 2 ** 20;
/** Where almost all are out, a search among the candidates is shorter. */
const MOST_STEPS = 1_000;
