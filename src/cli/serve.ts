/**
 * A balancer that serves as it is configured: what the binary runs, in its own process or in each worker.
 */
import type { AddressInfo } from 'node:net';
import { type Balancer, createBalancer } from '../balancer.ts';
import type { Channel } from '../channel.ts';
import type { Configuration } from './config.ts';
import { startDemo } from './demo.ts';
import { reportLog } from './log.ts';

/** A balancer that listens. */
export interface Serving {
  readonly balancer: Balancer;
  /** What is told when it is ready. */
  readonly line: string;
  /** Drains it. Resolves with the number of connections that were cut. */
  close(timeoutMs: number): Promise<number>;
}

/** What a balancer is served with, besides its configuration. */
export interface Means {
  /** Whether the demo's upstreams are started, and balanced over. */
  readonly demo: boolean;
  readonly log: (text: string) => void;
  /** Where it meets the balancers of the other workers. */
  readonly peers?: Channel;
}

/** Starts a balancer. What was started is ended if that fails. */
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
    const addresses: string[] = [];
    for (const where of listen) addresses.push(shown(await balancer.listen(where)));
    const serving = balancer;
    return {
      balancer,
      line: `Load balancer with ${balancer.strategy} strategy listening on ${addresses.join(', ')}`,
      close: async (timeoutMs) => {
        const { cut } = await serving.close({ timeoutMs });
        upstreams?.close();
        if (cut > 0) log(`${cut} connections were cut: they took longer than the drain timeout`);
        return cut;
      },
    };
  } catch (error) {
    await balancer?.close({ timeoutMs: 0 });
    upstreams?.close();
    throw error;
  }
}

/** An address as it is typed into a browser. A wildcard is shown as the loopback address, where it answers too. */
function shown(address: AddressInfo | string): string {
  if (typeof address === 'string') return `unix:${address}`;
  const { family, port } = address;
  const host = address.address === '::' || address.address === '0.0.0.0' ? '127.0.0.1' : address.address;
  return `http://${family === 'IPv6' && host !== '127.0.0.1' ? `[${host}]` : host}:${port}`;
}
