/**
 * Runs the configured balancer, in a single process or in each worker.
 */
import { type Balancer, createBalancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import { openAccessLog } from './access-log.ts';
import type { Configuration } from './config.ts';
import { startDemo } from './demo.ts';
import { listenEverywhere } from './listening.ts';
import { logEvents, reportLog } from './log.ts';
import type { Log } from './log-line.ts';
import { withPeers } from './pools.ts';

/** A listening balancer. */
export interface Serving {
  readonly balancer: Balancer;
  /** The line to print when it is ready. */
  readonly line: string;
  /** Reopens the file of the access log. Returns whether there is one. */
  reopen(): boolean;
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
}

/** Starts a balancer. If that fails, closes what was started. */
export async function serve(
  { listen, options, accessLog }: Configuration, { demo, log, peers }: Means,
): Promise<Serving> {
  const logged = accessLog && openAccessLog(accessLog, log);
  const upstreams = demo ? await startDemo() : undefined;
  let balancer: Balancer | undefined;
  try {
    const given = upstreams === undefined ? options : { ...options, upstreams: upstreams.origins };
    balancer = createBalancer({
      onReport: reportLog(log, () => performance.now()),
      ...(peers === undefined ? given : withPeers(given, peers)),
    });
    logEvents(balancer, log, () => performance.now());
    logged?.start(balancer);
    const addresses = await listenEverywhere(balancer, listen);
    const serving = balancer;
    return {
      balancer,
      line: `Load balancer with ${strategiesOf(balancer)} listening on ${addresses.join(', ')}`,
      reopen: () => logged?.reopen() === true,
      close: async (limits) => {
        const { cut } = await serving.close(limits);
        upstreams?.close();
        await logged?.close();
        return cut;
      },
    };
  } catch (error) {
    await balancer?.close({ timeoutMs: 0 });
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
