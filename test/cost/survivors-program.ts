/**
 * The balancer of survivors.test.ts: `node --expose-gc --import tsx survivors-program.ts <front> <origin>`. From the
 * build, as it is shipped. Tells its port; then, each time it is asked, how much has grown old since it was asked last.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { getHeapSpaceStatistics } from 'node:v8';
import type * as Equipoise from '../../src/index.ts';

/** What it tells. */
export type Told = { readonly port: number } | { readonly promotedBytes: number };

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

let before = 0;
process.on('message', () => {
  const promotedBytes = old() - before;
  globalThis.gc?.();
  before = old();
  tell({ promotedBytes });
});
process.once('disconnect', () => process.exit());

/** What has survived young collections until it was moved to the old space. */
function old(): number {
  const spaces = getHeapSpaceStatistics().filter(({ space_name }) => space_name === 'old_space');
  return spaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
}

function tell(told: Told): void {
  process.send?.(told);
}
