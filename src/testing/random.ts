/**
 * Repeatable randomness: mulberry32 (Tommy Ettinger, public domain). The same seed gives the same numbers in [0, 1), in
 * steps of 2^-32. For tests, not for secrets.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of this run: EQUIPOISE_SEED if it is set, otherwise a new one. Print it when a test fails. */
// eslint-disable-next-line no-restricted-properties -- the one place where tests get a random seed
export function testSeed(rng: () => number = Math.random): number {
  const given = process.env['EQUIPOISE_SEED'];
  if (given === undefined || given === '') return Math.floor(rng() * 2 ** 32);
  if (!/^\d+$/.test(given)) throw new RangeError(`EQUIPOISE_SEED must be an integer ≥ 0 (got "${given}")`);
  return Number(given);
}
