/**
 * What can be said about an admin listener, and its check.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Channel } from '../../channel.ts';
import { BalancerError } from '../../errors.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import { isRecord, onlyKnown, optionalFunction, shown } from '../../options/checks.ts';
import { isSecret } from '../../options/secret.ts';
import type { Administered } from './administered.ts';
import type { Order } from './orders.ts';

export interface AdminOptions {
  readonly balancer: Administered;
  /** What answers `/metrics`: of `createMetrics`. Without it, `/metrics` is 404. */
  readonly metrics?: { readonly handle: (request: IncomingMessage, response: ServerResponse) => void };
  /** Connects the admin listeners of all workers: each then answers for all. Of `launch`: `channel('admin')`. */
  readonly channel?: Channel;
  /**
   * What requests must bring: `Authorization: Bearer <token>`, or Basic with the token as the password, as browsers do.
   * Without it everybody who reaches the listener may do everything. `/livez` and `/readyz` never need it.
   */
  readonly token?: string;
  /** Names that `Host` may have besides those of the loopback interface and the address that was connected to. */
  readonly hosts?: readonly string[];
  /** Makes `/readyz` fail before the balancer closes: `stopping` of a launch. */
  readonly stopping?: AbortSignal;
  /** What an admin drained or weighed before: the last value that `onOrders` got. */
  readonly orders?: readonly Order[];
  /** Takes all that is drained or weighed, whenever it changes: to keep it over a restart. */
  readonly onOrders?: (orders: readonly Order[]) => void;
  /** For tests: where time comes from. */
  readonly time?: TimeSource;
}

/** Throws OPTIONS_INVALID, with every problem in one message. */
export function checkAdmin(options: unknown): void {
  const problems: string[] = [];
  if (isRecord(options)) check(options, problems);
  else problems.push(`createAdmin: the options must be an object such as { balancer } (got ${shown(options)})`);
  if (problems.length > 0) throw new BalancerError('OPTIONS_INVALID', problems.join('\n'));
}

function check(options: Record<string, unknown>, problems: string[]): void {
  onlyKnown(options, '', KNOWN, problems);
  const { balancer, metrics, channel, token, hosts, stopping, orders, time } = options;
  const { on, pools } = (balancer ?? {}) as { readonly on?: unknown; readonly pools?: unknown };
  if (typeof on !== 'function' || !isRecord(pools)) {
    problems.push(`balancer: must be a balancer (got ${shown(balancer)})`);
  }
  if (metrics !== undefined && !hasMethod(metrics, 'handle')) {
    problems.push(`metrics: must be what createMetrics returned (got ${shown(metrics)})`);
  }
  if (channel !== undefined && !hasMethod(channel, 'join')) {
    problems.push(`channel: must be a channel, such as channel('admin') of a launch (got ${shown(channel)})`);
  }
  if (token !== undefined && !isSecret(token)) {
    problems.push('token: must be a string of visible ASCII characters, e.g. 32 random ones');
  }
  const areHosts = Array.isArray(hosts) && hosts.every((name) => typeof name === 'string' && HOST.test(name));
  if (hosts !== undefined && !areHosts) {
    problems.push(`hosts: must be a list of host names without ports, e.g. ['lb.example.com'] (got ${shown(hosts)})`);
  }
  if (stopping !== undefined && !(stopping instanceof AbortSignal)) {
    problems.push(`stopping: must be an AbortSignal (got ${shown(stopping)})`);
  }
  if (orders !== undefined && !Array.isArray(orders)) {
    problems.push(`orders: must be the list that onOrders got (got ${shown(orders)})`);
  }
  optionalFunction(options['onOrders'], 'onOrders', problems);
  if (time !== undefined && !isRecord(time)) problems.push(`time: must be a source of time (got ${shown(time)})`);
}

function hasMethod(value: unknown, name: string): boolean {
  return isRecord(value) && typeof value[name] === 'function';
}

const KNOWN: ReadonlySet<string> = new Set([
  'balancer', 'metrics', 'channel', 'token', 'hosts', 'stopping', 'orders', 'onOrders', 'time',
]);
/** A name, or an address without brackets. */
const HOST = /^[\w.:-]+$/;
