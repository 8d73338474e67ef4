import type { Candidate, PickContext, PickRequest, Strategy, Upstream } from '../src/strategy.ts';

/** What a strategy that hashes may go by. */
type Context<C> = PickContext<C extends Upstream ? PickRequest : undefined>;

export interface RendezvousOptions<C extends Candidate = Upstream> {
  /**
   * The key of a request: requests of one key go to one candidate. Default: the client's address. Requests without a
   * key (undefined, or `''`) are spread at random, by weight.
   */
  readonly by?: (context: Context<C>) => string | undefined;
  /**
   * How far above the mean a candidate may be, in attempts in flight of this strategy by weight: 1.25 is a quarter
   * above. A key then moves on to its next candidate. Above 1; default Infinity: keys never move for load.
   */
  readonly balanceFactor?: number;
  /** Source of randomness for requests without a key: numbers in [0, 1), like `Math.random`, the default. */
  readonly rng?: () => number;
}

/**
 * Rendezvous (highest random weight) hashing: each candidate gets a score for the key, and the highest is picked. When
 * a candidate leaves, only its own keys move, and they spread evenly over the others; a retry goes to the second in
 * line. All balancers with the same list agree, whatever its order.
 *
 * What it cannot know: how much each key brings. A key that is half of all traffic stays on one candidate, unless
 * `balanceFactor` moves the rest of it on. That counts what this strategy has in flight, not what others have.
 *
 * Cost of a pick: O(n), no allocation but for the key; with 10,000 candidates a millisecond or two.
 * `maglev` and `ringHash` take tables instead. Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase
 * Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998; weights by -w / ln u (Schindler, Wang and others);
 * bounded loads after Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018.
 */
export function rendezvous<C extends Candidate = Upstream>(
  { by = ({ remoteAddress }) => remoteAddress, balanceFactor = Infinity, rng = Math.random }: RendezvousOptions<C> = {},
): Strategy<C> {
  const hashes = new WeakMap<C, number>();
  const open = new Map<string, number>();
  let all = 0;
  const hashOf = (candidate: C): number => {
    let hash = hashes.get(candidate);
    if (hash === undefined) hashes.set(candidate, hash = hashed(candidate.id));
    return hash;
  };
  return {
    name: 'rendezvous',
    pick(candidates, context) {
      const key = by(context);
      const keyed = key !== undefined && key !== '';
      const seed = keyed ? hashed(key) : 0;
      const bounded = balanceFactor < Infinity;
      let total = 0;
      if (bounded) for (const { weight } of candidates) total += weight;
      let best: C | undefined;
      let most = -Infinity;
      for (const candidate of candidates) {
        const { id, weight } = candidate;
        if (bounded && (open.get(id) ?? 0) >= Math.ceil(balanceFactor * (all + 1) * weight / total)) continue;
        // In (0, 1), so that the logarithm is neither 0 nor infinite.
        const u = keyed ? (mixed(seed ^ hashOf(candidate)) + 0.5) / 2 ** 32 : 1 - rng();
        const score = -weight / Math.log(u === 1 ? 1 - 2 ** -53 : u);
        if (score > most) [best, most] = [candidate, score];
      }
      best ??= candidates[0];
      if (bounded && best !== undefined) {
        all++;
        open.set(best.id, (open.get(best.id) ?? 0) + 1);
      }
      return best;
    },
    settled({ id }) {
      const before = open.get(id);
      if (before === undefined) return;
      all--;
      if (before > 1) open.set(id, before - 1);
      else open.delete(id);
    },
  };
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
