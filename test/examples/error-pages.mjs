/**
 * Error pages of one's own, in place of the balancer's answers and of those of upstreams that fail: HTML for browsers,
 * JSON for programs. The status, `Retry-After` and an id to quote to support stay.
 *
 *   node error-pages.mjs
 *   curl -i http://127.0.0.1:8080/hangs-up
 *   curl -i -H 'Accept: text/html' http://127.0.0.1:8080/fails
 */
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;

const TITLES = { 413: 'That is too much', 503: 'We are busy', 504: 'This takes too long' };

function errorPage({ request }, status, headers) {
  const title = TITLES[status] ?? (status < 500 ? 'This request cannot be served' : 'Something is broken');
  if (/\btext\/html\b/.test(request.headers.get('accept') ?? '')) {
    const page = `<!doctype html><title>${title}</title><h1>${title}</h1><p>Quote ${request.id} to our support.\n`;
    return new Response(page, { status, headers: { ...headers, 'content-type': 'text/html; charset=utf-8' } });
  }
  return Response.json({ status, title, id: request.id }, { status, headers });
}

const balancer = createBalancer({
  upstreams: UPSTREAMS.split(' '),
  onError(exchange, error) {
    // The cause is for the log, not for the client: it may name addresses.
    console.error(`${exchange.request.id} ${error.status} ${error.code} ${exchange.upstream?.origin ?? 'no upstream'}`);
    return errorPage(exchange, error.status, error.status === 503 ? { 'retry-after': '1' } : {});
  },
  onResponse(exchange) {
    const { status, headers } = exchange.response;
    if (status < 500) return;
    const retryAfter = headers.get('retry-after');
    return errorPage(exchange, status, retryAfter === null ? {} : { 'retry-after': retryAfter });
  },
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
