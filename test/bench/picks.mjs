/** What a pick costs with each strategy, and a notification of a change, for few and many upstreams. */
import { program, result } from './programs.mjs';
import { balancerCpu } from './stage.mjs';

export const sizes = [3, 100, 1_000, 10_000];

export const picks = {
  title: 'one pick, counted and settled, and one `changed`, by upstreams (ns, the median of batches)',
  play: ({ options: { node } }) => result(balancerCpu, [node, program('picks-program.mjs'), ...sizes.map(String)]),
  tables: ({ costs, others }) => ['pick', 'changed'].map((figure) => ({
    title: others.length === 0 ? figure : `${figure} (left out: ${others.join(', ')})`,
    rows: [
      ['', ...sizes.map(String)],
      ...grouped(costs).map(([name, list]) => [
        name, ...sizes.map((size) => list.find((cost) => cost.size === size)[figure].ns.toFixed(0)),
      ]),
    ],
  })),
};

function grouped(costs) {
  const groups = new Map();
  for (const cost of costs) {
    const name = `${cost.strategy}, ${cost.weights} weights`;
    groups.set(name, [...groups.get(name) ?? [], cost]);
  }
  return [...groups];
}
