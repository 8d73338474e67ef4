/**
 * Decides which upgrade requests `upgrade` may tunnel. A tunnel bypasses middleware, so only WebSocket handshakes (RFC
 * 6455 §4.1) and protocols that the embedder named get one.
 */
import type { IncomingMessage } from 'node:http';
import { items } from '../http1/grammar.ts';

/** Whether this request may be tunnelled. `named` are the embedder's `upgradeProtocols`, in lower case. */
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
 * The head of a request as received, without its request for an upgrade. Undefined if it contains a character that only
 * a lenient parser accepts and that would be read differently the second time.
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

/** The values of a header, line by line, as received. */
export function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}
