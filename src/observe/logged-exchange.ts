/**
 * What a line of the access log tells about: an exchange that is over, or a request that was refused unread.
 */
import type { BalancerEvents, FinishedExchange, ReceivedHeaders } from '../events.ts';

/** As `finished` has it. Of a request that was refused unread, only status, code, address and time are known. */
export interface LoggedExchange extends Omit<FinishedExchange, 'protocol' | 'scheme'> {
  readonly protocol: FinishedExchange['protocol'] | '';
  readonly scheme: FinishedExchange['scheme'] | '';
}

/** A request that was refused unread. */
export function loggedUnread({ status, code, remoteAddress, startedAt }: BalancerEvents['unread']): LoggedExchange {
  const event = {
    id: '', method: '', target: '', host: '', protocol: '', scheme: '', remoteAddress, status, code, pool: undefined,
    upstream: undefined, attempts: 0, bytesIn: 0, bytesOut: 0, startedAt, queuedMs: 0, firstByteMs: undefined,
    durationMs: 0, state: undefined,
  } as const;
  return Object.defineProperty(event, 'requestHeaders', { value: NO_HEADERS }) as unknown as LoggedExchange;
}

const NO_HEADERS: ReceivedHeaders = {
  get: () => null,
  [Symbol.iterator]: () => [][Symbol.iterator](),
};
