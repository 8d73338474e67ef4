/**
 * The log on standard error. The same failure of the same upstream is told once a second, with a count: an upstream
 * that is down under load must not fill a disk.
 */
import type { Report } from '../options.ts';

/** Takes reports and writes lines. */
export function reportLog(write: (line: string) => void, now: () => number): (report: Report) => void {
  const told = new Map<string, { at: number; unheard: number }>();
  return ({ error, upstream }) => {
    const key = `${error.code} ${upstream ?? ''}`;
    const last = told.get(key);
    const at = now();
    if (last !== undefined && at - last.at < QUIET_MS) {
      last.unheard++;
      return;
    }
    const more = last === undefined || last.unheard === 0 ? '' : ` (and ${last.unheard} more like it)`;
    // Keys are codes and upstreams: few, unless upstreams come and go for ever.
    if (told.size >= MAX_KEYS) told.clear();
    told.set(key, { at, unheard: 0 });
    const { cause, message } = error;
    const what = cause instanceof Error ? `${message.replace(/\.$/, '')}: ${cause.message}` : message;
    write(`${error.code}${upstream === undefined ? '' : ` ${upstream}`}: ${what}${more}`);
  };
}

const QUIET_MS = 1_000;
const MAX_KEYS = 10_000;
