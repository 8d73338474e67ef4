/**
 * What the methods of a balancer are called with, checked as the options of `createBalancer` are.
 */
import { onlyKnown, record, shown, socketPath } from './checks.ts';
import { BalancerError } from '../errors.ts';
import { EVENT_NAMES } from '../events.ts';
import { messageOf } from '../guard.ts';
import { didYouMean } from './nearest.ts';

/** Where to listen: a port, a Unix socket, or a socket that was opened before us (systemd's socket activation). */
export type ListenOptions =
  | { readonly port: number; readonly host?: string; readonly backlog?: number }
  | { readonly path: string; readonly backlog?: number }
  | { readonly fd: number };

/** The options of `remove` and `update`. */
export interface DrainOptions {
  /** What removed upstreams still have in flight after so long is cut. Default `Infinity`: no limit. */
  readonly timeoutMs?: number;
}

/** The options of `close`. */
export interface CloseOptions {
  /** What is not done so long after the balancer has stopped accepting is cut. `Infinity`: never. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /**
   * How long the balancer goes on accepting and serving, while `ready` is false already: load balancers and
   * orchestrators need some time to send new requests elsewhere. Default 0.
   */
  readonly delayMs?: number;
}

/** The options of `close` checked and completed. Throws OPTIONS_INVALID. */
export function parseCloseOptions(input: unknown): Required<CloseOptions> {
  return parsed(input, 'close', KNOWN_OF_CLOSE, ({ timeoutMs = CLOSE_TIMEOUT_MS, delayMs = 0 }, problems) => ({
    timeoutMs: milliseconds(timeoutMs, 'close.timeoutMs', Infinity, problems),
    delayMs: milliseconds(delayMs, 'close.delayMs', Number.MAX_SAFE_INTEGER, problems),
  }));
}

/** The options of `remove` or `update` checked and completed. Throws OPTIONS_INVALID. */
export function parseDrainOptions(input: unknown, method: 'remove' | 'update'): Required<DrainOptions> {
  return parsed(input, method, KNOWN_OF_DRAIN, ({ timeoutMs = Infinity }, problems) => ({
    timeoutMs: milliseconds(timeoutMs, `${method}.timeoutMs`, Infinity, problems),
  }));
}

/** Where to listen, checked. Throws OPTIONS_INVALID. */
export function parseListenOptions(input: unknown): ListenOptions {
  return parsed(input ?? null, 'listen', KNOWN_OF_LISTEN, (options, problems) => {
    const { port, host, path, fd, backlog } = options;
    if ([port, path, fd].filter((one) => one !== undefined).length !== 1) {
      problems.push(`listen: must have one of port, path and fd, e.g. { port: 8080 } (got ${shown(input)})`);
    }
    if (port !== undefined) wholeNumber(port, 'listen.port', MAX_PORT, problems);
    if (fd !== undefined) wholeNumber(fd, 'listen.fd', MAX_INTEGER, problems);
    if (backlog !== undefined) wholeNumber(backlog, 'listen.backlog', MAX_INTEGER, problems);
    if (path !== undefined) text(path, 'listen.path', problems);
    if (typeof path === 'string') socketPath(path, 'listen.path', problems);
    if (host !== undefined) text(host, 'listen.host', problems);
    if (host !== undefined && port === undefined) problems.push('listen.host: goes with a port only; leave it out');
    if (backlog !== undefined && fd !== undefined) problems.push('listen.backlog: does not go with fd; leave it out');
    // A copy of what was checked: the server reads it again.
    const given = Object.entries({ port, host, path, fd, backlog }).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given) as unknown as ListenOptions;
  });
}

/** Throws OPTIONS_INVALID for what is not an event or cannot listen to one. */
export function checkListener(event: unknown, listener: unknown, method: 'on' | 'off'): void {
  const problems: string[] = [];
  if (!(EVENT_NAMES as readonly unknown[]).includes(event)) {
    const meant = typeof event === 'string' ? didYouMean(event, EVENT_NAMES) : '';
    const instead = meant === '' ? ` use ${EVENT_NAMES.join(', ')}` : meant;
    problems.push(`${method}: no such event: ${shown(event)};${instead}`);
  }
  if (typeof listener !== 'function') {
    problems.push(`${method}: the listener must be a function (got ${shown(listener)})`);
  }
  refuse(problems);
}

/** What `read` makes of the options of a method. Throws OPTIONS_INVALID with all that is wrong with them. */
function parsed<T>(
  input: unknown, method: string, known: ReadonlySet<string>,
  read: (options: Readonly<Record<string, unknown>>, problems: string[]) => T,
): T {
  const problems: string[] = [];
  const options = input === undefined ? {} : record(input, method, problems);
  refuse(problems);
  try {
    onlyKnown(options, `${method}.`, known, problems);
    const made = read(options, problems);
    if (problems.length === 0) return made;
  } catch (cause) {
    problems.push(`${method}: reading its options threw: ${messageOf(cause)}`);
  }
  throw invalid(problems);
}

/** A time from 0 to `max`; fractions will do, since such times are often what is left of another. */
function milliseconds(value: unknown, path: string, max: number, problems: string[]): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value;
  const orNone = max === Infinity ? ', or Infinity for no limit' : '';
  problems.push(`${path}: must be a number of milliseconds from 0${orNone} (got ${shown(value)})`);
  return 0;
}

function wholeNumber(value: unknown, path: string, max: number, problems: string[]): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return;
  problems.push(`${path}: must be a whole number from 0 to ${max} (got ${shown(value)})`);
}

function text(value: unknown, path: string, problems: string[]): void {
  if (typeof value !== 'string' || value === '') problems.push(`${path}: must be a string (got ${shown(value)})`);
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw invalid(problems);
}

function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `invalid options: ${problems.join('; ')}`);
}

const CLOSE_TIMEOUT_MS = 10_000;
const MAX_PORT = 65_535;
const MAX_INTEGER = 2 ** 31 - 1;
const KNOWN_OF_LISTEN: ReadonlySet<string> = new Set(['port', 'host', 'path', 'fd', 'backlog']);
const KNOWN_OF_DRAIN: ReadonlySet<string> = new Set(['timeoutMs']);
const KNOWN_OF_CLOSE: ReadonlySet<string> = new Set(['timeoutMs', 'delayMs']);
