/**
 * Measures in turns, A B C A B C: a slow minute of the machine affects them all, and a round's ratios pair what was
 * measured side by side.
 */
import process from 'node:process';
import { spread } from './statistics.mjs';
import { print, progress } from './terminal.mjs';

/**
 * `rounds` samples of each server, by name, after a round 0 to warm up. `measure(server, round)` makes one; a server
 * for which it fails is named and left out: a contestant with a single fault is not compared.
 */
export async function inTurns(servers, rounds, measure) {
  const samples = {};
  for (let round = 0; round <= rounds; round++) {
    for (const server of servers) {
      const { name } = server;
      if (round > 0 && samples[name] === undefined) continue; // refused before
      progress(`${round === 0 ? 'warm-up' : `round ${round}/${rounds}`} ${name}`);
      try {
        const sample = await measure(server, round);
        if (round === 0) samples[name] = [];
        else samples[name].push(sample);
      } catch (error) {
        refuse(name, error);
        delete samples[name];
      }
    }
  }
  return samples;
}

/** The ratios of one's samples to another's, within each round: what affects both in a minute cancels out. */
export function ratio(samples, reference, figure) {
  if (samples === undefined || reference === undefined) return '-';
  return spread(samples.map((sample, round) => figure(sample) / figure(reference[round])), 2);
}

/** Says that a contestant answers wrongly, or fails under load: there is no figure for it. If it is ours, we failed. */
export function refuse(name, error) {
  print(`${name}: REFUSED: ${error.message}\n`);
  if (name.startsWith('equipoise')) process.exitCode = 1;
}
