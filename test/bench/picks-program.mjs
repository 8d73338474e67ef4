/** What picks.mjs measures, as JSON: `node picks-program.mjs <upstreams>...` */
import process from 'node:process';
import { picking } from './pick-cost.mjs';
import { shippedStrategies } from './shipped-strategies.mjs';
import { nanoseconds } from './timing.mjs';

const batches = 7;

const sizes = process.argv.slice(2).map(Number);
const { found, others } = await shippedStrategies();
const costs = [];
for (const { name, make } of found) {
  for (const size of sizes) {
    for (const weights of ['equal', 'mixed']) {
      const { pick, changed } = picking(make(), size, weights);
      const figures = { pick: nanoseconds(pick, batches), changed: nanoseconds(changed, batches) };
      costs.push({ strategy: name, size, weights, ...figures });
    }
  }
}
process.stdout.write(JSON.stringify({ costs, others }));
