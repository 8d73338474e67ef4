/**
 * The balancer of allocations.test.ts: `node --expose-gc --import tsx program.ts <front> <origin>`. From the build, as
 * it is shipped. Tells its port; then, each time it is asked, what it has allocated since it was asked last.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import type * as Equipoise from '../../src/index.ts';

/** What it tells. */
export type Told = { readonly port: number } | {
  readonly allocatedBytes: number;
  /** Collections that came by themselves: what they took is missing from the octets. */
  readonly collections: number;
};

type Collection = PerformanceEntry & { readonly detail: { readonly flags: number } };

const [, , front = '', origin = ''] = process.argv;
const BUILD = new URL('../../dist/src/index.js', import.meta.url).href;
const { createBalancer } = await import(BUILD) as typeof Equipoise;

const balancer = createBalancer({ upstreams: [origin] });
if (front === 'listen') {
  tell({ port: (await balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo).port });
} else {
  const server = http.createServer(balancer.handle).listen(0, '127.0.0.1', () => {
    tell({ port: (server.address() as AddressInfo).port });
  });
}

let collections = 0;
const observer = new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries() as Collection[]) {
    if ((detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) === 0) collections++;
  }
});
observer.observe({ entryTypes: ['gc'] });

let before = 0;
process.on('message', () => {
  // What is in use grows by what is allocated, as long as nothing is collected.
  const allocatedBytes = used() - before;
  // The observer hears of collections a turn later.
  setImmediate(() => {
    tell({ allocatedBytes, collections });
    collections = 0;
    globalThis.gc?.();
    before = used();
  });
});
process.once('disconnect', () => process.exit());

function used(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function tell(told: Told): void {
  process.send?.(told);
}
