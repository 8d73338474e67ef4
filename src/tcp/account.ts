/**
 * What one connection comes to, for the event `finished`, as `exchange/account.ts` has it of a request.
 */
import { type ErrorCode, meaningOf } from '../errors.ts';
import type { FinishedExchange, ReceivedHeaders } from '../events.ts';
import { requestId } from '../exchange/request-id.ts';
import type { Services } from '../pools/services.ts';
import type { Upstream } from '../strategy.ts';

/** What only the connection knows. */
export interface AccountedConnection {
  readonly remoteAddress: string;
  readonly serverName: string | undefined;
  /** Undefined where no route has found one. */
  readonly pool: string | undefined;
  readonly upstream: Upstream | undefined;
}

export class TcpAccount {
  /** Octets that were relayed from the downstream, and to it. */
  received = 0;
  sent = 0;
  /** Attempts begun. */
  attempts = 0;
  readonly #services: Services;
  /** Whether there was a listener from the start. If not, times are those of the last tick of the clock. */
  readonly #precise: boolean;
  readonly #epoch: number;
  readonly #began: number;
  #connected = false;
  #firstByteAt = -1;
  #queuedAt = -1;
  #queuedMs = 0;
  #code: ErrorCode | undefined;

  constructor(services: Services) {
    const { clock, events } = services;
    this.#services = services;
    this.#precise = events.heard('finished') || events.meters.current !== undefined;
    this.#epoch = this.#precise ? clock.source.epoch() : 0;
    this.#began = this.#now;
  }

  /** It waits for room, unless it does already. */
  queued(): void {
    if (this.#queuedAt < 0) this.#queuedAt = this.#now;
  }

  /** It waits no longer. */
  unqueued(): void {
    if (this.#queuedAt < 0) return;
    this.#queuedMs += this.#now - this.#queuedAt;
    this.#queuedAt = -1;
  }

  /** An upstream is connected. */
  connected(): void {
    this.#connected = true;
  }

  /** Octets for the downstream. */
  relayed(count: number): void {
    if (this.sent === 0) this.#firstByteAt = this.#now;
    this.sent += count;
  }

  /** It failed. The first failure counts: others follow from it. */
  failed(code: ErrorCode): void {
    this.#code ??= code;
  }

  /** It is over. Tells the listeners, if there are any. */
  tell({ remoteAddress, serverName, pool, upstream }: AccountedConnection): void {
    const { events, clock } = this.#services;
    const meter = events.meters.current;
    if (meter === undefined && !events.heard('finished')) return;
    const code = this.#code;
    const failed = code === undefined || code === 'DOWNSTREAM_GONE' ? LEFT : meaningOf(code).status;
    const status = this.#connected ? CONNECTED : failed;
    const durationMs = this.#now - this.#began;
    meter?.exchange(pool ?? '', '', status, durationMs);
    if (!events.heard('finished')) return;
    const event = {
      id: requestId(undefined),
      method: '',
      target: '',
      host: '',
      protocol: 'tcp',
      scheme: 'tcp',
      serverName,
      remoteAddress,
      status,
      code,
      pool,
      upstream,
      attempts: this.attempts,
      bytesIn: this.received,
      bytesOut: this.sent,
      startedAt: this.#precise ? this.#epoch : clock.source.epoch() - Math.round(durationMs),
      queuedMs: this.#queuedMs,
      firstByteMs: this.#firstByteAt < 0 ? undefined : this.#firstByteAt - this.#began,
      durationMs,
      state: undefined,
    } as const;
    // Not enumerable, as in that of a request.
    events.tell('finished', Object.defineProperty(event, 'requestHeaders', { value: NO_HEADERS }) as unknown as
      FinishedExchange);
  }

  get #now(): number {
    const { clock } = this.#services;
    return this.#precise ? clock.source.now() : clock.now;
  }
}

/** The statuses of nginx's log of its streams: 200 once an upstream is connected, else why not. */
const CONNECTED = 200;
const LEFT = 499;
const NO_HEADERS: ReceivedHeaders = {
  get: () => null,
  [Symbol.iterator]: () => [][Symbol.iterator](),
};
