/**
 * Upstreams within the process: applications that the balancer reaches without a port, through the same wire as others.
 */
import type { RequestListener, Server } from 'node:http';
import { BalancerError } from '../errors.ts';
import { shown } from '../options/checks.ts';
import type { PoolOptions } from '../options/options.ts';
import { originProblem, parseOrigin } from '../options/origin.ts';
import { AppServer, type Listeners } from './app-server.ts';
import { type FetchApp, fetchListener } from './fetch-listener.ts';
import { MemorySocket } from './memory-socket.ts';

/**
 * An application: a request listener, such as an Express app or Koa's `app.callback()`; a server of `node:http`, which
 * need not listen, with its 'request' and 'upgrade' listeners; or an object with a `fetch` method, such as a Hono app.
 * A function is always a request listener: write `{ fetch: handler }` for a fetch handler.
 */
export type InProcessApp = RequestListener | Server | FetchApp;

type Connect = NonNullable<PoolOptions['connect']>;

/**
 * A value for the option `connect`: `apps`, by their origins, are served within the process, and other origins are
 * connected to by `otherwise`, or by TCP. Throws OPTIONS_INVALID.
 */
export function inProcess(apps: Readonly<Record<string, InProcessApp>>, otherwise?: Connect): Connect {
  const servers = serversOf(apps);
  if (otherwise !== undefined && typeof otherwise !== 'function') {
    throw invalid([`otherwise: must be a function like the option connect (got ${shown(otherwise)})`]);
  }
  return (upstream, means) => {
    const server = servers.get(upstream.origin);
    if (server === undefined) return otherwise?.(upstream, means);
    const [near, far] = MemorySocket.pair();
    server.serve(far);
    return near;
  };
}

function serversOf(apps: unknown): ReadonlyMap<string, AppServer> {
  const servers = new Map<string, AppServer>();
  if (typeof apps !== 'object' || apps === null) {
    throw invalid([`must get an object of origins and applications (got ${shown(apps)})`]);
  }
  const problems: string[] = [];
  for (const [key, app] of Object.entries(apps) as [string, unknown][]) {
    const origin = parseOrigin(key)?.origin;
    const listeners = listenersOf(app, origin ?? key);
    if (origin === undefined) problems.push(`${JSON.stringify(key)}: ${originProblem(key)}`);
    else if (listeners === undefined) {
      problems.push(`${JSON.stringify(key)}: must be a request listener, a server of node:http or { fetch } ` +
        `(got ${shown(app)})`);
    } else if (servers.has(origin)) problems.push(`${JSON.stringify(key)}: ${origin} is there twice`);
    else servers.set(origin, new AppServer(origin, listeners));
  }
  if (problems.length > 0) throw invalid(problems);
  return servers;
}

/** What serves an application's requests; undefined for what is not one. */
function listenersOf(app: unknown, origin: string): Listeners | undefined {
  if (typeof app === 'function') return only(app);
  if (typeof app !== 'object' || app === null) return undefined;
  const { fetch, rawListeners, listenerCount, listen } = app as { readonly [K in keyof (Server & FetchApp)]?: unknown };
  if (typeof fetch === 'function') return only(fetchListener(origin, app as FetchApp));
  const isServer = [rawListeners, listenerCount, listen].every((method) => typeof method === 'function');
  return isServer ? app as Server : undefined;
}

/** The listeners of an application that is one function. */
function only(listener: unknown): Listeners {
  return {
    listenerCount: () => 0,
    rawListeners: (event: string | symbol) => (event === 'request' ? [listener as () => void] : []),
  };
}

function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `inProcess: ${problems.join('; ')}`);
}
