/**
 * Writes requests that a node:http server has read as HTTP/1.1 text, for our own parser.
 */
import type { IncomingMessage } from 'node:http';
import { BalancerError } from '../errors.ts';
import { HOST } from '../http1/request.ts';
import { type ConnectHandshake, isKeyField } from './connect-handshake.ts';
import { dashed, editedNames, headerLines, isSendable } from './edited-head.ts';
import { isMadeUp } from './raw-headers.ts';

/**
 * The request head as HTTP/1.1, with the edits of middleware, and with `target` instead of the request's own.
 * Middleware may have written characters above 0xff, which latin1 would truncate: `\u010a` would become a line feed.
 * They become NUL, which the parser refuses everywhere. So does a line feed in the target, which middleware may have
 * decoded. `given` is the length of a body that replaces the request's own: the head then says that length, or nothing
 * if it is Infinity. Throws REQUEST_UNSENDABLE.
 */
export function headBytes(request: IncomingMessage, target = request.url ?? '', given?: number): Buffer {
  return Buffer.from(headText(request, target, given).replace(BEYOND_LATIN1, '\0'), 'latin1');
}

/** The head of an extended CONNECT as an upgrade of HTTP/1.1. Throws REQUEST_UNSENDABLE. */
export function upgradeBytes(
  request: IncomingMessage, handshake: ConnectHandshake, target = request.url ?? '',
): Buffer {
  // A CONNECT has no body (RFC 9110 §9.3.6), and its handshake is made up.
  const lines = without(headerLines(request), (name) => FRAMING.has(name) || isKeyField(name));
  const text = http2HeadText('GET', inOneLine(target), lines, handshake.lines);
  return Buffer.from(text.replace(BEYOND_LATIN1, '\0'), 'latin1');
}

function headText(request: IncomingMessage, target: string, given: number | undefined): string {
  const method = inOneLine(request.method ?? 'GET');
  const came = headerLines(request);
  const lines = given === undefined ? came : reframed(came, method, given);
  if (isHttp2(request)) {
    // HTTP/2 frames bodies itself; one without a length is sent on chunked (RFC 9113 §8.1).
    const framed = given !== undefined || endsWithHead(request) || valueOf(lines, 'content-length') !== undefined;
    // A plain CONNECT has no target; what is wrong with it is its method.
    const asked = target === '' && method === 'CONNECT' ? '*' : inOneLine(target);
    return http2HeadText(method, asked, lines, framed ? '' : 'Transfer-Encoding: chunked\r\n');
  }
  let text = `${method} ${inOneLine(routed(target, came, request))} HTTP/${request.httpVersion}\r\n`;
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const value: string | undefined = lines[i + 1];
    // A library may list a header without a value.
    if (value !== undefined) text += line(lines[i] ?? '', value);
  }
  // HTTP/1.1 requires a Host field; it may be empty.
  if (came !== request.rawHeaders && valueOf(lines, 'host') === undefined && isMadeUp(request)) text += 'Host:\r\n';
  if (given === undefined && method !== 'GET' && method !== 'HEAD') text += missingFraming(request, method, lines);
  return `${text}\r\n`;
}

/** The lines with the framing of a body that is `length` long in place of their own, and without an expectation. */
function reframed(lines: readonly string[], method: string, length: number): readonly string[] {
  const kept = without(lines, (name) => FRAMING.has(name));
  // RFC 9110 §8.6: a length of 0 says nothing where a method has usually no content.
  if (length < Infinity && (length > 0 || !CONTENTLESS.has(method))) kept.push('Content-Length', String(length));
  return kept;
}

/** The lines without those of some headers, by their lower-case names. */
function without(lines: readonly string[], goes: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const name = lines[i] ?? '';
    if (!goes(name.toLowerCase())) kept.push(name, lines[i + 1] ?? '');
  }
  return kept;
}

/** One header with its CRLF. A line feed in it would start another header, or another request. */
function line(name: string, value: unknown): string {
  // Middleware may have set a number.
  if (!String(value).includes('\n') && !name.includes('\n')) return `${name}: ${String(value)}\r\n`;
  throw new BalancerError('REQUEST_UNSENDABLE', `the header ${JSON.stringify(name)} contains a line break`);
}

/** A part of the request line. A line feed becomes NUL, which the parser refuses. */
function inOneLine(text: string): string {
  return text.includes('\n') ? text.replaceAll('\n', '\0') : text;
}

/** The target. The authority of an absolute form would override the host, so it is removed if the host was edited. */
function routed(target: string, lines: readonly string[], request: IncomingMessage): string {
  if (target.startsWith('/') || lines === request.rawHeaders) return target;
  if (valueOf(lines, 'host') === valueOf(request.rawHeaders, 'host')) return target;
  const [, authority = '', rest = ''] = ABSOLUTE.exec(target) ?? [];
  if (authority === '' || !HOST.test(authority)) return target;
  if (rest === '' && request.method === 'OPTIONS') return '*';
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The framing that is missing when a library makes a request with a body of unknown length. */
function missingFraming(request: IncomingMessage, method: string, lines: readonly string[]): string {
  if (method === 'OPTIONS' || method === 'TRACE' || method === 'DELETE' || !isMadeUp(request)) return '';
  const framed = (valueOf(lines, 'content-length') ?? valueOf(lines, 'transfer-encoding')) !== undefined;
  return framed ? '' : 'Transfer-Encoding: chunked\r\n';
}

function valueOf(lines: readonly string[], name: string): string | undefined {
  const at = lines.findIndex((one, i) => i % 2 === 0 && one.toLowerCase() === name);
  return at < 0 ? undefined : lines[at + 1];
}

/** Whether the request came over HTTP/2. Its version alone does not tell: Node's HTTP/1 parser accepts `HTTP/2.0`. */
export function isHttp2(request: IncomingMessage): boolean {
  return request.httpVersionMajor === 2 && 'stream' in request;
}

/** `added` are whole lines that HTTP/1.1 needs besides. */
function http2HeadText(method: string, target: string, lines: readonly string[], added: string): string {
  let authority: string | undefined;
  let scheme = '';
  let hosts = '';
  let fields = '';
  let cookie = '';
  for (const [name, value] of entries(lines)) {
    // RFC 9113 §8.3.1: `:authority` replaces Host. §8.2.3: cookies may be split over several lines.
    if (name === ':authority') authority = value;
    else if (name === ':scheme') scheme = value;
    else if (name.toLowerCase() === 'host') {
      // One that differs is malformed, as two of them are: the parser refuses them.
      if (authority === undefined || !isSameHost(authority, value, scheme)) hosts += line('Host', value);
    } else if (name === 'cookie') cookie += cookie === '' ? value : `; ${value}`;
    else if (!name.startsWith(':')) fields += line(name, value);
  }
  if (cookie !== '') fields += line('cookie', cookie);
  const host = authority === undefined ? '' : line('Host', authority);
  return `${method} ${target} HTTP/1.1\r\n${host}${hosts}${fields}${added}\r\n`;
}

/** Whether two authorities identify the same server: without regard to case and the default port. */
function isSameHost(one: string, other: string, scheme: string): boolean {
  if (one === other) return true;
  const port = scheme === 'https' ? /:(?:443)?$/ : /:(?:80)?$/;
  return one.toLowerCase().replace(port, '') === other.toLowerCase().replace(port, '');
}

/** A flat list of names and values in pairs. */
export function entries(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return pairs;
}

/** Whether an HTTP/2 request had no body at all (END_STREAM on its head). */
function endsWithHead(request: IncomingMessage): boolean {
  const { stream } = request as { readonly stream?: { readonly endAfterHeaders?: boolean } };
  return stream?.endAfterHeaders === true;
}

/**
 * The trailer section of a request, each line with its CRLF, without the headers that middleware has edited. Undefined
 * if it contains something that HTTP forbids.
 */
export function trailerText(request: IncomingMessage): string | undefined {
  // A request made by a library may lack either.
  const { rawTrailers = [], trailers = {} } = request as Partial<Pick<IncomingMessage, 'rawTrailers' | 'trailers'>>;
  const lines = rawTrailers.length > 0 || !isMadeUp(request) ? entries(rawTrailers) : Object.entries(trailers);
  if (lines.length === 0) return '';
  const edited = editedNames(request);
  let text = '';
  for (const [name, value] of lines) {
    if (value === undefined) continue;
    if (!isSendable(name, value)) return undefined;
    if (edited.has(dashed(name.toLowerCase()))) continue;
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

/** What says how long the body is, what follows it, and whether it is awaited. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'expect', 'trailer', 'transfer-encoding']);
const CONTENTLESS: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'TRACE']);
const ABSOLUTE = /^https?:\/\/([^/?]+)(.*)$/i;
const BEYOND_LATIN1 = /[^\0-\xff]/g;
