/**
 * The command line, read into what was asked for. Collects every problem instead of stopping at the first.
 */
import { parseArgs } from 'node:util';
import type { ListenOptions } from '../balancer.ts';

/** What the command line asks for. What it leaves open is for the configuration file, then the defaults. */
export interface Arguments {
  readonly listen: readonly string[];
  readonly strategy: string | undefined;
  readonly workers: string | undefined;
  readonly config: string | undefined;
  readonly drainTimeout: string | undefined;
  readonly pidFile: string | undefined;
  readonly demo: boolean;
  readonly version: boolean;
  readonly help: boolean;
  readonly upstreams: readonly string[];
}

export const USAGE = `Usage: equipoise [options] <upstream>...

Balances HTTP over upstreams such as http://127.0.0.1:3001.

Options:
  -l, --listen <[host:]port | unix:PATH | fd:N>   where to listen; default 8080; repeatable
  -s, --strategy <name | ./file>                  random (default), round-robin, least-connections,
                                                  or a module that default-exports a strategy or its factory
  -w, --workers <n | auto>                        processes that serve; default 1; auto = one per core
  -c, --config <file.js | file.json>              the options of createBalancer, and listen, strategy, workers,
                                                  drainTimeout and pidFile
      --demo                                      start three small upstreams and balance over them
      --drain-timeout <seconds>                   how long requests may end after SIGTERM; default 10
      --pid-file <path>                           where to write the process id, for as long as it runs
      --version                                   print the version
      --help                                      print this

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
    workers: text(values.workers),
    pidFile: text(values['pid-file']),
    demo: values.demo === true,
    version: values.version === true,
    help: values.help === true,
    upstreams: positionals,
  };
}

/** Reads one `--listen` value. */
export function readListen(value: unknown, path: string, problems: string[]): ListenOptions {
  const text = String(value);
  const unix = /^unix:(.+)$/.exec(text)?.[1];
  if (unix !== undefined) return { path: unix };
  const fd = /^fd:(\d+)$/.exec(text)?.[1];
  if (fd !== undefined) return { fd: Number(fd) };
  const match = /^(?:(\[[0-9A-Fa-f:.]+\]|[^:[\]]+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? NaN);
  if (!(port <= 65_535)) {
    problems.push(`${path}: ${text} is no address; give [host:]port, unix:PATH or fd:N, e.g. 127.0.0.1:8080`);
    return { port: 0 };
  }
  const host = match?.[1]?.replace(/^\[|\]$/g, '');
  return host === undefined ? { port } : { port, host };
}

const OPTIONS = {
  listen: { type: 'string', short: 'l', multiple: true },
  strategy: { type: 'string', short: 's' },
  workers: { type: 'string', short: 'w' },
  config: { type: 'string', short: 'c' },
  'drain-timeout': { type: 'string' },
  'pid-file': { type: 'string' },
  demo: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
