/**
 * The rule on what clients send: headers prove nothing.
 */
import type { Rule } from './rule.ts';
import { FakeUpstream, fakes, list } from './stand-in.ts';
import { below, failure, Trial } from './trial.ts';

export const cookieRules: readonly Rule[] = [
  {
    title: 'picks a candidate whatever clients send: cookies that it set, ids, forged ones, garbage',
    check(make, rng, options) {
      for (const told of [true, false]) {
        const trial = new Trial(make, rng, options);
        let members = fakes(4);
        const ids = members.map(({ id }) => id);
        const one = <T>(items: readonly T[]): T | undefined => items[below(items.length, rng)];
        trial.header = (name) => {
          if (rng() < 0.1) return undefined;
          const set = one(trial.cookies) ?? 'session=1';
          const value = one([...GARBAGE, one(ids) ?? '', Buffer.from(one(ids) ?? '').toString('base64')]) ?? '';
          if (name !== 'cookie') return value;
          const [cookie = ''] = set.split('=');
          const changed = `${set.slice(0, -1)}${set.endsWith('0') ? '1' : '0'}`;
          const named = `${cookie}=${value}`;
          return one([set, set, changed, named, `${named}; ${set}`, `${set}; ${set}`, value]);
        };
        for (let step = 0; step < 300; step++) {
          if (step % 5 === 0) {
            const newcomer = new FakeUpstream(below(12, rng));
            members = list([...members.slice(below(2, rng)), newcomer].slice(-6));
            ids.push(newcomer.id);
          }
          // Some of the members are ejected, and so are no candidates.
          const kept = members.filter(() => rng() < 0.7);
          const candidates = list(kept.length > 0 ? kept : members);
          if (told) trial.changed(candidates, members);
          const picked = trial.pick(candidates);
          trial.settle(picked, failure);
          const others = list(candidates.filter((each) => each !== picked));
          if (others.length > 0) trial.settle(trial.pick(others, 2));
        }
      }
    },
  },
];

const GARBAGE: readonly string[] = [
  '', '0', '-1', '1e9', 'NaN', 'null', 'undefined', '__proto__', 'constructor', 'toString', '%00', '=;=', '"', '[]',
  'x'.repeat(8_192), '\u00ff'.repeat(16),
];
