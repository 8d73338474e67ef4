/**
 * The header lines of a request, with the edits of middleware. Node keeps headers twice: `rawHeaders`, the lines as
 * received, and `headers`, an object made from them before any listener runs. Middleware reads and edits the object, so
 * edits there are sent. Headers that it left alone are sent as received, in the same place, case and number.
 */
import type { IncomingMessage } from 'node:http';
import { BalancerError } from '../errors.ts';
import { items } from '../http1/grammar.ts';
import { HOST } from '../http1/request.ts';
import { aloneEdited, type Came, isAsRead, isMadeUp } from './raw-headers.ts';

/** The current headers of a request by lower-case name, each as it was last set. */
type Wanted = ReadonlyMap<string, { readonly name: string; readonly value: unknown }>;

/**
 * The header lines to send for a request, as a flat list of names and values. Throws REQUEST_UNSENDABLE if middleware
 * has set something that HTTP forbids.
 */
export function headerLines(request: IncomingMessage): readonly string[] {
  // A request made by a library may lack either.
  const { headers, rawHeaders: raw = [] } = request as Partial<Pick<IncomingMessage, 'headers' | 'rawHeaders'>>;
  return headers === undefined || asCame(headers, raw) ? raw : edited(request, headers, raw);
}

/** Whether the headers match the lines one by one. A cheap check, and true for most requests. */
function asCame(headers: IncomingMessage['headers'], raw: readonly string[]): boolean {
  const names = Object.keys(headers);
  if (names.length * 2 !== raw.length) return false;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] ?? '';
    const came = raw[2 * i] ?? '';
    // Untouched values are the same strings, so comparing them does not read their characters.
    if (headers[name] !== raw[2 * i + 1]) return false;
    if (came !== name && (came.length !== name.length || came.toLowerCase() !== name)) return false;
    // Some upstreams would read it as another header: see `poses`.
    if (name.includes('_')) return false;
  }
  return true;
}

function edited(request: IncomingMessage, headers: object, raw: readonly string[]): readonly string[] {
  const wanted = wantedOf(headers);
  const came = cameFrom(raw);
  const edits = editsOf(wanted, came, request);
  if (aloneEdited(request, raw, came, edits)) edits.clear();
  if (!isAsRead(request, raw)) assertSendable(raw, edits);
  const decided = decidedBy(edits, came);
  const judged = joinsDuplicates(request) ? undefined : new Set<string>();
  const lines: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    const value = raw[i + 1] ?? '';
    const lower = name.toLowerCase();
    const edit = edits.get(lower);
    // An edited header takes the place and the spelling of its first line.
    if (edit !== undefined) {
      for (const one of edit) lines.push(name, one);
      edits.set(lower, NONE);
    } else if (lower === ':authority' && edits.has('host')) {
      // Replaced by the edited host, which comes later.
    } else if (lower === 'connection') lines.push(name, withoutEdited(value, edits));
    else if (CREDENTIALS.has(lower) && judged?.has(lower) === true) {
      // Middleware saw only the first line and accepted that: a second one could name another user.
    } else if (!poses(lower, edits, decided)) {
      lines.push(name, value);
      judged?.add(lower);
    }
  }
  for (const [lower, values] of edits) {
    if (came.has(lower)) continue;
    const { name } = wanted.get(lower) ?? { name: lower };
    for (const value of values) lines.push(name, value);
  }
  // The same array tells the caller that nothing was edited.
  return edits.size === 0 && lines.length === raw.length ? raw : lines;
}

/** The names of the headers that middleware has edited, with `-` for `_`: trailers must not bring them back. */
export function editedNames(request: IncomingMessage): ReadonlySet<string> {
  const { headers, rawHeaders = [] } = request as Partial<Pick<IncomingMessage, 'headers' | 'rawHeaders'>>;
  const names = new Set<string>();
  if (headers === undefined) return names;
  const wanted = wantedOf(headers);
  const came = cameFrom(rawHeaders);
  const joins = joinsDuplicates(request);
  for (const [name, values] of came) {
    if (!same(wanted.get(name)?.value, name, values, joins)) names.add(dashed(name));
  }
  for (const name of wanted.keys()) if (!came.has(name)) names.add(dashed(name));
  return names;
}

/** If a name occurs in several spellings, the last one wins. */
function wantedOf(headers: object): Wanted {
  const wanted = new Map<string, { name: string; value: unknown }>();
  for (const [name, value] of Object.entries(headers)) {
    // A header set to undefined or null counts as deleted.
    if (value !== undefined && value !== null) wanted.set(name.toLowerCase(), { name, value });
    else wanted.delete(name.toLowerCase());
  }
  return wanted;
}

function cameFrom(raw: readonly string[]): Came {
  const came = new Map<string, string[]>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase();
    const values = came.get(name);
    if (values === undefined) came.set(name, [raw[i + 1] ?? '']);
    else values.push(raw[i + 1] ?? '');
  }
  return came;
}

/** The values of each header that differs from what Node made of its lines; none for one that was deleted. */
function editsOf(wanted: Wanted, came: Came, request: IncomingMessage): Map<string, readonly string[]> {
  const edits = new Map<string, readonly string[]>();
  const joins = joinsDuplicates(request);
  for (const [name, values] of came) {
    const value = wanted.get(name)?.value;
    if (isFixed(name) || same(value, name, values, joins)) continue;
    // A request needs a host: if it was deleted, the received one stays. Two Host lines are refused, edited or not.
    if (name !== 'host' || (value !== undefined && values.length === 1)) edits.set(name, sendable(name, value));
  }
  // A request made by a library has its framing only in `headers`.
  const madeUp = came.size === 0 && isMadeUp(request);
  for (const [name, { value }] of wanted) {
    if (!came.has(name) && (madeUp || !isFixed(dashed(name)))) edits.set(name, sendable(name, value));
  }
  // HTTP/2 sends the host as `:authority` (RFC 9113 §8.3.1).
  const authority = wanted.get(':authority')?.value;
  if (authority !== undefined && authority !== came.get(':authority')?.[0] && !edits.has('host')) {
    edits.set('host', sendable('host', authority));
  }
  return edits;
}

/** Whether a header has the value that Node makes of its lines. */
function same(value: unknown, name: string, values: readonly string[], joins: boolean): boolean {
  // Assigning to this name never creates a property, so `headers` cannot contain it.
  if (name === '__proto__') return true;
  if (name === 'set-cookie') {
    return Array.isArray(value) && value.length === values.length && values.every((one, i) => one === value[i]);
  }
  if (values.length === 1) return value === values[0];
  if (name === 'cookie') return value === values.join('; ');
  return value === (SINGLE.has(name) && !joins ? values[0] : values.join(', '));
}

/** Whether HTTP allows this name and value. */
export function isSendable(name: string, value: string): boolean {
  return TOKEN_ONLY.test(name) && !FORBIDDEN.test(value);
}

/** The values to send for a header that middleware has set. */
function sendable(name: string, value: unknown): readonly string[] {
  if (value === undefined) return NONE;
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (!TOKEN_ONLY.test(name)) throw unsendable(name, 'is not a valid header name');
  return values.map((one) => {
    if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'boolean' && typeof one !== 'bigint') {
      throw unsendable(name, 'must be a string, a number or a list of them');
    }
    const text = String(one);
    if (FORBIDDEN.test(text)) throw unsendable(name, 'contains a character that HTTP forbids in a value');
    if (name === 'host' && (values.length > 1 || !HOST.test(text))) throw unsendable(name, 'must be one valid host');
    return text;
  });
}

function unsendable(name: string, what: string): BalancerError {
  return new BalancerError('REQUEST_UNSENDABLE', `request.headers[${JSON.stringify(name)}] ${what}`);
}

/** Connection without the names of edited headers: the downstream may have its own headers dropped, not those. */
function withoutEdited(connection: string, edits: ReadonlyMap<string, unknown>): string {
  if (!items(connection).some((item) => edits.has(item) && item !== 'close')) return connection;
  return connection.split(',').filter((item) => !edits.has(items(item)[0] ?? '')).join(',');
}

/**
 * The headers that middleware has decided on, by name with `-` for `_`: those it edited, and those it saw and left
 * alone. The exception is a deleted name with `_`, which does not affect the spelling with `-`.
 */
function decidedBy(edits: ReadonlyMap<string, readonly string[]>, came: Came): ReadonlySet<string> {
  const decided = new Set<string>();
  for (const [name, values] of edits) if (values.length > 0 || !name.includes('_')) decided.add(dashed(name));
  for (const name of came.keys()) if (!name.includes('_')) decided.add(name);
  return decided;
}

/**
 * Whether an upstream that treats `_` as `-` (RFC 3875 §4.1.18) would take this untouched header for one that
 * middleware has decided on. Names that pose as framing are kept, so that the parser refuses them.
 */
function poses(name: string, edits: ReadonlyMap<string, readonly string[]>, decided: ReadonlySet<string>): boolean {
  if (name.includes('_')) return decided.has(dashed(name)) && !isFixed(dashed(name));
  for (const [edited, values] of edits) {
    if (values.length > 0 && edited.includes('_') && dashed(edited) === name && !isFixed(name)) return true;
  }
  return false;
}

/** A name as an upstream that treats `_` as `-` reads it. */
export function dashed(name: string): string {
  return name.includes('_') ? name.replaceAll('_', '-') : name;
}

/** Whether the server joins the lines of all headers, so that middleware sees each of them. */
function joinsDuplicates(request: IncomingMessage): boolean {
  return (request as { readonly joinDuplicateHeaders?: boolean }).joinDuplicateHeaders === true;
}

/** Checks `rawHeaders` after an edit: no parser has read what was written into it. */
function assertSendable(raw: readonly unknown[], edits: ReadonlyMap<string, unknown>): void {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = String(raw[i]);
    // A library may list a header without a value. Names with a colon are pseudo-headers of HTTP/2.
    if (raw[i + 1] === undefined || name.startsWith(':') || edits.has(name.toLowerCase())) continue;
    if (!isSendable(name, String(raw[i + 1]))) {
      throw new BalancerError('REQUEST_UNSENDABLE', `request.rawHeaders: the line ${JSON.stringify(name)} is invalid`);
    }
  }
}

/** Whether edits of this header are ignored: it frames the message, concerns the connection, or is a pseudo-header. */
function isFixed(name: string): boolean {
  return FIXED.has(name) || name.startsWith(':');
}

const NONE: readonly string[] = [];
const TOKEN_ONLY = /^[\w!#$%&'*+.^`|~-]+$/;
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

const FIXED: ReadonlySet<string> = new Set([
  'connection', 'content-length', 'expect', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'trailer',
  'transfer-encoding', 'upgrade',
]);

/** Headers that identify the user: lines that middleware has not seen are not sent. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization']);

/** Node keeps only the first line of these, unless the server has `joinDuplicateHeaders`. */
const SINGLE: ReadonlySet<string> = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host', 'if-modified-since',
  'if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'referer', 'retry-after',
  'server', 'user-agent',
]);
