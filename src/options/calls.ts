/**
 * Checks the arguments of a balancer's methods, as parse.ts does for `createBalancer`.
 */
import type { Readable } from 'node:stream';
import { onlyKnown, record, shown } from './checks.ts';
import { BalancerError } from '../errors.ts';
import { EVENT_NAMES } from '../events.ts';
import { messageOf } from '../guard.ts';
import { type ListenOptions, readListenOptions } from './listen.ts';
import { didYouMean } from './nearest.ts';

/** The options of `remove` and `update`, and how `configure` removes. */
export interface DrainOptions {
  /** How long a removed upstream may finish what it has in flight; the rest is cut. Default `Infinity`: no limit. */
  readonly timeoutMs?: number;
}

/** The options of `close`. */
export interface CloseOptions {
  /**
   * How long requests may take to finish after the balancer stops accepting; the rest is cut. `Infinity`: no limit.
   * Default 10,000 ms.
   */
  readonly timeoutMs?: number;
  /**
   * How long the balancer continues to accept and serve while `ready` is already false: load balancers and
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

/** Checks the options of `close` and fills in the defaults. Throws OPTIONS_INVALID. */
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

/** Checks how `remove`, `update` or `configure` is to drain, and fills in the defaults. Throws OPTIONS_INVALID. */
export function parseDrainOptions(
  input: unknown, method: 'remove' | 'update' | 'configure',
): Required<DrainOptions> {
  return parsed(input, method, (options, problems) => {
    onlyKnown(options, `${method}.`, DRAIN_KEYS, problems);
    const { timeoutMs = Infinity } = options;
    return { timeoutMs: milliseconds(timeoutMs, `${method}.timeoutMs`, Infinity, problems) };
  });
}

/** Checks where to listen. Throws OPTIONS_INVALID. */
export function parseListenOptions(input: unknown, method: 'listen' | 'serve' = 'listen'): ListenOptions {
  return parsed(input ?? null, method, (options, problems) => readListenOptions(options, method, problems));
}

/** Throws OPTIONS_INVALID unless `event` is the name of an event and `listener` is a function. */
export function checkListener(event: unknown, listener: unknown, method: 'on' | 'off'): void {
  const problems: string[] = [];
  if (!(EVENT_NAMES as readonly unknown[]).includes(event)) {
    const meant = typeof event === 'string' ? didYouMean(event, EVENT_NAMES) : '';
    const instead = meant === '' ? ` use ${EVENT_NAMES.join(', ')}` : meant;
    problems.push(`${method}: unknown event ${shown(event)};${instead}`);
  }
  if (typeof listener !== 'function') {
    problems.push(`${method}: the listener must be a function (got ${shown(listener)})`);
  }
  refuse(problems);
}

/** Throws OPTIONS_INVALID unless `meter` has the methods of a meter. */
export function checkMeter(meter: unknown): void {
  const missing = ['exchange', 'answered', 'attempt'].filter((name) => {
    return typeof (meter as Record<string, unknown> | null | undefined)?.[name] !== 'function';
  });
  refuse(missing.map((name) => `meter.${name}: must be a function; see Meter`));
}

/** Reads the options of a method. Throws OPTIONS_INVALID, listing every problem. */
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
    problems.push(`${method}: reading the options threw: ${messageOf(cause)}`);
  }
  throw invalid(problems);
}

/** A time from 0 to `max`. Fractions are allowed, since such times are often the remainder of another. */
function milliseconds(value: unknown, path: string, max: number, problems: string[]): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value;
  const orNone = max === Infinity ? ', or Infinity for no limit' : '';
  problems.push(`${path}: must be a number of milliseconds ≥ 0${orNone} (got ${shown(value)})`);
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
