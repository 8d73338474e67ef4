/**
 * What admins have ordered: which upstreams are drained, and which have another weight. All workers hold the same
 * orders, whichever of them was asked and in whatever order they learn of it: the latest order for an upstream counts.
 */
import { faultText, guarded } from '../../guard.ts';
import { isRecord } from '../../options/checks.ts';
import type { Upstream } from '../../strategy.ts';
import type { Administered, AdministeredPool } from './administered.ts';

/** What is ordered for one upstream. */
export interface Order {
  readonly pool: string;
  readonly origin: string;
  readonly drained: boolean;
  /** In place of the weight that was configured when this was ordered. */
  readonly weight?: number;
  readonly insteadOf?: number;
  /** The larger one is the later one; of two that are equal, the one whose `by` sorts last counts. */
  readonly version: number;
  /** Who ordered it. */
  readonly by: string;
}

/** What an admin asks for. */
export type Wish = { readonly drained: boolean } | { readonly weight: number };

export class Orders {
  readonly #balancer: Administered;
  readonly #me: string;
  readonly #onChange: ((orders: readonly Order[]) => void) | undefined;
  readonly #all = new Map<string, Order>();
  /** That of the latest order of all. */
  #version = 0;

  constructor(balancer: Administered, me: string, onChange: ((orders: readonly Order[]) => void) | undefined) {
    this.#balancer = balancer;
    this.#me = me;
    this.#onChange = onChange;
  }

  /** Those for upstreams that there are. */
  get all(): readonly Order[] {
    return [...this.#all.values()].filter(({ pool, origin }) => this.#find(pool, origin) !== undefined);
  }

  /** The weight that was ordered, if it is that of today's configuration that it was ordered in place of. */
  weightOf(pool: string, { origin, configuredWeight }: Upstream): number | undefined {
    const { weight, insteadOf } = this.#all.get(keyOf(pool, origin)) ?? {};
    return insteadOf === configuredWeight ? weight : undefined;
  }

  /** The order that fulfils `wish`. Not obeyed yet. */
  of(pool: string, origin: string, wish: Wish): Order {
    const before = this.#all.get(keyOf(pool, origin));
    const upstream = this.#find(pool, origin)?.upstreams.find((one) => one.origin === origin);
    const configured = upstream?.configuredWeight ?? 1;
    const kept = before?.weight !== undefined && before.insteadOf === configured
      ? { weight: before.weight, insteadOf: configured } : {};
    const isDrained = upstream?.state === 'draining' || upstream?.state === 'drained';
    return {
      pool, origin, drained: before?.drained ?? isDrained, ...kept,
      ...('weight' in wish ? { weight: wish.weight, insteadOf: configured } : wish),
      version: this.#version + 1, by: this.#me,
    };
  }

  /**
   * Obeys an order, unless there is a later one. Returns whether there is such an upstream here; one for an upstream
   * that there is not is forgotten, as `remove` ends what was ordered for it.
   */
  obey(order: Order): boolean {
    this.#version = Math.max(this.#version, order.version);
    const { origin, drained, weight, insteadOf } = order;
    const pool = this.#find(order.pool, origin);
    if (pool === undefined) return false;
    const key = keyOf(order.pool, origin);
    const before = this.#all.get(key);
    if (before !== undefined && !isLater(order, before)) return true;
    // What the configuration says since then counts more.
    const configured = pool.upstreams.find((one) => one.origin === origin)?.configuredWeight;
    try {
      if (weight !== undefined && insteadOf === configured) {
        pool.setWeight(origin, weight === insteadOf ? undefined : weight);
      }
      if (drained) pool.drain(origin).catch(gone);
      else pool.activate(origin);
    } catch {
      // It is being removed.
      return false;
    }
    this.#all.set(key, order);
    this.tell();
    return true;
  }

  /** Says what is ordered now. */
  tell(): void {
    const { all } = this;
    guarded(() => this.#onChange?.(all), (what, cause) => {
      process.emitWarning(`onOrders ${faultText(what, cause)}`);
    });
  }

  /** An upstream was removed: what was ordered for it is over. */
  forget(pool: string, origin: string): void {
    if (this.#find(pool, origin) === undefined) this.#all.delete(keyOf(pool, origin));
  }

  /** The pool, if it has such an upstream that is not being removed. */
  #find(name: string, origin: string): AdministeredPool | undefined {
    const { pools } = this.#balancer;
    const pool = Object.hasOwn(pools, name) ? pools[name] : undefined;
    return pool?.upstreams.some((one) => one.origin === origin) === true ? pool : undefined;
  }
}

/** What comes from another process, or from a file, as orders: what is not understood is left out. */
export function ordersIn(value: unknown): readonly Order[] {
  return Array.isArray(value) ? value.filter(isOrder) : [];
}

function isOrder(value: unknown): value is Order {
  if (!isRecord(value)) return false;
  const { pool, origin, drained, weight, insteadOf, version, by } = value;
  const isWeight = (one: unknown): boolean => one === undefined || typeof one === 'number';
  return typeof pool === 'string' && typeof origin === 'string' && typeof drained === 'boolean' && isWeight(weight) &&
    isWeight(insteadOf) && Number.isSafeInteger(version) && typeof by === 'string';
}

/** It was removed: there is nothing left to drain. */
function gone(): void {
  // Nobody waits for it.
}

function isLater(order: Order, before: Order): boolean {
  return order.version > before.version || (order.version === before.version && order.by > before.by);
}

function keyOf(pool: string, origin: string): string {
  return `${pool} ${origin}`;
}
