/**
 * A fetch handler as a request listener of node:http.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BodyPull, cancelled, objectOf, sourceOf } from '../exchange/hooks/body-pull.ts';
import { shown } from '../options/checks.ts';
import { parseOrigin } from '../options/origin.ts';

/** What Bun, Deno, Cloudflare Workers and Hono export. */
export interface FetchApp {
  fetch(request: Request): Response | PromiseLike<Response>;
}

/** A request listener that serves by `app`. It rejects with whatever goes wrong. */
export function fetchListener(
  origin: string, app: FetchApp,
): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  return async (incoming, outgoing) => {
    const controller = new AbortController();
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) controller.abort(new Error('the request was aborted'));
    });
    const response: unknown = await app.fetch(requestOf(incoming, outgoing, origin, controller.signal));
    await send(response, outgoing, incoming.method === 'HEAD');
  };
}

function requestOf(
  incoming: IncomingMessage, outgoing: ServerResponse, origin: string, signal: AbortSignal,
): Request {
  const { method = 'GET', url = '/', rawHeaders, headers } = incoming;
  const list = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) list.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  // A Request of these methods cannot have a body; node:http drops it.
  const hasBody = method !== 'GET' && method !== 'HEAD' &&
    (headers['transfer-encoding'] ?? headers['content-length'] ?? '0') !== '0';
  const body = hasBody ? { body: bodyOf(incoming, outgoing), duplex: 'half' as const } : {};
  const init = { method, headers: list, signal, ...body };
  // Put together, not resolved: `//host/` is a path here. `OPTIONS *` is about the whole server.
  const target = url.startsWith('/') ? url : `/${url.replace(/^https?:\/\/[^/?]*\/?/i, '')}`;
  const named = `${origin.slice(0, origin.indexOf(':'))}://${headers.host ?? ''}`;
  return new Request(`${parseOrigin(named)?.origin ?? origin}${target}`, init);
}

/** The request body, read as the handler likes. What it has not read when its response is sent is dropped. */
function bodyOf(incoming: IncomingMessage, outgoing: ServerResponse): ReadableStream<Uint8Array> {
  let open = true;
  const over = (act: () => void): void => {
    if (open) act();
    open = false;
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      incoming.on('data', (bytes: Buffer) => {
        if (!open) return;
        controller.enqueue(new Uint8Array(bytes));
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      incoming.on('end', () => {
        over(() => {
          controller.close();
        });
      });
      const broken = (): void => {
        over(() => {
          controller.error(new Error('the request was aborted, or answered'));
        });
      };
      incoming.on('error', broken).on('close', broken);
      outgoing.once('finish', () => {
        broken();
        incoming.resume();
      });
      incoming.pause();
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      open = false;
      // The rest is dropped as it comes.
      incoming.resume();
    },
  });
}

/** Sends a Response, with the back-pressure of the balancer. Rejects where that is none, or its body fails. */
async function send(returned: unknown, outgoing: ServerResponse, isHead: boolean): Promise<void> {
  const what = 'what fetch returned';
  const { status, statusText, headers, body, bodyUsed } =
    objectOf(returned, what, 'a Response') as Partial<Response>;
  if (typeof status !== 'number' || headers === undefined) {
    throw new TypeError(`${what} must be a Response (got ${shown(returned)})`);
  }
  if (status < 200) throw new RangeError(`${what} must have a status from 200 to 599 (got ${status})`);
  if (bodyUsed === true) throw new TypeError(`the body of ${what} was read already; return a new Response`);
  const source = body === null || body === undefined ? undefined : sourceOf(body, `the body of ${what}`);
  const none = source === undefined || isHead || status === 204 || status === 304;
  try {
    if (outgoing.destroyed) throw new Error('the request was aborted');
    // A length that the body does not have would break the next response.
    outgoing.strictContentLength = !none;
    const lines = [...headers].filter(([name]) => !FRAMED_BY_NODE.has(name)).flat();
    if (statusText) outgoing.writeHead(status, statusText, lines);
    else outgoing.writeHead(status, lines);
  } catch (cause) {
    if (source !== undefined) cancelled(source, cause);
    if (!outgoing.destroyed) throw cause;
    return;
  }
  if (!none) await pumped(source, outgoing);
  else {
    if (source !== undefined) cancelled(source, new TypeError('this response has no body'));
    outgoing.end();
  }
}

async function pumped(source: Parameters<typeof cancelled>[0], outgoing: ServerResponse): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const pull = new BodyPull(source, {
      data: (bytes) => {
        if (!outgoing.write(bytes)) pull.pause();
      },
      end: () => {
        outgoing.end();
        resolve();
      },
      failed: reject,
    });
    outgoing.on('drain', () => {
      pull.resume();
    });
    outgoing.once('close', () => {
      pull.cancel(new Error('the request was aborted'));
      resolve();
    });
    pull.resume();
  });
}

/** What concerns one connection, in lower case: node:http writes its own. */
const FRAMED_BY_NODE: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
