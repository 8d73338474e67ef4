/**
 * How the admin listener answers: nothing is kept by caches, embedded by other pages, or taken for something else.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Headers of every answer. */
export const SAFE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

export type Headers = Readonly<Record<string, string>>;

export function sendText(
  request: IncomingMessage, response: ServerResponse, status: number, text: string, headers: Headers = {},
): void {
  send(request, response, status, `${text}\n`, { 'content-type': 'text/plain; charset=utf-8', ...headers });
}

export function sendJson(request: IncomingMessage, response: ServerResponse, status: number, value: unknown): void {
  send(request, response, status, `${JSON.stringify(value)}\n`, { 'content-type': 'application/json' });
}

export function send(
  request: IncomingMessage, response: ServerResponse, status: number, body: string, headers: Headers,
): void {
  if (response.headersSent || response.destroyed) return;
  const length = String(Buffer.byteLength(body));
  response.writeHead(status, { ...SAFE_HEADERS, ...headers, 'content-length': length });
  response.end(request.method === 'HEAD' ? undefined : body);
}
