/**
 * What can be said about an access log, and its check.
 */
import { BalancerError } from '../errors.ts';
import type { BalancerEvents, Listener } from '../events.ts';
import { isRecord, onlyKnown, optionalFunction, shown } from '../options/checks.ts';
import type { LoggedExchange } from './logged-exchange.ts';

/** A balancer, as far as it is observed. */
export interface Observed {
  on<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): unknown;
  off<N extends keyof BalancerEvents>(event: N, listener: Listener<N>): unknown;
}

export interface AccessLogOptions {
  /**
   * The format of a line; default `json`. A function returns the line of an exchange; its control characters are
   * escaped, and the end of the line is added.
   */
  readonly format?: 'json' | 'common' | 'combined' | ((exchange: LoggedExchange) => string);
  /**
   * Takes whole lines: after a pause those of one turn of the event loop, under load those of 20 ms, or 256 KiB.
   * Returning a promise keeps further lines back until it settles. Returning false, as a stream's `write` does when its
   * buffer is full, keeps them back until `write('')` returns something else; it is asked up to a hundred times a
   * second.
   */
  readonly write: (lines: string) => unknown;
  /**
   * Headers to log with `json`: those of a list as they are, by their names; or, with true, all of them, but
   * `authorization`, `proxy-authorization`, `cookie`, `set-cookie` and `x-api-key` as `[redacted]`. Default: none.
   */
  readonly headers?: readonly string[] | true;
  /** Whether to log an exchange. Default: all. */
  readonly sample?: (exchange: LoggedExchange) => boolean;
}

export interface AccessLog {
  /**
   * Hands the lines that are kept to `write` at once, even while a promise that it returned is pending. Call it in a
   * listener of the process's 'exit', which has no time for `close`. What `write` then throws is not reported.
   */
  flush(): void;
  /** Stops, and resolves when `write` has taken what was kept. */
  close(): Promise<void>;
}

/** Throws OPTIONS_INVALID, with every problem in one message. */
export function checkAccessLog(balancer: unknown, options: unknown): void {
  const problems: string[] = [];
  const { on, off } = (balancer ?? {}) as { readonly on?: unknown; readonly off?: unknown };
  if (typeof on !== 'function' || typeof off !== 'function') {
    problems.push(`accessLog: the first argument must be a balancer (got ${shown(balancer)})`);
  }
  if (isRecord(options)) check(options, problems);
  else problems.push(`accessLog: the options must be an object (got ${shown(options)})`);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
}

function check(options: Record<string, unknown>, problems: string[]): void {
  onlyKnown(options, '', KNOWN, problems);
  const { format = 'json', write, headers } = options;
  if (typeof format !== 'function' && !FORMATS.includes(format)) {
    problems.push(`format: must be json, common, combined or a function (got ${shown(format)})`);
  }
  if (typeof write !== 'function') problems.push(`write: must be a function that takes lines (got ${shown(write)})`);
  optionalFunction(options['sample'], 'sample', problems);
  if (headers === undefined) return;
  const named = Array.isArray(headers) && headers.every((name) => typeof name === 'string' && NAME.test(name));
  if (headers !== true && !named) {
    problems.push(`headers: must be true or a list of names such as ['user-agent'] (got ${shown(headers)})`);
  } else if (format !== 'json') problems.push("headers: needs the format 'json'; leave it out");
}

const KNOWN: ReadonlySet<string> = new Set(['format', 'write', 'headers', 'sample']);
const FORMATS: readonly unknown[] = ['json', 'common', 'combined'];
/** A field name (RFC 9110 §5.1). */
const NAME = /^[\w!#$%&'*+.^`|~-]+$/;
