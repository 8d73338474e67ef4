/**
 * Runs the configured balancer, in a single process or in each worker.
 */
import { type Balancer, createBalancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import type { Configuration } from './config.ts';
import { startDemo } from './demo.ts';
import { listenEverywhere } from './listening.ts';
import { logEvents, reportLog } from './log.ts';

/** A listening balancer. */
export interface Serving {
  readonly balancer: Balancer;
  /** The line to print when it is ready. */
  readonly line: string;
  /** Drains it like `balancer.close`. Resolves with the number of connections that were cut. */
  close(limits: { readonly timeoutMs: number; readonly delayMs: number }): Promise<number>;
}

/** What `serve` needs besides the configuration. */
export interface Means {
  /** Whether to start the demo's upstreams and balance over them. */
  readonly demo: boolean;
  readonly log: (text: string) => void;
  /** Connects it with the balancers of the other workers. */
  readonly peers?: Channel;
}

/** Starts a balancer. If that fails, closes what was started. */
export async function serve({ listen, options }: Configuration, { demo, log, ...seams }: Means): Promise<Serving> {
  const upstreams = demo ? await startDemo() : undefined;
  let balancer: Balancer | undefined;
  try {
    balancer = createBalancer({
      onReport: reportLog(log, () => performance.now()),
      ...options,
      ...seams,
      ...(upstreams === undefined ? {} : { upstreams: upstreams.origins }),
    });
    logEvents(balancer, log, () => performance.now());
    const addresses = await listenEverywhere(balancer, listen);
    const serving = balancer;
    return {
      balancer,
      line: `Load balancer with ${balancer.strategy} strategy listening on ${addresses.join(', ')}`,
      close: async (limits) => {
        const { cut } = await serving.close(limits);
        upstreams?.close();
        return cut;
      },
    };
  } catch (error) {
    await balancer?.close({ timeoutMs: 0 });
    upstreams?.close();
    throw error;
  }
}
