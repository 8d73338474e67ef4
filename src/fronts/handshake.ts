/**
 * What asks for an upgrade, and whether `upgrade` may tunnel it. Whoever is tunnelled has passed no middleware, so that
 * is only for what a tunnel is meant for: a WebSocket handshake (RFC 6455 §4.1), or a protocol that the embedder named.
 */
import type { IncomingMessage } from 'node:http';
import { items } from '../http1/grammar.ts';

/** Whether this request may be tunnelled to. `named` are the protocols that the embedder passes on, in lower case. */
export function mayTunnel(request: IncomingMessage, named: ReadonlySet<string>): boolean {
  if (request.httpVersion !== '1.1') return false;
  const asked = valuesOf(request, 'upgrade').flatMap(items).filter((protocol) => protocol !== '');
  return asked.length > 0 && asked.every((protocol) => {
    return named.has(protocol) || (protocol === 'websocket' && isWebSocket(request));
  });
}

function isWebSocket(request: IncomingMessage): boolean {
  const [key = '', ...more] = valuesOf(request, 'sec-websocket-key');
  return request.method === 'GET' && key !== '' && more.length === 0;
}

/**
 * The head of a request as it came, but for its wish to be upgraded; undefined where it has a character, let through by
 * a lenient parser, that another reading of it could stumble over.
 */
export function plainHead(request: IncomingMessage): string | undefined {
  const { method = '', url = '', rawHeaders } = request;
  let head = `${method} ${url} HTTP/${request.httpVersion}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    let value = rawHeaders[i + 1] ?? '';
    if (/[\0\r\n]/.test(name + value)) return undefined;
    const lower = name.toLowerCase();
    if (lower === 'upgrade') continue;
    if (lower === 'connection') value = value.split(',').filter((item) => !items(item).includes('upgrade')).join(',');
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}

/** The values of a header, line by line, as they came. */
export function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}
