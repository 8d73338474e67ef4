/**
 * Runs the configured balancer, in a single process or in each worker.
 */
import type { Balancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import { openAccessLog } from './access-log.ts';
import type { Configuration } from './config.ts';
import { startDemo } from './demo.ts';
import { listenEverywhere } from './listening.ts';
import { logEvents, reportLog } from './log.ts';
import { withPeers } from './pools.ts';
import { createEither, readyLine } from './tcp.ts';
import { TlsListeners } from './tls/listeners.ts';
import { createRedirect, HTTPS_PORT } from './tls/redirect.ts';
import type { TlsSettings } from './tls/settings.ts';

/** A listening balancer. */
export interface Serving {
  readonly balancer: Balancer;
  /** The line to print when it is ready. */
  readonly line: string;
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
  readonly log: (text: string) => void;
  /** Connects a pool with those of the other workers. */
  readonly peers?: (pool: string) => Channel;
  /** The key of session tickets, which `tls:` listeners need. */
  readonly ticketKey?: Buffer | undefined;
}

/** Starts a balancer. If that fails, closes what was started. */
export async function serve(
  { listen, options, accessLog, tls, tcp }: Configuration, { demo, log, peers, ticketKey }: Means,
): Promise<Serving> {
  const now = (): number => performance.now();
  const logged = accessLog && openAccessLog(accessLog, log);
  const upstreams = demo ? await startDemo() : undefined;
  const opened: Balancer[] = [];
  let secure: TlsListeners | undefined;
  try {
    const given = upstreams === undefined ? options : { ...options, upstreams: upstreams.origins };
    const balancer = createEither(tcp, {
      onReport: reportLog(log, now),
      ...(peers === undefined ? given : withPeers(given, peers)),
    });
    opened.push(balancer);
    logEvents(balancer, log, now);
    logged?.start(balancer);
    if (tls !== undefined && ticketKey !== undefined) {
      secure = new TlsListeners(tls, { balancer, ticketKey, log, now });
    }
    const listeners = secure;
    let httpsPort: number | undefined;
    let redirect: Balancer | undefined;
    const addresses = await listenEverywhere({
      http: balancer.listen.bind(balancer),
      tls: async (where) => {
        if (listeners === undefined) throw new Error('there are no certificates');
        const address = await balancer.serve(listeners.createServer(), where);
        httpsPort ??= typeof address === 'string' ? HTTPS_PORT : address.port;
        return address;
      },
      redirect: (where) => {
        if (redirect === undefined) {
          redirect = createRedirect(() => httpsPort ?? HTTPS_PORT, reportLog(log, now));
          opened.push(redirect);
        }
        return redirect.listen(where);
      },
    }, listen);
    const shown = addresses.map(({ text }) => text);
    return {
      balancer,
      line: readyLine(strategiesOf(balancer), shown.join(', '), tcp),
      reopen: () => logged?.reopen() === true,
      secure: (settings) => {
        listeners?.apply(settings);
      },
      setTicketKey: (key) => {
        listeners?.setTicketKey(key);
      },
      close: async (limits) => {
        const goingAway = listeners && setTimeout(() => {
          listeners.close();
        }, limits.delayMs);
        const closed = await Promise.all(opened.map((each) => each.close(limits)));
        clearTimeout(goingAway);
        upstreams?.close();
        await logged?.close();
        return closed.reduce((sum, { cut }) => sum + cut, 0);
      },
    };
  } catch (error) {
    await Promise.all(opened.map((each) => each.close({ timeoutMs: 0 })));
    upstreams?.close();
    await logged?.close();
    throw error;
  }
}

/** Who picks: of one pool its strategy, of several each with its own. */
function strategiesOf({ pools }: Balancer): string {
  const all = Object.values(pools);
  const [only] = all;
  if (only !== undefined && all.length === 1) return `${only.strategy} strategy`;
  return `pools ${all.map(({ name, strategy }) => `${name} (${strategy})`).join(', ')}`;
}
