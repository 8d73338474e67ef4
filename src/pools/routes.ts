/**
 * Which pool, or answer, a request goes to: the routes, compiled so that a request looks up its host and the starts of
 * its path, however many routes there are. Nothing is allocated to match.
 */
import { nameIs } from '../http1/grammar.ts';
import { hasDotSegments } from '../options/dot-segments.ts';
import type { ParsedRoute } from '../options/parsed-route.ts';

/** Why no route was found: none matches, or the target has dot segments, by which it would get past a path. */
export type NoRoute = 'NO_ROUTE' | 'DOT_SEGMENTS';

/** The routes of a balancer. Never changed: others are compiled anew. */
export class Routes {
  readonly #list: readonly ParsedRoute[];
  /** Of routes for every host. */
  readonly #everywhere: Paths;
  /** By the hash of the host, read from its end. */
  readonly #hosts: Buckets<Keyed<Paths>> = new Map();
  /** By the hash of what follows the `*`, which starts with a dot. */
  readonly #wildcards: Buckets<Keyed<Paths>> = new Map();
  readonly #longestHost: number = 0;
  readonly #hasPaths: boolean;

  constructor(routes: readonly ParsedRoute[]) {
    this.#list = routes;
    this.#everywhere = new Paths(routes);
    this.#hasPaths = routes.some(({ path }) => path !== '');
    for (let i = 0; i < routes.length; i++) {
      const { host = '', path = '' } = routes[i] ?? {};
      const wildcard = host.startsWith('*.');
      const key = wildcard ? host.slice(1) : host;
      const table = wildcard ? this.#wildcards : this.#hosts;
      if (host === '') this.#everywhere.add(path, i);
      else entryOf(table, key, hashFromEnd(key), () => new Paths(routes)).add(path, i);
      this.#longestHost = Math.max(this.#longestHost, key.length);
    }
  }

  /**
   * The first route that matches. `host` is the request's, with or without a port, in whatever case; `target` is in
   * origin-form or `*`: only routes without a path take what does not start with a slash.
   */
  match(method: string, host: string, target: string): ParsedRoute | NoRoute {
    if (this.#hasPaths && hasDotSegments(target)) return 'DOT_SEGMENTS';
    let first = this.#everywhere.first(method, target, this.#list.length);
    if (this.#longestHost > 0) first = this.#byHost(method, host, target, first);
    return this.#list[first] ?? 'NO_ROUTE';
  }

  /** The place of the first route that matches by its host, or `best` where that comes before. */
  #byHost(method: string, host: string, target: string, best: number): number {
    const end = nameEnd(host);
    let first = best;
    let hash = HASH_START;
    for (let at = end - 1; at >= 0; at--) {
      if (end - at > this.#longestHost) return first;
      const c = host.charCodeAt(at);
      hash = hashed(hash, c >= 0x41 && c <= 0x5a ? c | 0x20 : c);
      if (c === DOT && at > 0) {
        const found = hostIn(this.#wildcards, hash, host, at, end);
        if (found !== undefined) first = found.first(method, target, first);
      }
    }
    const found = hostIn(this.#hosts, hash, host, 0, end);
    return found === undefined ? first : found.first(method, target, first);
  }
}

/** The target that a pool is asked for. */
export function sentTarget({ action }: ParsedRoute, target: string): string {
  if (action.kind !== 'pool' || action.rewrite === undefined || target.charCodeAt(0) !== SLASH) return target;
  const { cut, put } = action.rewrite;
  return withRest(put === '' ? '/' : put, target, cut);
}

/** Where a request is redirected to; `''` where the route does not redirect. */
export function redirectTarget({ action, path }: ParsedRoute, target: string): string {
  if (action.kind !== 'redirect') return '';
  if (target.charCodeAt(0) !== SLASH) return action.location;
  let rest = path.length;
  // Behind a path that ends with a slash, another one would name another server, also as a backslash.
  while (isSlash(target.charCodeAt(rest)) && isSlash(target.charCodeAt(rest + 1))) rest++;
  if (target.charCodeAt(rest) === BACKSLASH) return withRest(action.location, `/${target.slice(rest + 1)}`, 0);
  return withRest(action.location, target, rest);
}

/** What follows `from` in the target, behind `start`, with one slash between them. */
function withRest(start: string, target: string, from: number): string {
  const rest = from === 0 ? target : target.slice(from);
  return rest.charCodeAt(0) === SLASH && start.endsWith('/') ? start.slice(0, -1) + rest : start + rest;
}

function isSlash(c: number): boolean {
  return c === SLASH || c === BACKSLASH;
}

/** Where the name in a Host ends: before its port, and before a dot at its end. */
function nameEnd(host: string): number {
  const colon = host.charCodeAt(0) === BRACKET ? host.indexOf(':', host.indexOf(']')) : host.indexOf(':');
  const end = colon < 0 ? host.length : colon;
  return end > 1 && host.charCodeAt(end - 1) === DOT ? end - 1 : end;
}

/** The routes of one host by their paths. */
class Paths {
  readonly #routes: readonly ParsedRoute[];
  /** The places of the routes that take every target, in order. */
  readonly #all: number[] = [];
  readonly #starts: Buckets<Keyed<number[]>> = new Map();
  #longest = 0;

  constructor(routes: readonly ParsedRoute[]) {
    this.#routes = routes;
  }

  /** Adds the route at `place`, which is behind all that were added before. */
  add(path: string, place: number): void {
    if (path === '') this.#all.push(place);
    else entryOf(this.#starts, path, hashFromStart(path), () => []).push(place);
    this.#longest = Math.max(this.#longest, path.length);
  }

  /** The place of the first route that takes the request, or `best` where that comes before. */
  first(method: string, target: string, best: number): number {
    let first = this.#firstOf(this.#all, method, best);
    if (this.#longest === 0 || target.charCodeAt(0) !== SLASH) return first;
    const end = target.length;
    let hash = hashed(HASH_START, SLASH);
    // No start of the path is longer than the longest of the routes.
    for (let at = 1; at <= this.#longest; at++) {
      const c = at < end ? target.charCodeAt(at) : QUERY;
      if (c === SLASH || c === QUERY) {
        const places = this.#at(hash, target, at);
        if (places !== undefined) first = this.#firstOf(places, method, first);
        if (c === QUERY) break;
      }
      hash = hashed(hash, c);
    }
    return first;
  }

  /** The places of the routes whose path is the first `length` octets of the target. */
  #at(hash: number, target: string, length: number): readonly number[] | undefined {
    const bucket = this.#starts.get(keyOf(hash));
    if (bucket === undefined) return undefined;
    for (const { key, value } of bucket) if (key.length === length && target.startsWith(key)) return value;
    return undefined;
  }

  #firstOf(places: readonly number[], method: string, best: number): number {
    for (const place of places) {
      if (place >= best) return best;
      const methods = this.#routes[place]?.methods;
      if (methods === undefined || methods.includes(method)) return place;
    }
    return best;
  }
}

/** Entries by the hash of their keys: only keys of ours are in it, so no request can fill a bucket. */
type Buckets<E> = Map<number, E[]>;

interface Keyed<V> {
  readonly key: string;
  readonly value: V;
}

/** The value of a key, made where there is none. */
function entryOf<V>(buckets: Buckets<Keyed<V>>, key: string, hash: number, make: () => V): V {
  let bucket = buckets.get(keyOf(hash));
  if (bucket === undefined) buckets.set(keyOf(hash), bucket = []);
  const found = bucket.find((one) => one.key === key);
  if (found !== undefined) return found.value;
  const value = make();
  bucket.push({ key, value });
  return value;
}

/** The paths of the host that stands from `from` to `to`. */
function hostIn(
  buckets: Buckets<Keyed<Paths>>, hash: number, host: string, from: number, to: number,
): Paths | undefined {
  const bucket = buckets.get(keyOf(hash));
  if (bucket === undefined) return undefined;
  for (const { key, value } of bucket) if (key.length === to - from && nameIs(host, from, key)) return value;
  return undefined;
}

function hashFromStart(text: string): number {
  let hash = HASH_START;
  for (let at = 0; at < text.length; at++) hash = hashed(hash, text.charCodeAt(at));
  return hash;
}

function hashFromEnd(text: string): number {
  let hash = HASH_START;
  for (let at = text.length - 1; at >= 0; at--) hash = hashed(hash, text.charCodeAt(at));
  return hash;
}

/** FNV-1a, by G. Fowler, L. C. Noll and K.-P. Vo. */
function hashed(hash: number, c: number): number {
  return Math.imul(hash ^ c, 0x01000193);
}

/** A hash as a small integer, which costs no allocation. */
function keyOf(hash: number): number {
  return hash >>> 2;
}

const HASH_START = 0x811c9dc5 | 0;
const DOT = 0x2e;
const SLASH = 0x2f;
const QUERY = 0x3f;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
