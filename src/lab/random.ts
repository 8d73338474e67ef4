/**
 * Randomness of a simulation: one seed, and a stream of numbers for each purpose that does not depend on how much the
 * others draw. So two strategies meet the same arrivals and the same work (common random numbers).
 */

/**
 * Numbers in [0, 1) in steps of 2^-32, by sfc32 (Chris Doty-Humphrey, PractRand, public domain). The same seed and
 * purpose give the same numbers on every machine.
 */
export function stream(seed: number, purpose: string): () => number {
  let a = mixed(seed >>> 0, 0x9e3779b9);
  let b = mixed(Math.floor(seed / 2 ** 32) >>> 0, 0x85ebca6b);
  let c = 0xc2b2ae35;
  for (let at = 0; at < purpose.length; at++) c = mixed(c, purpose.charCodeAt(at));
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // The first numbers still show the seed.
  for (let skipped = 0; skipped < 16; skipped++) next();
  return next;
}

/** A draw from the standard normal distribution, by the polar method of Marsaglia and Bray (1964). */
export function normal(rng: () => number): number {
  for (;;) {
    const x = 2 * rng() - 1;
    const y = 2 * rng() - 1;
    const square = x * x + y * y;
    if (square > 0 && square < 1) return x * Math.sqrt(-2 * Math.log(square) / square);
  }
}

/** A draw from the exponential distribution with mean 1. */
export function exponentialDraw(rng: () => number): number {
  return -Math.log(1 - rng());
}

/** Mixes a number into a hash (the finalizer of MurmurHash3, Austin Appleby, public domain). */
function mixed(hash: number, value: number): number {
  let mix = Math.imul(hash ^ value, 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) | 0;
}
