/**
 * What the admin listener answers to each request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../guard.ts';
import { parseOrigin } from '../../options/origin.ts';
import type { AdminView } from './admin-view.ts';
import { SAFE_HEADERS, send, sendJson, sendText } from './answer.ts';
import { refusal } from './doors.ts';
import type { Wish } from './orders.ts';
import { page } from './page/page.ts';
import { PUBLIC_NAMES } from './stats.ts';
import { filterOf } from './why-query.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, query: string) => unknown;

/** A request that is wrong, and how. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class Requests {
  readonly #admin: AdminView;
  readonly #gets: Record<string, Handler>;

  constructor(admin: AdminView) {
    this.#admin = admin;
    this.#gets = {
      '/': (request, response) => {
        const { html, policy } = page();
        const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy };
        send(request, response, 200, html, headers);
      },
      '/livez': (request, response) => {
        sendText(request, response, 200, 'live');
      },
      '/readyz': async (request, response) => {
        const ready = await admin.ready();
        sendText(request, response, ready ? 200 : 503, ready ? 'ready' : 'stopping');
      },
      '/upstreams': async (request, response) => {
        const all = await admin.upstreams();
        const shown = all.map((one) => Object.fromEntries(PUBLIC_NAMES.map((name) => [name, one[name]])));
        sendJson(request, response, 200, shown);
      },
      '/why': async (request, response, query) => {
        const { problem, filter, waitMs } = filterOf(query);
        if (problem !== undefined) throw new Refused(400, problem);
        let found = await admin.why(filter);
        // Until somebody asks, nothing is recorded: the first to ask waits for what comes.
        if (found.decisions.length === 0 && waitMs > 0) {
          await new Promise((resolve) => {
            setTimeout(resolve, waitMs);
          });
          found = await admin.why(filter);
        }
        sendJson(request, response, 200, found);
      },
      '/events': (request, response) => {
        admin.pages.serve(request, response);
      },
    };
    const { metrics } = admin;
    if (metrics === undefined) return;
    this.#gets['/metrics'] = (request, response) => {
      response.setHeaders(new Map(Object.entries(SAFE_HEADERS)));
      metrics.handle(request, response);
    };
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.#serve(request, response).catch((error: unknown) => {
      if (error instanceof Refused) this.#refuse(request, response, error.status, error.message);
      else this.#refuse(request, response, 500, `the admin listener failed: ${messageOf(error)}`);
    });
  };

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const [, path = '', query = ''] = /^(\/[^?#]*)(?:\?([^#]*))?$/.exec(url) ?? [];
    const refused = path === '/livez' || path === '/readyz'
      ? undefined : refusal(request, this.#admin.doors, path === '/');
    if (refused !== undefined) {
      sendText(request, response, refused.status, refused.text, { ...refused.headers, ...closing(request) });
      return;
    }
    const get = Object.hasOwn(this.#gets, path) ? this.#gets[path] : undefined;
    if (get !== undefined) {
      if (method !== 'GET' && method !== 'HEAD') this.#notAllowed(request, response, 'GET, HEAD');
      else {
        request.resume();
        await get(request, response, query);
      }
      return;
    }
    const [, pool, origin, action] = /^\/upstreams\/([^/]+)\/([^/]+)\/(drain|activate|weight)$/.exec(path) ?? [];
    if (pool === undefined || origin === undefined) throw new Refused(404, 'there is nothing here');
    if (method !== 'POST') this.#notAllowed(request, response, 'POST');
    else await this.#act(request, response, decoded(pool), decoded(origin), action ?? '');
  }

  async #act(
    request: IncomingMessage, response: ServerResponse, pool: string, named: string, action: string,
  ): Promise<void> {
    const body = await bodyOf(request);
    const wish = action === 'weight' ? weightIn(body) : { drained: action === 'drain' };
    // Accepts every spelling of an origin.
    const origin = parseOrigin(named)?.origin ?? named;
    const { isThere, workers, confirmed } = await this.#admin.order(pool, origin, wish);
    if (!isThere) throw new Refused(404, 'there is no such upstream; see /upstreams');
    // 202: some workers have not confirmed it in time.
    sendJson(request, response, confirmed < workers ? 202 : 200, { pool, origin, ...wish, workers, confirmed });
  }

  #notAllowed(request: IncomingMessage, response: ServerResponse, allow: string): void {
    sendText(request, response, 405, `use ${allow}`, { allow, ...closing(request) });
  }

  #refuse(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
    if (response.headersSent) response.destroy();
    else sendText(request, response, status, text, closing(request));
  }
}

/** The rest of a body that is not read is not waited for. */
function closing({ method, httpVersionMajor }: IncomingMessage): Readonly<Record<string, string>> {
  return method === 'GET' || method === 'HEAD' || httpVersionMajor > 1 ? {} : { connection: 'close' };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refused(400, 'a part of the path is not properly encoded; write it as encodeURIComponent does');
  }
}

function weightIn(body: string): Wish {
  const text = body.trim();
  const weight = text === '' ? NaN : Number(text);
  if (weight >= MIN_WEIGHT && weight <= MAX_WEIGHT) return { weight };
  const hint = weight === 0 ? '; drain it to give it no work' : '';
  throw new Refused(400, `the body must be a number from ${MIN_WEIGHT} to ${MAX_WEIGHT}${hint}`);
}

/** The body, which is short. */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Refused(408, 'the body took too long'));
    }, BODY_MS);
    const settle = (): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      request.on('error', () => undefined);
    };
    const onData = (piece: Buffer): void => {
      length += piece.length;
      pieces.push(piece);
      if (length <= MAX_BODY) return;
      settle();
      request.pause();
      reject(new Refused(413, `the body may have ${MAX_BODY} octets`));
    };
    const onEnd = (): void => {
      settle();
      resolve(Buffer.concat(pieces).toString('latin1'));
    };
    const onClose = (): void => {
      settle();
      reject(new Refused(400, 'the body is incomplete'));
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

const MIN_WEIGHT = 1e-3;
const MAX_WEIGHT = 1e6;
const MAX_BODY = 1_024;
const BODY_MS = 5_000;
