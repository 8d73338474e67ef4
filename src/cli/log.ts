/**
 * The log on standard error. The same failure of the same upstream is told once a second, with a count: an upstream
 * that is down under load must not fill a disk.
 */
import type { Balancer } from '../balancer.ts';
import { messageOf } from '../guard.ts';
import { andMore, Throttle } from '../loop/throttle.ts';
import type { Report } from '../options/options.ts';
import { DEFAULT_POOL } from '../options/pools.ts';
import { placeOf } from './load.ts';

/** Takes reports and writes lines. */
export function reportLog(write: (line: string) => void, now: () => number): (report: Report) => void {
  const tell = throttled(write, now);
  return ({ error, upstream }) => {
    const { cause, code, message } = error;
    const what = cause instanceof Error ? `${message.replace(/\.$/, '')}: ${messageOf(cause)}` : message;
    // Of the user's own code, the place is what helps.
    const place = code === 'STRATEGY_FAILED' || code === 'HOOK_FAILED' ? placeOf(cause) : '';
    tell(`${code} ${upstream ?? ''}`, () => `${code}${upstream === undefined ? '' : ` ${upstream}`}: ${what}${place}`);
  };
}

/** Writes what operators want to know of a balancer, besides its reports: who serves, and who is turned away. */
export function logEvents(
  balancer: Pick<Balancer, 'on' | 'pools'>, write: (line: string) => void, now: () => number,
): void {
  const tell = throttled(write, now);
  balancer
    .on('ejected', ({ pool, upstream: { origin }, forMs, by, code, status }) => {
      // Peers are workers of ours: the one that found out tells of it.
      if (by === 'peers') return;
      const last = code ?? (status === undefined ? '' : `status ${status}`);
      const attempts = `too many of its attempts failed in a row${last === '' ? '' : `, the last with ${last}`}`;
      const why = by === 'probes' ? 'its probes failed' : attempts;
      const howLong = forMs === Infinity ? 'until its probes succeed' : `for ${seconds(forMs)}`;
      write(`${named(origin, pool)} is ejected ${howLong}: ${why}`);
    })
    .on('readmitted', ({ pool, upstream: { origin }, by }) => {
      const why = by === 'probes' ? 'its probes succeed' : 'it answers again';
      if (by !== 'peers') write(`${named(origin, pool)} is readmitted: ${why}`);
    })
    .on('refused', ({ status, code }) => {
      if (code === 'OVERLOADED') tell(code, () => `${code}: answered ${status}: everything is at its limits`);
      if (code !== 'NO_CANDIDATE') return;
      tell(code, () => {
        const pools = Object.values(balancer.pools);
        const states = pools.flatMap(({ upstreams }) => upstreams.map(({ state }) => state));
        const any = states.includes('active') || states.includes('trial');
        const strategies = [...new Set(pools.map(({ strategy }) => strategy))].join(' or ');
        const declined = `strategy ${strategies} declined, or what may be tried was tried`;
        const why = any ? declined : 'no upstream serves';
        return `${code}: answered ${status}: ${why}`;
      });
    });
}

/** Writes a line for each key once in a while, then with the count of those that it did not write. */
function throttled(write: (line: string) => void, now: () => number): (key: string, line: () => string) => void {
  const throttle = new Throttle(now);
  return (key, line) => {
    const untold = throttle.pass(key);
    if (untold !== undefined) write(`${line()}${andMore(untold)}`);
  };
}

/** An upstream, with its pool where that is not the one that every balancer of one pool has. */
function named(origin: string, pool: string): string {
  return pool === DEFAULT_POOL ? origin : `${origin} (pool ${pool})`;
}

function seconds(ms: number): string {
  return `${ms < 10_000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`;
}
