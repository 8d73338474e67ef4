/**
 * Parses the command line. Collects every problem instead of stopping at the first.
 */
import { parseArgs } from 'node:util';
import { didYouMean } from '../options/nearest.ts';
import type { TlsFlags } from './tls/settings.ts';
import type { PassedSockets } from './passed-sockets.ts';

/** What the command line says. The configuration file, then the defaults, fill in the rest. */
export interface Arguments extends TlsFlags {
  readonly listen: readonly string[];
  readonly strategy: string | undefined;
  /** A second strategy, which is asked and never followed. */
  readonly shadow: string | undefined;
  readonly workers: string | undefined;
  readonly config: string | undefined;
  readonly drainTimeout: string | undefined;
  readonly stopDelay: string | undefined;
  readonly reloadTimeout: string | undefined;
  readonly pidFile: string | undefined;
  readonly accessLog: string | undefined;
  readonly accessLogFormat: string | undefined;
  readonly logFormat: string | undefined;
  /** Files of authorities to trust for `https:` upstreams, besides Node's own. */
  readonly ca: readonly string[];
  /** Whether certificates of upstreams are not verified. */
  readonly insecureUpstreams: boolean;
  readonly admin: string | undefined;
  readonly adminTokenFile: string | undefined;
  readonly proxyProtocol: string | undefined;
  /** Layer 4: balance raw connections. */
  readonly tcp: boolean;
  readonly demo: boolean;
  /** Whether to print what would be served, instead of serving it. */
  readonly check: boolean;
  readonly version: boolean;
  readonly help: boolean;
  readonly upstreams: readonly string[];
  /** The sockets that were passed to this process, which are not arguments. */
  readonly passed?: PassedSockets;
  /** Whether a wrong option may have been meant to name upstreams: then none are reported as missing. */
  readonly unclear: boolean;
}

export const USAGE = `Usage: equipoise [options] <upstream>...
       equipoise simulate --help      compares strategies in a simulation

Balances HTTP over upstreams such as http://127.0.0.1:3001.

Options:
  -l, --listen <[host:]port | unix:PATH[,mode=660] | fd:N | systemd | tls:[host:]port | redirect:[host:]port>
                                     where to listen; default 8080; repeatable; redirect: answers 308 to the first tls:
  -s, --strategy <name | ./file>     random (default), round-robin, least-connections, power-of-two, peak-ewma,
                                     ring-hash, maglev, rendezvous, weighted-by-load, or a module that
                                     default-exports a strategy or its factory
      --shadow <name | ./file>       a second strategy, asked at each pick and never followed: the admin listener has
                                     its figures
  -w, --workers <n | auto>           number of serving processes; default 1; auto = one per core
  -c, --config <file.js | .mjs | .ts | .json>
                                     the options of createBalancer, and listen, strategy, shadow, workers,
                                     drainTimeout, stopDelay, reloadTimeout, pidFile, accessLog, accessLogFormat, admin,
                                     adminTokenFile, adminHosts, logFormat, proxyProtocol, tcp, tls and upstreamTls
      --check                        check the configuration, print what would be served, and exit
      --tcp                          layer 4: balance raw connections, over upstreams such as tcp://10.0.0.1:6379
      --proxy-protocol <cidr,...>    whose PROXY header to read, on every listener, e.g. 10.0.0.0/8,::1 (unix: all peers
                                     on Unix sockets); without a header, their connections are closed
      --demo                         start three small upstreams and balance over them
      --drain-timeout <seconds>      how long requests may take to finish after SIGTERM; default 10
      --stop-delay <seconds>         how long to keep accepting after SIGTERM, already not ready; default 0
      --reload-timeout <seconds>     how long old workers may take to finish after a reload; default 3600
      --pid-file <path>              where to write the process ID; the file is removed at exit
      --access-log <- | file>        log each request to standard output, or to a file, which SIGUSR1 reopens
      --access-log-format <json | common | combined>
                                     the format of its lines; default json
      --log-format <text | json>     the format of the log of the process, on standard error; default text
      --admin <[host:]port | unix:PATH>
                                     a listener for operators: a live page at /, /metrics, /upstreams, /why, /livez
                                     and /readyz; a port alone is on 127.0.0.1
      --admin-token-file <path>      what requests to it must bring; so does the variable EQUIPOISE_ADMIN_TOKEN
      --tls-cert <file>  --tls-key <file>
                                     a certificate and its key in PEM for tls: listeners; repeatable in pairs: the first
                                     is the default, others by the names in them; read again on SIGHUP
      --tls-client-ca <file>         require a client certificate of these authorities
      --tls-client-optional          let clients without a certificate through
      --ca <file>                    authorities (PEM) to trust for https: upstreams, besides the usual; repeatable
      --insecure-upstreams           do not verify the certificates of https: upstreams
      --version                      print the version
      --help                         print this

SIGTERM and SIGINT finish what is in flight, then exit with 0; a second one exits at once. SIGHUP reads the
configuration file and the certificates again. Exit codes: 0 after a clean drain, 1 for a failure, 2 for wrong usage
or configuration.
`;

/** Parses the arguments after the script's name. */
export function readArguments(argv: readonly string[], problems: string[]): Arguments {
  const { tokens, values } = parseArgs({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
    // Strict parsing would stop at the first problem.
    strict: false,
    tokens: true,
  });
  const upstreams: string[] = [];
  let unclear = false;
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'positional') {
      const before = tokens[i - 1];
      // What follows an unknown option is probably its value, not a second mistake.
      const itsValue = before?.kind === 'option' && !known(before.name) && before.value === undefined &&
        !token.value.includes('://') && !token.value.startsWith('unix:');
      if (itsValue) unclear = true;
      else upstreams.push(token.value);
    }
    if (token.kind !== 'option') continue;
    const { name, rawName, value, index, inlineValue } = token;
    const option = known(name);
    if (option === undefined) {
      problems.push(`${rawName}: unknown option;${meant(name)}`);
      unclear ||= FOR_UPSTREAMS.test(name);
    } else if (option.type === 'string' && (value === undefined || value === '')) {
      problems.push(`${rawName}: needs a value; see equipoise --help`);
      // The file may name upstreams.
      unclear ||= name === 'config';
    } else if (option.type === 'string' && inlineValue !== true && isOption(value)) {
      // What parseArgs took for the value is the next option.
      problems.push(`${rawName}: needs a value before ${String(value)}; see equipoise --help`);
      return readArguments(argv.toSpliced(index, 1), problems);
    } else if (name !== 'listen' && inlineValue !== true && /^(?:https?|tcp):\/\//i.test(value ?? '')) {
      problems.push(`${rawName}: needs a value before the upstream ${String(value)}; see equipoise --help`);
      return readArguments(argv.toSpliced(index, 1), problems);
    } else if (option.type === 'boolean' && value !== undefined) {
      problems.push(`${rawName}: takes no value`);
      unclear = true;
    }
  }
  // A missing value was reported above; do not report it again as a wrong one.
  const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  return {
    listen: (values.listen ?? []).map(text).filter((value) => value !== undefined),
    strategy: text(values.strategy),
    shadow: text(values.shadow),
    config: text(values.config),
    drainTimeout: text(values['drain-timeout']),
    stopDelay: text(values['stop-delay']),
    reloadTimeout: text(values['reload-timeout']),
    workers: text(values.workers),
    pidFile: text(values['pid-file']),
    accessLog: text(values['access-log']),
    accessLogFormat: text(values['access-log-format']),
    logFormat: text(values['log-format']),
    ca: (values.ca ?? []).map(text).filter((value) => value !== undefined),
    insecureUpstreams: values['insecure-upstreams'] === true,
    admin: text(values.admin),
    adminTokenFile: text(values['admin-token-file']),
    tlsCert: (values['tls-cert'] ?? []).map(text).filter((value) => value !== undefined),
    tlsKey: (values['tls-key'] ?? []).map(text).filter((value) => value !== undefined),
    tlsClientCa: text(values['tls-client-ca']),
    tlsClientOptional: values['tls-client-optional'] === true,
    tcp: values.tcp === true,
    proxyProtocol: text(values['proxy-protocol']),
    demo: values.demo === true,
    check: values.check === true,
    version: values.version === true,
    help: values.help === true,
    upstreams,
    unclear,
  };
}

function known(name: string): { readonly type: 'string' | 'boolean' } | undefined {
  return Object.hasOwn(OPTIONS, name) ? OPTIONS[name as keyof typeof OPTIONS] : undefined;
}

/** Whether a value looks like one of our options. */
function isOption(value: string | undefined): boolean {
  const [, long, short] = /^(?:--([^=]+)(?:=.*)?|-(.))$/s.exec(value ?? '') ?? [];
  return (long !== undefined && known(long) !== undefined) ||
    (short !== undefined && Object.values(OPTIONS).some((option) => 'short' in option && option.short === short));
}

/** What an unknown option may have been meant to be. */
function meant(name: string): string {
  if (FOR_UPSTREAMS.test(name)) return ' name upstreams without one, e.g. equipoise http://127.0.0.1:3001';
  const near = didYouMean(name, Object.keys(OPTIONS).map((each) => `--${each}`));
  return near === '' ? ' see equipoise --help' : near;
}

/** Options that name an upstream in other programs. */
const FOR_UPSTREAMS = /^(?:upstreams?|backends?|targets?|servers?|origins?|nodes?|proxy|url|to)$/i;

const OPTIONS = {
  listen: { type: 'string', short: 'l', multiple: true },
  strategy: { type: 'string', short: 's' },
  shadow: { type: 'string' },
  workers: { type: 'string', short: 'w' },
  config: { type: 'string', short: 'c' },
  'drain-timeout': { type: 'string' },
  'stop-delay': { type: 'string' },
  'reload-timeout': { type: 'string' },
  'pid-file': { type: 'string' },
  'access-log': { type: 'string' },
  'access-log-format': { type: 'string' },
  'log-format': { type: 'string' },
  ca: { type: 'string', multiple: true },
  'insecure-upstreams': { type: 'boolean' },
  admin: { type: 'string' },
  'admin-token-file': { type: 'string' },
  'tls-cert': { type: 'string', multiple: true },
  'tls-key': { type: 'string', multiple: true },
  'tls-client-ca': { type: 'string' },
  'tls-client-optional': { type: 'boolean' },
  tcp: { type: 'boolean' },
  'proxy-protocol': { type: 'string' },
  demo: { type: 'boolean' },
  check: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
