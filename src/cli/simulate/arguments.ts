/**
 * The command line of `equipoise simulate`. Collects every problem instead of stopping at the first.
 */
import { parseArgs } from 'node:util';
import { didYouMean } from '../../options/nearest.ts';

/** What the command line says; undefined where it says nothing. */
export interface SimulateArguments {
  readonly help: boolean;
  readonly strategy: readonly string[];
  /** All others, by the names of their flags. */
  readonly values: Readonly<Partial<Record<Flag, string>>>;
}

export type Flag = Exclude<keyof typeof OPTIONS, 'strategy' | 'help'>;

export const SIMULATE_USAGE = `Usage: equipoise simulate --strategy <name | ./file> [--strategy ...] [options]

Simulates strategies in virtual time, on the same arrivals, work and faults, and says which is better.

Options:
  -s, --strategy <name | ./file>     a strategy by name, or a module that default-exports a strategy or its factory,
                                     which gets { rng }; repeatable: they are compared
      --scenario <name | ./file>     a situation with faults; --scenario list says which there are
      --upstreams <n>                number of servers; default 10
      --load <f>                     of what all servers together can do; default 0.8; times are in mean service times
      --rate <n>                     requests per second, in place of --load; times are in milliseconds
      --service <distribution>       exponential (default), deterministic, lognormal[:scv], pareto[:shape,ratio],
                                     bimodal[:share,ratio], or file:PATH: a time in milliseconds a line. The mean is
                                     1 ms; give another as the last parameter: exponential:20ms, lognormal:4,20ms
      --arrivals <process>           poisson (default), constant, bursty[:ratio,share,length], or closed:N for N
                                     clients that wait for their answers
      --trace <access-log>           arrivals, and sizes where known, of a log: JSON lines of equipoise, Common or
                                     Combined; also .gz
      --discipline <fifo | ps>       how a server serves: in order (default), or all at once (processor sharing)
      --concurrency <n>              how many requests a server serves at a time; default 1
      --load-reports <ms>            servers report their load, measured over so long, as weighted-by-load needs it
      --balancers <n>                how many balancers share the requests, each with its own strategy; default 1
      --requests <n>                 default 100000, or what the scenario or the trace has
      --seed <n>                     default 1; the same seed gives the same result
      --runs <n>                     run each strategy with so many seeds, from --seed on; default 1
      --json <file | ->              write the results as JSON, - to standard output in place of the table
      --report <file.html | .svg>    write plots
      --help                         print this

Strategies: NAMES.
Exit codes: 0 when it is done, 1 for a failure, also of a strategy, 2 for wrong usage, 130 after an interrupt.
`;

/** Parses the arguments after `simulate`. */
export function readSimulateArguments(argv: readonly string[], problems: string[]): SimulateArguments {
  const { tokens, values } = parseArgs({
    // Strict parsing would stop at the first problem.
    args: [...argv], options: OPTIONS, allowPositionals: true, strict: false, tokens: true,
  });
  for (const [at, token] of tokens.entries()) {
    if (token.kind === 'positional') {
      const before = tokens[at - 1];
      // What follows an unknown option is probably its value.
      if (before?.kind === 'option' && !Object.hasOwn(OPTIONS, before.name)) continue;
      problems.push(`${token.value}: unexpected; strategies are given by --strategy, see equipoise simulate --help`);
    }
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue, index } = token;
    if (!Object.hasOwn(OPTIONS, name)) {
      const meant = didYouMean(name, Object.keys(OPTIONS).map((each) => `--${each}`));
      problems.push(`${rawName}: unknown option;${meant === '' ? ' see equipoise simulate --help' : meant}`);
    } else if (name === 'help') {
      if (value !== undefined) problems.push(`${rawName}: takes no value`);
    } else if (value === undefined || value === '') {
      problems.push(`${rawName}: needs a value; see equipoise simulate --help`);
    } else if (!inlineValue && /^--?[a-z]/.test(value)) {
      // What parseArgs took for the value is the next option.
      problems.push(`${rawName}: needs a value before ${value}; see equipoise simulate --help`);
      return readSimulateArguments(argv.toSpliced(index, 1), problems);
    }
  }
  const { strategy = [], help, ...others } = values;
  const text = (value: unknown): value is string => typeof value === 'string' && value !== '';
  const known = Object.entries(others).filter(([name, value]) => Object.hasOwn(OPTIONS, name) && text(value));
  return { help: help === true, strategy: strategy.filter(text), values: Object.fromEntries(known) };
}

const OPTIONS = {
  strategy: { type: 'string', short: 's', multiple: true },
  scenario: { type: 'string' },
  upstreams: { type: 'string' },
  load: { type: 'string' },
  rate: { type: 'string' },
  service: { type: 'string' },
  arrivals: { type: 'string' },
  trace: { type: 'string' },
  discipline: { type: 'string' },
  concurrency: { type: 'string' },
  'load-reports': { type: 'string' },
  balancers: { type: 'string' },
  requests: { type: 'string' },
  seed: { type: 'string' },
  runs: { type: 'string' },
  json: { type: 'string' },
  report: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;
