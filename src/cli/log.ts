/**
 * The log on standard error. The same failure of the same upstream is logged once per second, with a count: an upstream
 * that is down under load must not fill the disk.
 */
import type { Balancer } from '../balancer.ts';
import { messageOf } from '../guard.ts';
import { andMore, Throttle } from '../loop/throttle.ts';
import type { Report } from '../options/options.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import type { ProxyRefusal } from '../proxy-protocol/options.ts';
import { placeOf } from './load.ts';
import type { Facts, Log } from './log-line.ts';

/** Returns an `onReport` that writes each report as a line. */
export function reportLog(write: Log, now: () => number): (report: Report) => void {
  const tell = throttled(write, now);
  return ({ error, upstream, requestId }) => {
    const { cause, code, message, source } = error;
    const what = cause instanceof Error ? `${message.replace(/\.$/, '')}: ${messageOf(cause)}` : message;
    // For a fault in the user's code, the place helps most.
    const place = code === 'STRATEGY_FAILED' || code === 'HOOK_FAILED' ? placeOf(cause) : '';
    const where = upstream === undefined ? code : `${code} ${upstream}`;
    const request = requestId === undefined ? '' : ` (request ${requestId})`;
    tell(`${code} ${upstream ?? ''}`, () => `${where}: ${what}${place}${request}`, {
      event: 'failure', level: source === 'internal' ? 'error' : 'warn', code, upstream, requestId, reason: what,
    });
  };
}

/** Returns an `onRefused` that writes why connections were closed for their PROXY headers, or the lack of one. */
export function refusalLog(write: Log, now: () => number): (refusal: ProxyRefusal) => void {
  const tell = throttled(write, now);
  return ({ reason, message }) => {
    tell(reason, () => `PROXY protocol: ${message}${reason === 'untrusted' ? ' (see --proxy-protocol)' : ''}`,
      { event: 'proxy-protocol', level: 'warn', reason });
  };
}

/** Logs ejections, readmissions, and refused requests or, in layer 4, connections, which are not reports. */
export function logEvents(
  balancer: Pick<Balancer, 'on' | 'pools'>, write: Log, now: () => number, tcp = false,
): void {
  const tell = throttled(write, now);
  const did = (status: number): string => tcp ? 'reset a connection' : `answered ${status}`;
  balancer
    .on('ejected', ({ pool, upstream: { origin }, forMs, by, code, status }) => {
      // Peers are our other workers: the one that ejected it logs that.
      if (by === 'peers') return;
      const last = code ?? (status === undefined ? '' : `status ${status}`);
      const attempts = `too many of its attempts failed in a row${last === '' ? '' : `, the last with ${last}`}`;
      const why = by === 'probes' ? 'its probes failed' : attempts;
      const howLong = forMs === Infinity ? 'until its probes succeed' : `for ${seconds(forMs)}`;
      write(`${named(origin, pool)} is ejected ${howLong}: ${why}`, {
        event: 'ejected', level: 'warn', pool, upstream: origin, by, code, status, reason: why,
        forMs: forMs === Infinity ? undefined : Math.round(forMs),
      });
    })
    .on('readmitted', ({ pool, upstream: { origin }, by }) => {
      const why = by === 'probes' ? 'its probes succeed' : 'it responds again';
      if (by === 'peers') return;
      write(`${named(origin, pool)} is readmitted: ${why}`, {
        event: 'readmitted', pool, upstream: origin, by, reason: why,
      });
    })
    .on('refused', ({ status, code }) => {
      const facts: Facts = { event: 'refused', level: 'warn', code, status };
      if (code === 'OVERLOADED') tell(code, () => `${code}: ${did(status)}: all limits are reached`, facts);
      if (code !== 'NO_CANDIDATE') return;
      tell(code, () => {
        const pools = Object.values(balancer.pools);
        const states = pools.flatMap(({ upstreams }) => upstreams.map(({ state }) => state));
        const any = states.includes('active') || states.includes('trial');
        const strategies = [...new Set(pools.map(({ strategy }) => strategy))].join(' or ');
        const declined = `strategy ${strategies} declined, or every candidate was tried`;
        const why = any ? declined : 'no upstream is available';
        return `${code}: ${did(status)}: ${why}`;
      }, facts);
    });
}

/** Writes at most one line per second for each key, with the count of those left out. */
function throttled(write: Log, now: () => number): (key: string, line: () => string, facts: Facts) => void {
  const throttle = new Throttle(now);
  return (key, line, facts) => {
    const untold = throttle.pass(key);
    if (untold === undefined) return;
    write(`${line()}${andMore(untold)}`, untold === 0 ? facts : { ...facts, more: untold });
  };
}

/** An upstream, with its pool where that is not the one that every balancer of one pool has. */
function named(origin: string, pool: string): string {
  return pool === DEFAULT_POOL ? origin : `${origin} (pool ${pool})`;
}

function seconds(ms: number): string {
  return `${ms < 10_000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;
}
