/**
 * The header lines of a request as middleware has left them. Node keeps them twice: `rawHeaders`, the lines that came,
 * and `headers`, an object made from them before any listener runs. Middleware reads and edits the object, so an edit
 * there counts; whatever it left alone goes on as the line that came, with its place, its case and its duplicates.
 */
import type { IncomingMessage } from 'node:http';
import { BalancerError } from '../errors.ts';
import { items } from '../http1/grammar.ts';
import { HOST } from '../http1/request.ts';
import { aloneEdited, type Came, isMadeUp } from './raw-headers.ts';

/** The headers of a request by their names in lower case: as they are now, each as it was last set. */
type Wanted = ReadonlyMap<string, { readonly name: string; readonly value: unknown }>;

/**
 * The header lines to send for a request, as a flat list of names and values. Throws REQUEST_UNSENDABLE where
 * middleware has set what HTTP forbids.
 */
export function headerLines(request: IncomingMessage): readonly string[] {
  // Requests that a library made up may lack either.
  const { headers, rawHeaders: raw = [] } = request as Partial<Pick<IncomingMessage, 'headers' | 'rawHeaders'>>;
  return headers === undefined || asCame(headers, raw) ? raw : edited(request, headers, raw);
}

/** Whether the headers are the lines that came, one by one: most requests, told by a glance at each. */
function asCame(headers: IncomingMessage['headers'], raw: readonly string[]): boolean {
  const names = Object.keys(headers);
  if (names.length * 2 !== raw.length) return false;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] ?? '';
    const came = raw[2 * i] ?? '';
    // Untouched, the values are the very same strings, and equal without a look at their characters.
    if (headers[name] !== raw[2 * i + 1]) return false;
    if (came !== name && (came.length !== name.length || came.toLowerCase() !== name)) return false;
  }
  return true;
}

function edited(request: IncomingMessage, headers: object, raw: readonly string[]): readonly string[] {
  const wanted = wantedOf(headers);
  const came = cameFrom(raw);
  const edits = editsOf(wanted, came, request);
  if (edits.size === 0 || aloneEdited(request, raw, came, edits)) return raw;
  const lines: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    const value = raw[i + 1] ?? '';
    const lower = name.toLowerCase();
    const edit = edits.get(lower);
    // In the place, and with the name, of its first line.
    if (edit !== undefined) {
      for (const one of edit) lines.push(name, one);
      edits.set(lower, NONE);
    } else if (lower === ':authority' && edits.has('host')) {
      // The edited host follows in its place.
    } else if (lower === 'connection') lines.push(name, withoutEdited(value, edits));
    else if (!posesAsEdited(lower, edits)) lines.push(name, value);
  }
  for (const [lower, values] of edits) {
    if (came.has(lower)) continue;
    const { name } = wanted.get(lower) ?? { name: lower };
    for (const value of values) lines.push(name, value);
  }
  return lines;
}

/** As in a header set that is read from its start to its end, the last spelling of a name wins. */
function wantedOf(headers: object): Wanted {
  const wanted = new Map<string, { name: string; value: unknown }>();
  for (const [name, value] of Object.entries(headers)) {
    // What is undefined is not there.
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
  const joins = (request as { readonly joinDuplicateHeaders?: boolean }).joinDuplicateHeaders === true;
  for (const [name, values] of came) {
    const value = wanted.get(name)?.value;
    if (isFixed(name) || same(value, name, values, joins)) continue;
    // Without a host a request goes nowhere: it keeps the one that came. Two are refused, whatever was made of them.
    if (name !== 'host' || (value !== undefined && values.length === 1)) edits.set(name, sendable(name, value));
  }
  // The framing of a request that a library has made up stands nowhere else.
  const madeUp = came.size === 0 && isMadeUp(request);
  for (const [name, { value }] of wanted) {
    if (!came.has(name) && (madeUp || !isFixed(name))) edits.set(name, sendable(name, value));
  }
  // The host of HTTP/2 (RFC 9113 §8.3.1).
  const authority = wanted.get(':authority')?.value;
  if (authority !== undefined && authority !== came.get(':authority')?.[0] && !edits.has('host')) {
    edits.set('host', sendable('host', authority));
  }
  return edits;
}

/** Whether a header has the value that Node makes of its lines. */
function same(value: unknown, name: string, values: readonly string[], joins: boolean): boolean {
  // No object can be given a member of this name by an assignment, so it is in none.
  if (name === '__proto__') return true;
  if (name === 'set-cookie') {
    return Array.isArray(value) && value.length === values.length && values.every((one, i) => one === value[i]);
  }
  if (values.length === 1) return value === values[0];
  if (name === 'cookie') return value === values.join('; ');
  return value === (SINGLE.has(name) && !joins ? values[0] : values.join(', '));
}

/** Whether HTTP allows this name, and this value. */
export function isSendable(name: string, value: string): boolean {
  return TOKEN_ONLY.test(name) && !FORBIDDEN.test(value);
}

/** The values to send for a header that middleware has set. */
function sendable(name: string, value: unknown): readonly string[] {
  if (value === undefined) return NONE;
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (!TOKEN_ONLY.test(name)) throw unsendable(name, 'has a name that HTTP forbids');
  return values.map((one) => {
    if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'boolean' && typeof one !== 'bigint') {
      throw unsendable(name, 'is not a string, a number or a list of them');
    }
    const text = String(one);
    if (FORBIDDEN.test(text)) throw unsendable(name, 'has a character that HTTP forbids in a value');
    if (name === 'host' && (values.length > 1 || !HOST.test(text))) throw unsendable(name, 'is not a host');
    return text;
  });
}

function unsendable(name: string, what: string): BalancerError {
  return new BalancerError('REQUEST_UNSENDABLE', `request.headers[${JSON.stringify(name)}], as it was set, ${what}`);
}

/** Connection without the names of edited headers: the downstream may nominate away its own, not those. */
function withoutEdited(connection: string, edits: ReadonlyMap<string, unknown>): string {
  if (!items(connection).some((item) => edits.has(item) && item !== 'close')) return connection;
  return connection.split(',').filter((item) => !edits.has(items(item)[0] ?? '')).join(',');
}

/** Whether an edited header would be seen in this one by who takes `_` for `-` (RFC 3875 §4.1.18). */
function posesAsEdited(name: string, edits: ReadonlyMap<string, unknown>): boolean {
  return name.includes('_') && edits.has(name.replaceAll('_', '-'));
}

/** Whether edits of this header change nothing: it frames the message, belongs to the connection, or is none. */
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

/** Of these Node keeps the first line alone, unless the server's `joinDuplicateHeaders` says otherwise. */
const SINGLE: ReadonlySet<string> = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host', 'if-modified-since',
  'if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'referer', 'retry-after',
  'server', 'user-agent',
]);
