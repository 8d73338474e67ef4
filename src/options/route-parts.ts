/**
 * The parts of a route, each checked by itself: which hosts, paths and methods it takes, and where it redirects to.
 */
import { shown } from './checks.ts';
import { hasDotSegments } from './dot-segments.ts';
import { isToken } from './header-rules.ts';

/** A host, or `*.` and one, in lower case, without a dot at its end; `''` where none is given. */
export function routeHost(value: unknown, path: string, problems: string[]): string {
  if (value === undefined) return '';
  const host = typeof value === 'string' ? value.toLowerCase().replace(/\.$/, '') : '';
  if (HOST.test(host) && host.length <= MAX_HOST) return host;
  const must = 'must be a host such as \'api.example.com\' or \'*.example.com\'';
  problems.push(`${path}: ${must} (got ${shown(value)})${hint(value)}`);
  return '';
}

/** What somebody probably meant by a host that is none. */
function hint(value: unknown): string {
  if (typeof value !== 'string') return Array.isArray(value) ? '; write a route for each host' : '';
  if (value === '*') return '; leave it out for every host';
  if (value.includes('*')) return '; a * stands for the first labels only, e.g. \'*.example.com\'';
  const bare = value.includes('://') ? value : `http://${value}`;
  try {
    // Also the ASCII form of a name in other letters.
    const { hostname } = new URL(bare);
    return HOST.test(hostname) ? `; write '${hostname}'` : '';
  } catch {
    return '';
  }
}

/** Why this cannot be sent as Host, with or without a port. */
export function hostProblem(value: string): string | undefined {
  const host = value.toLowerCase().replace(/:\d{1,5}$/, '');
  if (HOST.test(host) && !host.startsWith('*')) return undefined;
  return `must be a host such as 'api.example.com' or 'api.example.com:8080' (got ${shown(value)})`;
}

/** A path prefix without the slash at its end; `''` for `/`, and where none is given. */
export function routePath(value: unknown, path: string, problems: string[]): string {
  if (value === undefined) return '';
  if (typeof value !== 'string' || !value.startsWith('/')) {
    problems.push(`${path}: must be a path such as '/api/' (got ${shown(value)})`);
    return '';
  }
  const problem = pathProblem(value);
  if (problem === undefined) return value.replace(/\/$/, '');
  problems.push(`${path}: ${problem}`);
  return '';
}

function pathProblem(value: string): string | undefined {
  if (value.endsWith('*')) {
    return `matches what starts with it, so it needs no *; write '${value.replace(/\*+$/, '')}' (got ${shown(value)})`;
  }
  if (/[?#]/.test(value)) return `must have no ? and no # (got ${shown(value)})`;
  if (!/^[\x21-\x7e]*$/.test(value)) {
    return `must be visible ASCII, as it is sent (got ${shown(value)})${encoded(value)}`;
  }
  if (hasDotSegments(value)) return `must have no dot segments: a target that has any gets 400 (got ${shown(value)})`;
  return undefined;
}

function encoded(path: string): string {
  try {
    return `; write '${encodeURI(path)}'`;
  } catch {
    // A lone surrogate has no encoding.
    return '';
  }
}

/** Methods, HEAD among them where GET is; undefined where none are given. */
export function routeMethods(value: unknown, path: string, problems: string[]): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const methods: readonly unknown[] = Array.isArray(value) ? value : [];
  if (methods.length === 0) {
    const must = 'must be a list such as [\'GET\', \'POST\']';
    problems.push(`${path}: ${must} (got ${shown(value)}); leave it out for every method`);
  }
  for (const method of methods) {
    if (typeof method !== 'string' || !isToken(method)) problems.push(`${path}: ${shown(method)} is not a method`);
    else if (method === 'CONNECT') problems.push(`${path}: CONNECT is answered 501 before any route; leave it out`);
    else if (method !== method.toUpperCase()) {
      problems.push(`${path}: methods are in upper case; write '${method.toUpperCase()}' (got ${shown(method)})`);
    }
  }
  const all = new Set(methods.map(String));
  if (all.has('GET')) all.add('HEAD');
  return [...all];
}

/** Why a request cannot be redirected there. */
export function redirectProblem(value: unknown): string | undefined {
  const must = 'must be a URL such as \'https://example.com/new/\', or a path such as \'/new/\'';
  if (typeof value !== 'string') return `${must} (got ${shown(value)})`;
  if (!/^[\x21-\x7e]+$/.test(value)) return `${must}, in visible ASCII (got ${shown(value)})`;
  // Browsers take `//host` and `/\host` for another server.
  const known = /^https?:\/\/[^/]/i.test(value) ? URL.canParse(value) : /^\/(?![/\\])/.test(value);
  if (!known) return `${must} (got ${shown(value)})`;
  return /[?#]/.test(value)
    ? `must have no ? and no #, since the rest of the target is appended (got ${shown(value)})` : undefined;
}

/** Labels of letters, digits, hyphens and underscores; an IPv6 address in brackets. */
const HOST = /^(?:(?:\*\.)?[a-z0-9_](?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*|\[[0-9a-f:.]+\])$/;
/** RFC 1035 §2.3.4. */
const MAX_HOST = 255;
