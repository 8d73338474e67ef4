/**
 * Requests that a node:http server has read, written out again as they would have come over HTTP/1.1.
 */
import type { IncomingMessage } from 'node:http';

/**
 * The request head as it would have come over HTTP/1.1. Whoever has the request before us may have written into it what
 * no octet stands for: cut to eight bits, `\u010a` would be a line feed. It becomes a NUL, which is refused anywhere.
 */
export function headBytes(request: IncomingMessage): Buffer {
  return Buffer.from(headText(request).replace(BEYOND_LATIN1, '\0'), 'latin1');
}

function headText(request: IncomingMessage): string {
  const { method, url, rawHeaders } = request;
  if (isHttp2(request)) return http2HeadText(request);
  let text = `${method ?? ''} ${url ?? ''} HTTP/${request.httpVersion}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i] ?? ''}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  return `${text}\r\n`;
}

/** Whether the request came over HTTP/2: Node's parser takes HTTP/1 requests that merely say so. */
export function isHttp2(request: IncomingMessage): boolean {
  return request.httpVersionMajor === 2 && 'stream' in request;
}

function http2HeadText(request: IncomingMessage): string {
  let authority: string | undefined;
  let fields = '';
  let cookie = '';
  let framed = false;
  for (const [name, value] of entries(request.rawHeaders)) {
    // RFC 9113 §8.3.1: the authority is what Host was; §8.2.3: cookies may come in crumbs.
    if (name === ':authority') authority = value;
    else if (name === 'host') authority ??= value;
    else if (name === 'cookie') cookie += cookie === '' ? value : `; ${value}`;
    else if (!name.startsWith(':')) {
      framed ||= name === 'content-length';
      fields += `${name}: ${value}\r\n`;
    }
  }
  if (cookie !== '') fields += `cookie: ${cookie}\r\n`;
  // HTTP/2 frames bodies itself: one without a length goes on in chunks (RFC 9113 §8.1).
  if (!framed && !endsWithHead(request)) fields += 'Transfer-Encoding: chunked\r\n';
  const { method = '', url = '' } = request;
  return `${method} ${url} HTTP/1.1\r\n${authority === undefined ? '' : `Host: ${authority}\r\n`}${fields}\r\n`;
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

const BEYOND_LATIN1 = /[^\0-\xff]/g;
