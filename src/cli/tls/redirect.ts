/**
 * The `redirect:` listeners: they answer every request with 308 to the same place over https. They have a balancer
 * without upstreams of their own, so that its parser, its limits and its timeouts protect them.
 */
import { type Balancer, createBalancer } from '../../balancer.ts';
import type { Report } from '../../options/options.ts';

/** `port` gives the port to redirect to. */
export function createRedirect(port: () => number | undefined, onReport: (report: Report) => void): Balancer {
  return createBalancer({
    upstreams: [],
    onReport,
    maxConnections: MAX_CONNECTIONS,
    keepAliveTimeoutMs: KEEP_ALIVE_MS,
    via: false,
    onRequest: ({ request: { host, target } }) => {
      const name = HOST.exec(host)?.[1];
      // In the form of an OPTIONS for the server as a whole, there is no place.
      if (name === undefined || !target.startsWith('/')) return refusal();
      const at = port() ?? HTTPS_PORT;
      const authority = at === HTTPS_PORT ? name : `${name}:${at}`;
      return new Response(null, { status: 308, headers: { location: `https://${authority}${target}` } });
    },
  });
}

function refusal(): Response {
  return new Response('A redirect to https needs the name of a host.\n', {
    status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
}

const HTTPS_PORT = 443;
/** A name, an IPv4 address or an IPv6 address in brackets; then its port, which is left out. */
const HOST = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
/** Enough for clients that follow the redirect; the listeners that serve need the open files. */
const MAX_CONNECTIONS = 1_024;
/** Clients go on over https. */
const KEEP_ALIVE_MS = 5_000;
