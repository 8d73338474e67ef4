/**
 * Routes at work: which pool serves a request, what it is sent as, and what the balancer answers in place of a pool.
 */
import { STATUS_CODES } from 'node:http';
import { NONE } from '../http1/framing.ts';
import { NO_BYTES } from '../http1/grammar.ts';
import type { RequestHead } from '../http1/request.ts';
import { ResponseHead } from '../http1/response.ts';
import type { ParsedLimits } from '../options/limits.ts';
import type { HeaderEdit, ParsedRoute, RouteAction } from '../options/parsed-route.ts';
import type { Pool } from '../pools/pool.ts';
import { type NoRoute, redirectTarget, Routes, sentTarget } from '../pools/routes.ts';
import type { Answer } from './answers.ts';
import { HeaderLines } from './hooks/header-lines.ts';

/** The routes of a balancer, with what each leads to. */
export class Routing {
  readonly #routes: Routes;
  readonly #pools: ReadonlyMap<string, Pool>;
  /** The answers that are always the same, made once: to HEAD, and to other methods. */
  readonly #answers = new Map<ParsedRoute, readonly [toHead: Answer, toOthers: Answer]>();

  /** Each pool that a route names must be among `pools`. */
  constructor(routes: readonly ParsedRoute[], pools: ReadonlyMap<string, Pool>) {
    this.#routes = new Routes(routes);
    this.#pools = pools;
    for (const route of routes) {
      const { action } = route;
      if (action.kind === 'answer') this.#answers.set(route, [fixedAnswer(action, true), fixedAnswer(action, false)]);
    }
  }

  /** The first route that matches. */
  match({ method, host, target }: RequestHead): ParsedRoute | NoRoute {
    return this.#routes.match(method, host, target);
  }

  /** What a route leads to. */
  destination(route: ParsedRoute, head: RequestHead): Pool | Answer {
    const { action } = route;
    if (action.kind === 'redirect') return redirection(action.status, redirectTarget(route, head.target));
    const made = action.kind === 'pool' ? this.#pools.get(action.pool) : undefined;
    if (made !== undefined) return made;
    const [toHead, toOthers] = this.#answers.get(route) ?? [];
    const answer = head.method === 'HEAD' ? toHead : toOthers;
    if (answer === undefined) throw new Error('a route leads nowhere');
    return answer;
  }
}

/** The route of one exchange at a time. */
export class RouteTaken {
  readonly #routing: Routing;
  #route: ParsedRoute | undefined;

  constructor(routing: Routing) {
    this.#routing = routing;
  }

  /**
   * Finds the route of a request: the pool that serves it, whose target it has from now on; what to answer instead; or
   * why there is no route.
   */
  find(head: RequestHead): Pool | Answer | NoRoute {
    const route = this.#routing.match(head);
    if (typeof route === 'string') return route;
    this.#route = route;
    const destination = this.#routing.destination(route, head);
    head.target = sentTarget(route, head.target);
    return destination;
  }

  /** The paths that it matches, e.g. `/api/*`; undefined without a route, or where it matches all. */
  get paths(): string | undefined {
    const path = this.#route?.path ?? '';
    return path === '' ? undefined : `${path}/*`;
  }

  /** The limits that the route sets; undefined where it sets none. */
  get limits(): ParsedLimits | undefined {
    return this.#route?.limits;
  }

  /** What the route edits in the headers of the request. */
  get requestHeaders(): readonly HeaderEdit[] {
    return this.#route?.requestHeaders ?? NO_EDITS;
  }

  /** Edits the headers of a response that hooks are about to see. */
  editSeen(headers: HeaderLines): void {
    headers.edit(this.#route?.responseHeaders ?? NO_EDITS);
  }

  /** Edits the headers of a response that no hook sees. */
  editResponse(head: ResponseHead): void {
    const edits = this.#route?.responseHeaders ?? NO_EDITS;
    if (edits.length === 0) return;
    const lines = new HeaderLines('response', head.lines, head.fields);
    lines.edit(edits);
    head.revise(head.status, head.reason, lines.sent, lines.has('date'));
  }

  /** The exchange is over. */
  clear(): void {
    this.#route = undefined;
  }
}

function fixedAnswer(
  { status, fields, body }: Extract<RouteAction, { readonly kind: 'answer' }>, toHead: boolean,
): Answer {
  const head = new ResponseHead();
  const bytes = Buffer.from(body);
  const reason = STATUS_CODES[status] ?? '';
  const hasDate = /^date:/im.test(fields);
  // RFC 9110 §8.6: a 204 has no Content-Length, and that of a 304 would be another response's.
  if (status === 204 || status === 304) head.answer({ status, reason, fields, hasDate }, 'GET', false);
  else {
    head.compose(status, reason, fields, bytes.length);
    head.hasDate = hasDate;
    if (toHead) head.framing = NONE;
  }
  return { head, body: toHead ? NO_BYTES : bytes };
}

function redirection(status: number, location: string): Answer {
  const head = new ResponseHead();
  head.compose(status, STATUS_CODES[status] ?? '', `Location: ${location}\r\n`, 0);
  return { head, body: NO_BYTES };
}

const NO_EDITS: readonly HeaderEdit[] = [];
