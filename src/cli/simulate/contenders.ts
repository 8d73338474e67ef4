/**
 * The strategies to compare, by name or from files.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { disowned, isThenable, messageOf } from '../../guard.ts';
import type { Contender } from '../../lab/compare.ts';
import type { StrategyTools } from '../../lab/options.ts';
import { stream } from '../../lab/random.ts';
import { isClass, strategyProblem } from '../../options/strategy-check.ts';
import type { Strategy } from '../../strategy.ts';
import { load, placeOf } from '../load.ts';
import { namedStrategy, STRATEGY_FILE, STRATEGY_NAMES, unknownStrategy } from '../strategies.ts';

type Create = Contender['create'];

/** A strategy as it was asked for. */
interface Found {
  readonly given: string;
  /** As the strategy calls itself. */
  readonly name: string;
  readonly create: Create;
}

/** Loads all. `uses`: for how many balancers of how many runs each is needed. */
export async function loadContenders(
  given: readonly string[], uses: () => number, problems: string[],
): Promise<readonly Contender[]> {
  if (given.length === 0) {
    problems.push(`--strategy: none given; name at least one, e.g. --strategy ${STRATEGY_NAMES.join(', ')} or ./file`);
  }
  const found: Found[] = [];
  for (const each of given) {
    const one = await find(each, uses, problems);
    if (one !== undefined) found.push(one);
  }
  return named(found);
}

async function find(given: string, uses: () => number, problems: string[]): Promise<Found | undefined> {
  const create = namedStrategy(given);
  if (create !== undefined) return { given, name: given, create };
  if (STRATEGY_FILE.test(given)) return fromFile(given, uses, problems);
  problems.push(unknownStrategy(given, '--strategy'));
  return undefined;
}

async function fromFile(given: string, uses: () => number, problems: string[]): Promise<Found | undefined> {
  const path = resolve(given);
  const before = problems.length;
  const exported = await load(path, '--strategy', problems);
  if (problems.length > before) return undefined;
  if (isClass(exported)) {
    problems.push(`--strategy: ${given} exports a class: export a factory, e.g. export default () => new Strategy()`);
    return undefined;
  }
  const create = typeof exported === 'function' ? byFactory(exported as Factory) : await byModule(exported, path, uses);
  try {
    const made = create({ rng: stream(0, 'check'), now: () => 0 });
    const problem = strategyProblem(made);
    if (problem === undefined) return { given, name: made.name, create };
    problems.push(`--strategy: ${given}: ${problem}`);
  } catch (error) {
    const place = error instanceof AsynchronousFactory ? '' : placeOf(error);
    problems.push(`--strategy: the factory in ${given} threw: ${messageOf(error)}${place}`);
  }
  return undefined;
}

/** A fault of ours to tell, whose place in our code helps nobody. */
class AsynchronousFactory extends TypeError {}

type Factory = (tools: StrategyTools) => unknown;

function byFactory(factory: Factory): Create {
  return (tools) => {
    const made = factory(tools);
    if (!isThenable(made)) return made as Strategy;
    disowned(made);
    throw new AsynchronousFactory('it returned a promise; the lab needs the strategy at once, so await what it needs ' +
      'at the top of the module');
  };
}

/**
 * A module that exports a strategy and no factory is loaded once for each balancer of each run: what the strategy
 * remembers must not pass from one to another. CommonJS is cached by Node; there the strategy is the same.
 */
async function byModule(exported: unknown, path: string, uses: () => number): Promise<Create> {
  const all: unknown[] = [exported];
  const wanted = Math.min(MOST_INSTANCES, uses());
  const url = pathToFileURL(path).href;
  while (all.length <= wanted) {
    // The query makes it a module of its own.
    const { default: fresh } = await import(`${url}?lab=${all.length}`) as { readonly default?: unknown };
    if (fresh === all[0]) break;
    all.push(fresh);
  }
  let next = 0;
  return () => all[Math.min(next++, all.length - 1)] as Strategy;
}

/** Contenders with names of their own: two files may hold strategies of the same name. */
function named(found: readonly Found[]): readonly Contender[] {
  const taken = new Set<string>();
  return found.map(({ given, name, create }) => {
    const same = found.filter((other) => other.name === name).length > 1;
    const base = same && given !== name ? `${name} (${given})` : name;
    let unique = base;
    for (let number = 2; taken.has(unique); number++) unique = `${base} #${number}`;
    taken.add(unique);
    return { name: unique, create };
  });
}

/** Modules stay in memory. */
const MOST_INSTANCES = 1_000;
