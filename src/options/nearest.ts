/**
 * Suggests what an unknown name was probably meant to be.
 */

/**
 * `' did you mean strategy?'`, or `''` if nothing is similar. Tries, in this order: the same name in another spelling,
 * what other programs call it, a few wrong letters, and names that contain it (`timeout`).
 */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known].map((each) => ({ each, plain: plain(each) }));
  const given = plain(name).slice(0, MAX_LENGTH);
  const same = names.find(({ plain: other }) => other === given);
  const ours = (Object.hasOwn(ELSEWHERE, given) ? ELSEWHERE[given] : undefined) ?? [];
  const elsewhere = ours.flatMap((each) => names.filter(({ plain: other }) => other === plain(each)))[0];
  const meant = same?.each ?? elsewhere?.each ?? nearest(given, names);
  if (meant !== undefined) return ` did you mean ${meant}?`;
  const containing = names.filter(({ plain: other }) => contains(other, given) || contains(given, other))
    .map(({ each }) => each).sort();
  const last = containing.pop();
  if (last === undefined) return '';
  return ` did you mean ${containing.length === 0 ? last : `${containing.join(', ')} or ${last}`}?`;
}

interface Name {
  readonly each: string;
  readonly plain: string;
}

/** The name with the smallest edit distance. Up to a third of the letters may be wrong. */
function nearest(given: string, names: readonly Name[]): string | undefined {
  let found: string | undefined;
  let least = Math.floor(given.length / 3) + 1;
  for (const { each, plain: other } of names) {
    const distance = edits(given, other);
    if (distance < least) [found, least] = [each, distance];
  }
  return found;
}

/** How many letters to insert, delete, replace or swap with their neighbour to turn `from` into `to`. */
function edits(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return last[to.length] ?? 0;
}

function contains(name: string, part: string): boolean {
  return part.length >= MIN_PART && name.includes(part);
}

/** Makes the spellings of one name equal: `pid-file`, `pid_file`, `PidFile`. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[-_ ]/g, '');
}

/** No known name is longer. */
const MAX_LENGTH = 40;
/** A shorter part would match too many names. */
const MIN_PART = 5;

/** Names in other programs, and ours for them. The first of ours that is known where the name was given is used. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  port: ['listen', 'origin'], p: ['listen'], bind: ['listen', 'host'], b: ['listen'],
  host: ['listen', 'origin'], hostname: ['listen', 'host', 'origin'], address: ['listen', 'origin', 'host'],
  url: ['origin', 'path', 'upstreams'], uri: ['origin', 'path', 'upstreams'], href: ['origin'],
  target: ['origin', 'upstreams'], endpoint: ['path', 'origin'], server: ['origin', 'upstreams'],
  socket: ['path'], unix: ['path', 'listen'],
  servers: ['upstreams'], backends: ['upstreams'], backend: ['upstreams'], targets: ['upstreams'],
  origins: ['upstreams'], nodes: ['upstreams'], hosts: ['upstreams'], proxy: ['upstreams'],
  algorithm: ['strategy', 'dispatch'], algo: ['strategy', 'dispatch'], method: ['strategy'],
  policy: ['strategy', 'dispatch'], balance: ['strategy'], balancer: ['strategy'], strategy: ['dispatch'],
  processes: ['workers'], instances: ['workers'], threads: ['workers'], cluster: ['workers'], i: ['workers'],
  conf: ['config'], file: ['config'], v: ['version'],
  retries: ['maxAttempts'], attempts: ['maxAttempts'], maxretries: ['maxAttempts'],
  grace: ['drainTimeout', 'drainTimeoutMs'],
  graceperiod: ['drainTimeout', 'drainTimeoutMs'],
  shutdowntimeout: ['drainTimeout', 'drainTimeoutMs'],
  maxconns: ['maxConnections', 'maxInFlight'], maxconn: ['maxConnections', 'maxInFlight'],
  maxconnections: ['maxInFlight'], concurrency: ['maxInFlight', 'workers'],
  labels: ['tags'], metadata: ['tags'], share: ['weight'],
  statuses: ['status'], statuscode: ['status'], code: ['status'], codes: ['status'], expect: ['status'],
  failures: ['fall', 'ejectAfter'], maxfails: ['ejectAfter', 'fall'], unhealthythreshold: ['fall'],
  successes: ['rise'], healthythreshold: ['rise'],
  logger: ['onReport', 'log'], log: ['onReport'], onerror: ['onReport'], trustproxy: ['trustForwarded'],
  xfwd: ['trustForwarded'], probe: ['healthCheck'],
};
