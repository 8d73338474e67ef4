/**
 * Routes and the names of pools, checked and completed. Each problem is told with its path and how to fix it.
 */
import { messageOf } from '../guard.ts';
import { isRecord, onlyKnown, shown } from './checks.ts';
import { isToken, type Side, trimmedValue, valueProblem, type Write, writeProblem } from './header-rules.ts';
import { readLimits } from './limits.ts';
import { didYouMean } from './nearest.ts';
import type { HeaderEdit, ParsedRoute, Rewrite, RouteAction } from './parsed-route.ts';
import { hostProblem, redirectProblem, routeHost, routeMethods, routePath } from './route-parts.ts';
import { unreachable } from './unreachable-routes.ts';

/** The names of `pools`, each to be used in routes and in metrics; undefined where there is something else. */
export function readPoolNames(value: unknown, problems: string[]): ReadonlySet<string> | undefined {
  if (!isRecord(value)) {
    const must = 'must be an object of pools by their names, e.g. { web: { upstreams: [...] } }';
    problems.push(`pools: ${must} (got ${shown(value)})`);
    return undefined;
  }
  const names = Object.keys(value);
  if (names.length === 0) problems.push('pools: must have a pool; for one without a name, give upstreams instead');
  for (const name of names) {
    if (!POOL_NAME.test(name)) {
      problems.push(`pools: the name ${shown(name)} must be 1 to 63 letters, digits, dots, hyphens or underscores, ` +
        'and start with a letter or a digit');
    }
  }
  return new Set(names);
}

/** The routes, checked. `pools` are the pools that there are; undefined where those have problems of their own. */
export function readRoutes(
  value: unknown, pools: ReadonlySet<string> | undefined, problems: string[],
): readonly ParsedRoute[] {
  if (!Array.isArray(value)) {
    problems.push(`routes: must be a list of routes, e.g. [{ path: '/api/', pool: 'api' }] (got ${shown(value)})`);
    return [];
  }
  const parsed: { readonly route: ParsedRoute; readonly index: number }[] = [];
  for (let index = 0; index < value.length; index++) {
    const before = problems.length;
    const path = `routes[${index}]`;
    try {
      const route = readRoute(value[index], path, pools, problems);
      if (route !== undefined && problems.length === before) parsed.push({ route, index });
    } catch (cause) {
      problems.push(`${path}: reading this threw: ${messageOf(cause)}`);
    }
  }
  unreachable(parsed, problems);
  return parsed.map(({ route }) => route);
}

function readRoute(
  value: unknown, path: string, pools: ReadonlySet<string> | undefined, problems: string[],
): ParsedRoute | undefined {
  if (!isRecord(value)) {
    problems.push(`${path}: must be an object such as { path: '/api/', pool: 'api' } (got ${shown(value)})`);
    return undefined;
  }
  // Read once: a getter may give something else each time.
  const given = { ...value };
  onlyKnown(given, `${path}.`, KNOWN, problems);
  const host = routeHost(given['host'], `${path}.host`, problems);
  const prefix = routePath(given['path'], `${path}.path`, problems);
  return {
    host,
    path: prefix,
    methods: routeMethods(given['methods'], `${path}.methods`, problems),
    action: action(given, path, prefix, pools, problems),
    limits: given['limits'] === undefined ? undefined : readLimits(given['limits'], `${path}.limits`, problems),
    requestHeaders: headerEdits(given['requestHeaders'], `${path}.requestHeaders`, 'request', problems),
    responseHeaders: headerEdits(given['responseHeaders'], `${path}.responseHeaders`, 'response', problems),
  };
}

type Given = Readonly<Record<string, unknown>>;

function action(
  given: Given, path: string, prefix: string, pools: ReadonlySet<string> | undefined, problems: string[],
): RouteAction {
  const kinds = KINDS.filter((kind) => given[kind] !== undefined);
  if (kinds.length > 1) problems.push(`${path}: has ${kinds.join(' and ')}; a route has one of them`);
  const [kind = 'pool'] = kinds;
  if (kind !== 'pool') {
    for (const name of ONLY_WITH_POOL) {
      if (given[name] !== undefined) problems.push(`${path}.${name}: only a route with a pool has it; leave it out`);
    }
  }
  if (kind !== 'redirect' && given['status'] !== undefined) {
    const instead = kind === 'answer' ? 'write answer.status' : 'a pool answers with its own';
    problems.push(`${path}.status: is that of a redirect; ${instead}`);
  }
  switch (kind) {
    case 'redirect': return redirect(given, path, problems);
    case 'answer': return answer(given['answer'], `${path}.answer`, problems);
    case 'pool': return toPool(given, path, prefix, pools, problems);
  }
}

function toPool(
  given: Given, path: string, prefix: string, pools: ReadonlySet<string> | undefined, problems: string[],
): RouteAction {
  const { pool: name = 'default' } = given;
  const pool = typeof name === 'string' ? name : '';
  if (typeof name !== 'string') problems.push(`${path}.pool: must be the name of a pool (got ${shown(name)})`);
  else if (pools?.has(pool) === false) {
    const names = [...pools].join(', ');
    const meant = didYouMean(pool, pools);
    problems.push(given['pool'] === undefined
      ? `${path}.pool: is missing, and there is no pool default; name one (${names}), or give redirect or answer`
      : `${path}.pool: there is no pool ${shown(pool)}${meant === '' ? '' : `;${meant}`} (pools: ${names})`);
  }
  return { kind: 'pool', pool, rewrite: rewriting(given, path, prefix, problems) };
}

function rewriting(
  { stripPrefix, rewrite }: Given, path: string, prefix: string, problems: string[],
): Rewrite | undefined {
  if (stripPrefix !== undefined && rewrite !== undefined) {
    problems.push(`${path}: has stripPrefix and rewrite; to replace the prefix, write rewrite alone`);
  }
  if (rewrite !== undefined) {
    routePath(rewrite, `${path}.rewrite`, problems);
    return { cut: prefix.length, put: typeof rewrite === 'string' ? rewrite : '/' };
  }
  if (stripPrefix === undefined) return undefined;
  const at = `${path}.stripPrefix`;
  const before = problems.length;
  const stripped = routePath(stripPrefix, at, problems);
  if (problems.length === before) {
    if (stripped === '') problems.push(`${at}: strips nothing; leave it out`);
    else if (!`${prefix}/`.startsWith(`${stripped}/`)) {
      const must = prefix === '' ? 'path, which is missing' : `path, ${shown(prefix)}`;
      problems.push(`${at}: must be the start of ${must}, by whole segments (got ${shown(stripPrefix)})`);
    }
  }
  return { cut: stripped.length, put: '' };
}

function redirect({ redirect: to, status = 308 }: Given, path: string, problems: string[]): RouteAction {
  const problem = redirectProblem(to);
  if (problem !== undefined) problems.push(`${path}.redirect: ${problem}`);
  if (!REDIRECTS.includes(status as number)) {
    problems.push(`${path}.status: must be 301, 302, 303, 307 or 308 (got ${shown(status)}); the default is 308`);
  }
  return { kind: 'redirect', status: status as number, location: String(to) };
}

function answer(value: unknown, path: string, problems: string[]): RouteAction {
  const given = isRecord(value) ? { ...value } : {};
  if (!isRecord(value)) {
    problems.push(`${path}: must be an object such as { status: 200, body: 'ok\\n' } (got ${shown(value)})`);
  }
  onlyKnown(given, `${path}.`, KNOWN_OF_ANSWER, problems);
  const { status = 200, body = '', headers } = given;
  if (!(Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599)) {
    problems.push(`${path}.status: must be an integer from 200 to 599 (got ${shown(status)}); the default is 200`);
  }
  if (typeof body !== 'string') problems.push(`${path}.body: must be a string (got ${shown(body)})`);
  else if (body !== '' && BODILESS.includes(status as number)) {
    problems.push(`${path}.body: a response of status ${String(status)} has no body; leave it out`);
  }
  const edits = headerEdits(headers, `${path}.headers`, 'response', problems, 'append');
  let fields = '';
  for (const { name, value: text } of edits) fields += `${name}: ${text ?? ''}\r\n`;
  if (body !== '' && !edits.some(({ name }) => name.toLowerCase() === 'content-type')) {
    fields += 'content-type: text/plain; charset=utf-8\r\n';
  }
  return { kind: 'answer', status: status as number, fields, body: String(body) };
}

/** Headers to write, by their names. With `append`, for a head that has none yet, there is nothing to remove. */
function headerEdits(
  value: unknown, path: string, side: Side, problems: string[], how: Write = 'set',
): readonly HeaderEdit[] {
  if (value === undefined) return NO_EDITS;
  if (!isRecord(value)) {
    problems.push(`${path}: must be an object of headers by their names (got ${shown(value)})`);
    return NO_EDITS;
  }
  const edits: HeaderEdit[] = [];
  const places = new Map<string, string>();
  for (const [name, text] of Object.entries(value)) {
    const lower = name.toLowerCase();
    const at = `${path}[${shown(name)}]`;
    const fixed = isToken(name) ? writeProblem(lower, side, text === null ? 'delete' : how) : undefined;
    const same = places.get(lower);
    places.set(lower, name);
    if (!isToken(name)) problems.push(`${at}: a header name must be a token such as 'x-user'`);
    else if (fixed !== undefined) problems.push(`${at}: ${fixed}`);
    else if (same !== undefined) problems.push(`${at}: is the same header as ${shown(same)}; leave one out`);
    else if (typeof text === 'string') {
      const sent = trimmedValue(text);
      const problem = valueProblem(sent) ?? (lower === 'host' && side === 'request' ? hostProblem(sent) : undefined);
      if (problem === undefined) edits.push({ name, value: sent });
      else problems.push(`${at}: ${problem}`);
    } else if (text === null && how === 'set') edits.push({ name, value: null });
    else problems.push(`${at}: must be a string${how === 'set' ? ', or null to remove it' : ''} (got ${shown(text)})`);
  }
  return edits;
}

const NO_EDITS: readonly HeaderEdit[] = [];
const KINDS = ['pool', 'redirect', 'answer'] as const;
const ONLY_WITH_POOL = ['stripPrefix', 'rewrite', 'limits', 'requestHeaders', 'responseHeaders'] as const;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** RFC 9110 §§15.3.5, 15.3.6, 15.4.5. */
const BODILESS: readonly number[] = [204, 205, 304];
const KNOWN: ReadonlySet<string> = new Set(['host', 'path', 'methods', ...KINDS, ...ONLY_WITH_POOL, 'status']);
const KNOWN_OF_ANSWER: ReadonlySet<string> = new Set(['status', 'headers', 'body']);
/** A segment of a path, and a label of a metric, without quotes. */
const POOL_NAME = /^[A-Za-z0-9][\w.-]{0,62}$/;
