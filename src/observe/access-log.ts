/**
 * The access log: a line for each exchange of a balancer, and for each request that was refused unread.
 */
import type { Listener } from '../events.ts';
import { guardedValue } from '../guard.ts';
import { type AccessLog, type AccessLogOptions, checkAccessLog, type Observed } from './access-log-options.ts';
import { oneLine } from './escape.ts';
import { combined, common, type Format, jsonFormat, textFormat } from './formats.ts';
import { LineQueue } from './line-queue.ts';
import { type LoggedExchange, loggedUnread } from './logged-exchange.ts';

/**
 * Logs the exchanges of `balancer` from now on. What `write`, `format` or `sample` throws is reported by the balancer,
 * as the fault of a listener. Throws OPTIONS_INVALID.
 */
export function accessLog(balancer: Observed, options: AccessLogOptions): AccessLog {
  checkAccessLog(balancer, options);
  const { write } = options;
  const encoding = typeof options.format === 'function' ? 'utf8' : 'latin1';
  return logTo(balancer, options, (lines) => write(lines.toString(encoding)));
}

/**
 * As `accessLog`, for a `write` that takes octets. It may keep them until the promise that it returns settles; then
 * their memory is used again. `failed`, if given, hears of faults in place of the balancer.
 */
export function logTo(
  balancer: Observed, options: Omit<AccessLogOptions, 'write'>, write: (lines: Buffer) => unknown,
  failed?: (fault: unknown) => void,
): AccessLog {
  const lines = new Lines(options, write);
  const log = (exchange: LoggedExchange): Promise<unknown> | undefined => {
    const batch = lines.log(exchange);
    return failed === undefined ? batch : batch?.catch(failed);
  };
  const finished: Listener<'finished'> = (exchange) => log(exchange);
  const unread: Listener<'unread'> = (request) => log(loggedUnread(request));
  balancer.on('finished', finished);
  balancer.on('unread', unread);
  return {
    flush: () => {
      lines.flush();
    },
    close: async () => {
      balancer.off('finished', finished);
      balancer.off('unread', unread);
      await lines.close();
    },
  };
}

class Lines {
  readonly #options: Omit<AccessLogOptions, 'write'>;
  /** Undefined if the user has one. */
  readonly #format: Format | undefined;
  readonly #queue: LineQueue;
  /** What `sample` or `format` did wrong with the current exchange. */
  #fault: Error | undefined;

  constructor(options: Omit<AccessLogOptions, 'write'>, write: (lines: Buffer) => unknown) {
    const { format = 'json', headers } = options;
    this.#options = options;
    if (format === 'json') this.#format = jsonFormat(headers);
    else if (typeof format !== 'function') this.#format = textFormat(format === 'common' ? common : combined);
    this.#queue = new LineQueue(write, (count) => {
      const text = `access log: ${count} ${count === 1 ? 'line' : 'lines'} lost`;
      return format === 'json' ? JSON.stringify({ message: text }) : text;
    });
  }

  /** Adds a line. The promise, if there is one, rejects for a fault of the user's functions. */
  log(exchange: LoggedExchange): Promise<unknown> | undefined {
    const { sample } = this.#options;
    this.#fault = undefined;
    if (sample !== undefined && !this.#wants(sample, exchange)) return undefined;
    const batch = this.#write(exchange) ? this.#queue.add() : undefined;
    const fault = this.#fault as Error | undefined;
    return fault === undefined ? batch : Promise.all([batch, Promise.reject(fault)]);
  }

  flush(): void {
    this.#queue.flush();
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  #wants(sample: (exchange: LoggedExchange) => boolean, exchange: LoggedExchange): boolean {
    const wanted: unknown = this.#guarded('sample', () => sample(exchange));
    // If it fails, a line too many is better than one that is missing.
    return Boolean(wanted) || this.#fault !== undefined;
  }

  /** Writes the line. Returns false if there is none, for a fault of the user's function. */
  #write(exchange: LoggedExchange): boolean {
    const { line } = this.#queue;
    // What an exception has left of the line before.
    line.drop();
    if (this.#format !== undefined) {
      this.#format(exchange, line);
      return true;
    }
    const text = this.#foreignLine(exchange);
    if (text !== undefined) line.utf8(text);
    return text !== undefined;
  }

  /** The line of a user's function. */
  #foreignLine(exchange: LoggedExchange): string | undefined {
    const { format } = this.#options;
    const line: unknown = this.#guarded('format', () => typeof format === 'function' ? format(exchange) : undefined);
    if (typeof line === 'string') return oneLine(line);
    this.#fault ??= new Error('access log: format must return a string');
    return undefined;
  }

  #guarded<T>(name: string, call: () => T): T | undefined {
    return guardedValue(call, (what, cause) => {
      this.#fault = new Error(`access log: ${name} ${what}`, { cause });
    });
  }
}
