/**
 * What a pick costs with each strategy that is shipped, as the table in strategies/README.md has it. Run it on an idle
 * machine: `node test/bench/pick-table.mjs [UPSTREAMS]`.
 */
import { picking } from './pick-cost.mjs';
import { shippedStrategies } from './shipped-strategies.mjs';

const size = Number(process.argv[2] ?? 10_000);
const ROUNDS = 7;

const { found } = await shippedStrategies();
for (const { name, make } of found) {
  const { pick } = picking(make(), size, 'mixed');
  let picks = 256;
  let fastest = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < picks; i++) pick(i);
    const ms = performance.now() - start;
    fastest = Math.min(fastest, ms / picks);
    // Some 50 ms a round: rendezvous takes a hundred times as long as the others.
    picks = Math.max(256, Math.min(200_000, Math.round(50 / fastest)));
  }
  console.log(`${name.padEnd(20)} ${(fastest * 1_000).toFixed(2).padStart(8)} µs, attempt and its count included`);
}
