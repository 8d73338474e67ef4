/**
 * What a strategy sees when it picks a worker for a connection.
 */
import type { PickContext } from '../../strategy.ts';

export class ConnectionContext implements PickContext<undefined> {
  readonly attempt = 1;
  readonly remoteAddress: string;
  readonly request = undefined;
  /** When the connection was handed over. */
  readonly now: number;
  note: unknown;

  constructor(remoteAddress: string, now: number) {
    this.remoteAddress = remoteAddress;
    this.now = now;
  }

  /** A connection has no response. */
  respondWith(): void {
    // Nothing to add it to.
  }
}
