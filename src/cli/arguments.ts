/**
 * The command line, read into what was asked for. Collects every problem instead of stopping at the first.
 */
import { parseArgs } from 'node:util';

/** What the command line asks for. What it leaves open is for the configuration file, then the defaults. */
export interface Arguments {
  readonly listen: readonly string[];
  readonly strategy: string | undefined;
  readonly workers: string | undefined;
  readonly config: string | undefined;
  readonly drainTimeout: string | undefined;
  readonly stopDelay: string | undefined;
  readonly reloadTimeout: string | undefined;
  readonly pidFile: string | undefined;
  readonly demo: boolean;
  readonly version: boolean;
  readonly help: boolean;
  readonly upstreams: readonly string[];
}

export const USAGE = `Usage: equipoise [options] <upstream>...

Balances HTTP over upstreams such as http://127.0.0.1:3001.

Options:
  -l, --listen <[host:]port | unix:PATH[,mode=660] | fd:N>
                                     where to listen; default 8080; repeatable
  -s, --strategy <name | ./file>     random (default), round-robin, least-connections, or a module that
                                     default-exports a strategy or its factory
  -w, --workers <n | auto>           processes that serve; default 1; auto = one per core
  -c, --config <file.js | file.json> the options of createBalancer, and listen, strategy, workers, drainTimeout,
                                     stopDelay, reloadTimeout and pidFile
      --demo                         start three small upstreams and balance over them
      --drain-timeout <seconds>      how long requests may take to end after SIGTERM; default 10
      --stop-delay <seconds>         how long to go on accepting after SIGTERM, not ready any more; default 0
      --reload-timeout <seconds>     how long old workers may take to finish after a reload; default 3600
      --pid-file <path>              where to write the process id, for as long as it runs
      --version                      print the version
      --help                         print this

SIGTERM and SIGINT finish what is in flight, then exit with 0; a second one exits at once. SIGHUP reads the
configuration file again. Exit codes: 0 after a clean drain, 1 for a failure, 2 for wrong usage or configuration.
`;

/** Reads the arguments after the script's name. */
export function readArguments(argv: readonly string[], problems: string[]): Arguments {
  const { tokens, values, positionals } = parseArgs({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
    // Strict parsing would stop at the first problem.
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const option = (OPTIONS as Record<string, { type: string } | undefined>)[token.name];
    if (option === undefined) problems.push(`${token.rawName}: unknown option; see equipoise --help`);
    else if (option.type === 'string' && (token.value === undefined || token.value === '')) {
      problems.push(`${token.rawName}: needs a value; see equipoise --help`);
    } else if (option.type === 'boolean' && token.value !== undefined) {
      problems.push(`${token.rawName}: takes no value`);
    }
  }
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    listen: (values.listen ?? []).filter((value) => typeof value === 'string'),
    strategy: text(values.strategy),
    config: text(values.config),
    drainTimeout: text(values['drain-timeout']),
    stopDelay: text(values['stop-delay']),
    reloadTimeout: text(values['reload-timeout']),
    workers: text(values.workers),
    pidFile: text(values['pid-file']),
    demo: values.demo === true,
    version: values.version === true,
    help: values.help === true,
    upstreams: positionals,
  };
}

const OPTIONS = {
  listen: { type: 'string', short: 'l', multiple: true },
  strategy: { type: 'string', short: 's' },
  workers: { type: 'string', short: 'w' },
  config: { type: 'string', short: 'c' },
  'drain-timeout': { type: 'string' },
  'stop-delay': { type: 'string' },
  'reload-timeout': { type: 'string' },
  'pid-file': { type: 'string' },
  demo: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
