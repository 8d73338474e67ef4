/**
 * Runs the configured balancer, in a single process or in each worker. What the configuration does not ask for is not
 * even loaded: a process starts sooner.
 */
import net, { type AddressInfo } from 'node:net';
import type { Balancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import type { ListenOptions } from '../options/listen.ts';
import type { AdminListener, AdminMeans } from './admin.ts';
import type { Configuration } from './config.ts';
import { startDemo } from './demo.ts';
import { listenEverywhere } from './listening.ts';
import { logEvents, refusalLog, reportLog } from './log.ts';
import type { Log } from './log-line.ts';
import { withPeers } from './pools.ts';
import { createEither, readyLine } from './tcp.ts';
import type { BeforeServing, TlsListeners } from './tls/listeners.ts';
import type { TlsSettings } from './tls/settings.ts';

/** A listening balancer. */
export interface Serving {
  readonly balancer: Balancer;
  /** The line to print when it is ready. */
  readonly line: string;
  /** The line to log about the admin listener. */
  readonly adminLine: string | undefined;
  /** This worker drains, and others may not. */
  draining(): void;
  /** Reopens the file of the access log. Returns whether there is one. */
  reopen(): boolean;
  /** Has TLS go by these settings from now on. */
  secure(settings: TlsSettings): void;
  /** The key of session tickets from now on. */
  setTicketKey(key: Buffer): void;
  /** Drains it like `balancer.close`. Resolves with the number of connections that were cut. */
  close(limits: { readonly timeoutMs: number; readonly delayMs: number }): Promise<number>;
}

/** What `serve` needs besides the configuration. */
export interface Means {
  /** Whether to start the demo's upstreams and balance over them. */
  readonly demo: boolean;
  readonly log: Log;
  /** Connects a pool with those of the other workers. */
  readonly peers?: (pool: string) => Channel;
  /** What the admin listener of a worker needs. */
  readonly admin?: AdminMeans;
  /** The key of session tickets, which `tls:` listeners need. */
  readonly ticketKey?: Buffer | undefined;
}

/** Starts a balancer. If that fails, closes what was started. */
export async function serve(
  { listen, options, accessLog, proxyProtocol, tls, tcp, admin }: Configuration,
  { demo, log, peers, ticketKey, admin: adminMeans = {} }: Means,
): Promise<Serving> {
  const now = (): number => performance.now();
  const logged = accessLog && (await import('./access-log.ts')).openAccessLog(accessLog, log);
  const upstreams = demo ? await startDemo() : undefined;
  const opened: Balancer[] = [];
  let secure: TlsListeners | undefined;
  let operated: AdminListener | undefined;
  try {
    const given = upstreams === undefined ? options : { ...options, upstreams: upstreams.origins };
    const balancer = await createEither(tcp, {
      onReport: reportLog(log, now),
      ...(peers === undefined ? given : withPeers(given, peers)),
    });
    opened.push(balancer);
    logEvents(balancer, log, now, tcp);
    logged?.start(balancer);
    // Before requests come: what an admin has drained gets none.
    operated = admin && new (await import('./admin.ts')).AdminListener(admin, balancer, adminMeans);
    const adminListener = operated;
    const before = proxyProtocol && (await import('../proxy-protocol/index.ts'))
      .readProxy({ ...proxyProtocol, onRefused: refusalLog(log, now) });
    if (tls !== undefined && ticketKey !== undefined) {
      const { TlsListeners: Listeners } = await import('./tls/listeners.ts');
      secure = new Listeners(tls, { balancer, tcp, ticketKey, log, now, before, limits: given });
    }
    const listeners = secure;
    let httpsPort: number | undefined;
    let redirect: Balancer | undefined;
    const addresses = await listenEverywhere({
      http: (where) => listenOn(balancer, where, before),
      tls: async (where) => {
        if (listeners === undefined) throw new Error('there are no certificates');
        const address = await balancer.serve(listeners.createServer(), where);
        if (typeof address !== 'string') httpsPort ??= address.port;
        return address;
      },
      redirect: async (where) => {
        if (redirect === undefined) {
          const { createRedirect } = await import('./tls/redirect.ts');
          redirect = createRedirect(() => httpsPort, reportLog(log, now));
          opened.push(redirect);
        }
        return await listenOn(redirect, where, before);
      },
    }, listen);
    const shown = addresses.map(({ text }) => text);
    const adminAddress = await adminListener?.listen();
    return {
      balancer,
      line: readyLine(strategiesOf(balancer), shown.join(', '), tcp),
      adminLine: adminAddress === undefined ? undefined : `admin listener: ${adminAddress}`,
      draining: () => adminListener?.draining(),
      reopen: () => logged?.reopen() === true,
      secure: (settings) => {
        listeners?.apply(settings);
      },
      setTicketKey: (key) => {
        listeners?.setTicketKey(key);
      },
      close: async (limits) => {
        const closed = await Promise.all(opened.map((each) => each.close(limits)));
        listeners?.close();
        await adminListener?.close();
        upstreams?.close();
        await logged?.close();
        return closed.reduce((sum, { cut }) => sum + cut, 0);
      },
    };
  } catch (error) {
    await Promise.all(opened.map((each) => each.close({ timeoutMs: 0 })));
    await operated?.close();
    upstreams?.close();
    await logged?.close();
    throw error;
  }
}

/** Has `balancer` listen; `before`, if given, gets its connections first. */
function listenOn(
  balancer: Balancer, where: ListenOptions, before: BeforeServing | undefined,
): Promise<AddressInfo | string> {
  if (before === undefined) return balancer.listen(where);
  return balancer.serve(net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    before(socket, balancer.accept);
  }), where);
}

/** Who picks: of one pool its strategy, of several each with its own. */
function strategiesOf({ pools }: Balancer): string {
  const all = Object.values(pools);
  const [only] = all;
  if (only !== undefined && all.length === 1) return `${only.strategy} strategy`;
  return `pools ${all.map(({ name, strategy }) => `${name} (${strategy})`).join(', ')}`;
}
