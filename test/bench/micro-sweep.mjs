/** What the clock's tick does: checks the deadlines of all downstreams. */
import { DownstreamConnection } from '../../dist/src/fronts/connection.js';
import { Front } from '../../dist/src/fronts/front.js';
import { parseOptions } from '../../dist/src/options/parse.js';
import { membersOf } from './pick-cost.mjs';

const count = 10_000;

/** Lists of a name and what makes the operation. */
export const sweep = [
  [`sweep of ${count} idle connections`, connections],
  [`sweep of ${count} upstreams`, upstreams],
];

function connections() {
  const rules = { ...parseOptions({ upstreams: ['http://10.0.0.1'] }), trusts: () => false };
  const front = new Front({ clock: { now: 0 } }, rules, () => {});
  for (let i = 0; i < count; i++) new DownstreamConnection(front, { resume: () => {} });
  return () => {
    front.downstreams.sweep(1);
    return front.downstreams.size;
  };
}

function upstreams() {
  const members = membersOf(count, 'equal');
  return () => {
    members.sweep(1);
    return 1;
  };
}
