/**
 * Responses rewritten as they stream: a script is injected into each page of HTML, and text is compressed for clients
 * that accept gzip. Nothing is buffered but the few octets in which `</head>` may begin.
 *
 *   node rewrite-responses.mjs
 *   curl http://127.0.0.1:8080/page.html
 *   curl -i --compressed http://127.0.0.1:8080/page.html
 */
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const SNIPPET = '<script src="/banner.js" async></script>';

const acceptsGzip = (header) => /\bgzip\b/.test(header) && !/\bgzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)/.test(header);

/** Inserts text before the first `</head>`. latin1 keeps every octet, whatever the charset of the page. */
function beforeHeadEnds(text) {
  const [mark, latin1] = [/<\/head>/i, (octets) => Buffer.from(octets).toString('latin1')];
  let held = '';
  let inserted = false;
  return new TransformStream({
    transform(chunk, controller) {
      if (inserted) return controller.enqueue(chunk);
      held += latin1(chunk);
      inserted = mark.test(held);
      const ready = inserted ? held.replace(mark, (found) => text + found) : held.slice(0, -'</head'.length);
      held = inserted ? '' : held.slice(ready.length);
      controller.enqueue(Buffer.from(ready, 'latin1'));
    },
    flush: (controller) => controller.enqueue(Buffer.from(held, 'latin1')),
  });
}

const balancer = createBalancer({
  upstreams: UPSTREAMS.split(' '),
  onRequest(exchange) {
    // Compressed pages cannot be searched, so upstreams are asked for plain ones.
    const { headers } = exchange.request;
    exchange.state = { gzip: acceptsGzip(headers.get('accept-encoding') ?? '') };
    headers.delete('accept-encoding');
  },
  onResponse({ response, state }) {
    const { headers } = response;
    const type = headers.get('content-type') ?? '';
    if (response.status !== 200 || headers.has('content-encoding')) return;
    if (type.startsWith('text/html')) response.pipeThrough(beforeHeadEnds(SNIPPET));
    if (!/^(?:text\/(?!event-stream)|application\/(?:json|javascript))/.test(type)) return;
    headers.append('vary', 'accept-encoding');
    if (!state.gzip) return;
    headers.set('content-encoding', 'gzip');
    response.pipeThrough(new CompressionStream('gzip'));
    // The octets are no longer those that a strong validator stands for (RFC 9110 §8.8.3).
    const etag = headers.get('etag');
    if (etag?.startsWith('"')) headers.set('etag', `W/${etag}`);
  },
});
const { port } = await balancer.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`listening on http://127.0.0.1:${port}`);
process.once('SIGTERM', () => balancer.close());
