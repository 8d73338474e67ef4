/**
 * Options that a JSON file cannot hold, since they are functions or have methods.
 */
import { isRecord } from '../options/checks.ts';
import { HOOK_NAMES } from '../options/front.ts';

type Given = Readonly<Record<string, unknown>>;

export const ONLY_IN_MODULES: readonly string[] = [
  ...HOOK_NAMES, 'onReport', 'upgradeTarget', 'connect', 'peers', 'time', 'rng',
];

/** The content of a JSON file without such options; those that it has are added to `problems`. */
export function withoutCode(given: Given, problems: string[]): Record<string, unknown> {
  const values = without(given, '', problems);
  const { pools } = values;
  if (!isRecord(pools)) return values;
  const rest = Object.entries(pools).map(([name, pool]) => (
    [name, isRecord(pool) ? without(pool, `pools.${name}.`, problems) : pool]));
  return { ...values, pools: Object.fromEntries(rest) };
}

function without(given: Given, prefix: string, problems: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => {
    const isCode = ONLY_IN_MODULES.includes(name);
    if (isCode) {
      problems.push(`${prefix}${name}: needs code, which JSON cannot hold; write the file as a module, e.g. ` +
        'equipoise.config.mjs with export default { ... }');
    }
    return !isCode;
  }));
}
