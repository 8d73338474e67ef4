/**
 * The `finished` and `unread` events of a balancer under test.
 */
import assert from 'node:assert/strict';
import type { BalancerEvents, FinishedExchange } from '../../src/events.ts';
import type { BalancerUnderTest } from './balancer.ts';
import { Signal } from './wait.ts';

export class Finished {
  readonly all: FinishedExchange[] = [];
  readonly unread: BalancerEvents['unread'][] = [];
  readonly #signal = new Signal();

  constructor({ balancer }: BalancerUnderTest) {
    balancer.on('finished', (event) => {
      this.all.push(event);
      this.#signal.raise();
    });
    balancer.on('unread', (event) => {
      this.unread.push(event);
      this.#signal.raise();
    });
  }

  /** Resolves with the event of the `count`th exchange that ends. */
  async one(count = 1): Promise<FinishedExchange> {
    await this.#signal.until(() => this.all.length >= count, () => `${count} finished; got ${this.#shown()}`);
    const event = this.all[count - 1];
    assert.ok(event !== undefined);
    return event;
  }

  /** Resolves when `count` requests were refused unread. */
  refused(count: number): Promise<void> {
    return this.#signal.until(() => this.unread.length >= count, () => `${count} unread; got ${this.unread.length}`);
  }

  #shown(): string {
    return this.all.map(({ method, target, status, code }) => `${method} ${target} ${status} ${code ?? ''}`).join(', ');
  }
}
