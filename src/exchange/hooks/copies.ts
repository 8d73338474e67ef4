/**
 * The copies of one request that a hook asked for: made when the request goes on, fed with its body as an upstream gets
 * it, and left alone when the exchange is over.
 */
import { Mirror, type Mirrored } from '../mirror.ts';
import { named } from '../request-id.ts';
import type { Pool } from '../../pools/pool.ts';
import type { ExchangeServices } from '../services.ts';

export class Copies {
  readonly #mirrors: readonly Mirror[];

  /** Makes a copy for each of the pools, as far as there is room. An upgrade has none: a tunnel is a conversation. */
  constructor(services: ExchangeServices, pools: readonly (Pool | undefined)[], request: Mirrored) {
    this.#mirrors = request.head.upgrade === '' ? pools.flatMap((pool) => made(services, pool, request)) : [];
  }

  /** Sends them. */
  start(): void {
    for (const mirror of this.#mirrors) mirror.start();
  }

  /** Request data. */
  data(bytes: Buffer, from: number, to: number): void {
    for (const mirror of this.#mirrors) mirror.data(bytes, from, to);
  }

  /** The request body is complete. */
  end(trailers: string): void {
    for (const mirror of this.#mirrors) mirror.end(trailers);
  }

  /** The exchange is over. */
  left(): void {
    for (const mirror of this.#mirrors) mirror.left();
  }
}

function made(services: ExchangeServices, pool: Pool | undefined, request: Mirrored): readonly Mirror[] {
  const { mirrors, events } = services;
  if (pool === undefined) return [];
  if (!mirrors.hasRoom) {
    if (events.heard('mirrorDropped')) {
      events.tell('mirrorDropped', { pool: pool.name, reason: 'maxMirrored', ...named(request.head) });
    }
    return [];
  }
  const mirror = new Mirror(services, pool, request);
  mirrors.add(mirror);
  return [mirror];
}
