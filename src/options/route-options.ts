/**
 * Routes: types only. They are checked in routes.ts, and compiled in `pools/routes.ts`.
 */
import type { ExchangeLimits } from '../hooks.ts';

/**
 * One route: which requests it takes, and what becomes of them. The first route of the list that matches counts; a
 * request that none matches is answered 404. A route has one of `pool`, `redirect` and `answer`; without any, it goes
 * to the pool `default`.
 *
 * Paths are compared as sent: nothing is decoded, so `/%61pi/` is not `/api/`. Where routes have paths, a target with
 * dot segments, encoded or not, is answered 400: it would get past them. An upstream may read a path in still other
 * ways (`//`, upper case), so a route is no access control.
 */
export interface RouteOptions {
  /**
   * The host that a request is for: exact, or `*.example.com` for one label or more before it. Upper and lower case are
   * the same, and so is a name with a dot at its end; the port does not count. Default: every host.
   */
  readonly host?: string;
  /**
   * The start of the path, by whole segments: `/api/` and `/api` both match `/api`, `/api/` and `/api/x`, not `/apix`.
   * Upper and lower case differ. Default, as with `/`: every target, `*` of OPTIONS too.
   */
  readonly path?: string;
  /** The methods, in upper case; GET includes HEAD. Default: every method. */
  readonly methods?: readonly string[];

  /** The pool that serves. */
  readonly pool?: string;
  /**
   * What is taken off the start of the path before the request is sent: `path`, or the first segments of it. What is
   * left starts with `/`.
   */
  readonly stripPrefix?: string;
  /** What is sent in place of `path`; the rest of the target follows. */
  readonly rewrite?: string;
  /**
   * Answers with a redirect to this URL, or to this path of the same host; the rest of the target, behind `path`, is
   * appended, its query as well.
   */
  readonly redirect?: string;
  /** The status of `redirect`: 301, 302, 303, 307 or 308. Default 308, which keeps the method. */
  readonly status?: number;
  /** Answers with this. */
  readonly answer?: RouteAnswer;

  /** Timeouts and retry rules of its requests, in place of those of the pool. Only with a pool. */
  readonly limits?: ExchangeLimits;
  /** Headers of the request to set before it is sent, or to remove (null). `host` may be set. Only with a pool. */
  readonly requestHeaders?: Readonly<Record<string, string | null>>;
  /** Headers of an upstream's response to set before it is sent on, or to remove (null). Only with a pool. */
  readonly responseHeaders?: Readonly<Record<string, string | null>>;
}

/** An answer that is always the same. */
export interface RouteAnswer {
  /** From 200 to 599. Default 200. */
  readonly status?: number;
  /** Default: `content-type: text/plain; charset=utf-8` where there is a body. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as UTF-8. Default: empty. With 204, 205 and 304 there can be none. */
  readonly body?: string;
}
