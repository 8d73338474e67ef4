/**
 * What the methods of a balancer are called with, checked as the options of `createBalancer` are.
 */
import type { Readable } from 'node:stream';
import { onlyKnown, record, shown } from './checks.ts';
import { BalancerError } from '../errors.ts';
import { EVENT_NAMES } from '../events.ts';
import { messageOf } from '../guard.ts';
import { type ListenOptions, readListenOptions } from './listen.ts';
import { didYouMean } from './nearest.ts';

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

/** The options of `handle`. */
export interface HandleOptions {
  /**
   * The request body, where a parser has read it: text is sent as UTF-8, a stream in chunks. The request's own
   * Content-Length, Transfer-Encoding and trailers no longer count; delete its Content-Encoding if the parser has
   * decoded it. Without a body, or with null, the request's own is sent.
   */
  readonly body?: string | Uint8Array | Readable | ReadableStream<Uint8Array> | null | undefined;
  /** Becomes `exchange.state` for hooks. */
  readonly state?: unknown;
}

/** The options of `handle`; its body is not checked yet. Throws OPTIONS_INVALID. */
export function parseHandleOptions(input: unknown): { readonly body: unknown; readonly state: unknown } {
  return parsed(input, 'handle', (options, problems) => {
    onlyKnown(options, 'handle.', HANDLE_KEYS, problems);
    const { body, state } = options;
    return { body, state };
  });
}

/** The options of `close` checked and completed. Throws OPTIONS_INVALID. */
export function parseCloseOptions(input: unknown): Required<CloseOptions> {
  return parsed(input, 'close', (options, problems) => {
    onlyKnown(options, 'close.', CLOSE_KEYS, problems);
    const { timeoutMs = CLOSE_TIMEOUT_MS, delayMs = 0 } = options;
    return {
      timeoutMs: milliseconds(timeoutMs, 'close.timeoutMs', Infinity, problems),
      delayMs: milliseconds(delayMs, 'close.delayMs', Number.MAX_SAFE_INTEGER, problems),
    };
  });
}

/** The options of `remove` or `update` checked and completed. Throws OPTIONS_INVALID. */
export function parseDrainOptions(input: unknown, method: 'remove' | 'update'): Required<DrainOptions> {
  return parsed(input, method, (options, problems) => {
    onlyKnown(options, `${method}.`, DRAIN_KEYS, problems);
    const { timeoutMs = Infinity } = options;
    return { timeoutMs: milliseconds(timeoutMs, `${method}.timeoutMs`, Infinity, problems) };
  });
}

/** Where to listen, checked. Throws OPTIONS_INVALID. */
export function parseListenOptions(input: unknown): ListenOptions {
  return parsed(input ?? null, 'listen', (options, problems) => readListenOptions(options, 'listen', problems));
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

/** What `read` makes of the options of a method. Throws OPTIONS_INVALID with everything that is wrong with them. */
function parsed<T>(
  input: unknown, method: string,
  read: (options: Readonly<Record<string, unknown>>, problems: string[]) => T | undefined,
): T {
  const problems: string[] = [];
  const options = input === undefined ? {} : record(input, method, problems);
  refuse(problems);
  try {
    const made = read(options, problems);
    if (problems.length === 0 && made !== undefined) return made;
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

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw invalid(problems);
}

function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `invalid options: ${problems.join('; ')}`);
}

const CLOSE_TIMEOUT_MS = 10_000;
const HANDLE_KEYS: ReadonlySet<string> = new Set(['body', 'state']);
const DRAIN_KEYS: ReadonlySet<string> = new Set(['timeoutMs']);
const CLOSE_KEYS: ReadonlySet<string> = new Set(['timeoutMs', 'delayMs']);
