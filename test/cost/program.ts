/**
 * The balancer of a test of memory: `node --expose-gc --import tsx program.ts <front> <origin>`. From the build, as it
 * is shipped. Sends its port; then, on each request, what it has allocated and promoted since the last one.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import type * as Equipoise from '../../src/index.ts';

export interface Memory {
  /** Memory in use grows by what is allocated, as long as nothing is collected. */
  readonly allocatedBytes: number;
  /** What survived young collections until it was moved to the old space. */
  readonly promotedBytes: number;
  /** Collections that were not requested. What they freed is missing from `allocatedBytes`. */
  readonly collections: number;
}
export type Message = { readonly port: number } | Memory;

type Collection = PerformanceEntry & { readonly detail: { readonly flags: number } };

const [, , front = '', origin = ''] = process.argv;
const BUILD = new URL('../../dist/src/index.js', import.meta.url).href;
const { createBalancer } = await import(BUILD) as typeof Equipoise;

const balancer = createBalancer({ upstreams: [origin] });
if (front === 'listen') {
  send({ port: (await balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo).port });
} else {
  const server = http.createServer(balancer.handle).listen(0, '127.0.0.1', () => {
    send({ port: (server.address() as AddressInfo).port });
  });
}

let collections = 0;
const observer = new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries() as Collection[]) {
    if ((detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) === 0) collections++;
  }
});
observer.observe({ entryTypes: ['gc'] });

let before = { used: 0, old: 0 };
process.on('message', () => {
  const allocatedBytes = used() - before.used;
  const promotedBytes = old() - before.old;
  // The observer is called a turn later.
  setImmediate(() => {
    send({ allocatedBytes, promotedBytes, collections });
    collections = 0;
    globalThis.gc?.();
    before = { used: used(), old: old() };
  });
});
process.once('disconnect', () => process.exit());

function used(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function old(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0;
}

function send(message: Message): void {
  process.send?.(message);
}
