/**
 * Reloads: one at a time, and at most one that follows. A reload changes the desired state, and takes the change back
 * if a new worker fails; replacing the workers is left to the supervisor's reconciliation.
 */
import { messageOf } from '../../guard.ts';
import type { LaunchEvent } from '../events.ts';
import type { DesiredState, StateBefore } from './desired-state.ts';
import type { PlanChange } from './plan.ts';

export interface ReloadsWorld {
  readonly desired: DesiredState;
  /** Says what changes by a reload that does not say so itself. */
  readonly onReload: (() => Promise<PlanChange>) | undefined;
  readonly tell: (event: LaunchEvent) => void;
  /** Called when the desired state has changed. */
  readonly reconcile: () => void;
}

/** The reload that is under way. */
interface Reload {
  readonly settle: (complete: boolean) => void;
  /** What was wanted before; undefined while `onReload` is asked. */
  before: StateBefore | undefined;
  /** How many workers are wanted as soon as the first new one is ready. */
  workers: number | undefined;
}

/** The reload that follows: workers that the current one starts may have read what was there before. */
interface FollowingReload {
  readonly complete: Promise<boolean>;
  readonly settle: (complete: boolean) => void;
  change: PlanChange | undefined;
}

export class Reloads {
  readonly #world: ReloadsWorld;
  #current: Reload | undefined;
  #following: FollowingReload | undefined;

  constructor(world: ReloadsWorld) {
    this.#world = world;
  }

  /** Resolves with whether all workers were replaced. During a reload, all requests become one that follows it. */
  request(change: PlanChange | undefined): Promise<boolean> {
    if (this.#following !== undefined) {
      this.#following.change = change ?? this.#following.change;
      return this.#following.complete;
    }
    let settle: (complete: boolean) => void = () => undefined;
    const complete = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    if (this.#current === undefined) this.#begin(settle, change);
    else this.#following = { complete, settle, change };
    return complete;
  }

  /** Whether workers are being replaced. */
  get replacing(): boolean {
    return this.#current?.before !== undefined;
  }

  /** A new worker is ready: the number of workers that the reload asks for holds, so that others may go. */
  newWorkerReady(): void {
    const workers = this.#current?.workers;
    if (workers !== undefined) this.#resize(workers);
  }

  /** All workers are replaced. */
  complete(): void {
    this.#world.tell({ type: 'reloaded' });
    this.#end(true);
  }

  /** A new worker failed: what was wanted before the reload is wanted again. */
  newWorkerFailed(why: string): void {
    if (this.#current?.before === undefined) return;
    const { before, workers } = this.#current;
    const { desired } = this.#world;
    desired.generation = before.generation;
    desired.plan = before.plan;
    if (workers === desired.workers) this.#resize(before.workers);
    this.#fail(why);
  }

  /** The launch ends: no reload completes any more, and workers that were to be replaced may stay. */
  abandon(): void {
    const [current, following] = [this.#current, this.#following];
    this.#current = this.#following = undefined;
    if (current?.before !== undefined) this.#world.desired.generation = current.before.generation;
    current?.settle(false);
    following?.settle(false);
  }

  #begin(settle: (complete: boolean) => void, change: PlanChange | undefined): void {
    const reload: Reload = { settle, before: undefined, workers: undefined };
    this.#current = reload;
    const { onReload, tell } = this.#world;
    tell({ type: 'reloading' });
    // A listener may have ended the launch.
    if (this.#current !== reload) return;
    if (change !== undefined || onReload === undefined) {
      this.#apply(reload, change ?? {});
      return;
    }
    onReload().then((given) => {
      if (this.#current === reload) this.#apply(reload, given);
    }, (cause: unknown) => {
      if (this.#current === reload) this.#fail(messageOf(cause));
    });
  }

  #apply(reload: Reload, { workers, ...change }: PlanChange): void {
    reload.before = this.#world.desired.renew(change);
    reload.workers = workers;
    this.#world.reconcile();
  }

  #resize(workers: number): void {
    const { desired, tell } = this.#world;
    if (workers === desired.workers) return;
    desired.workers = workers;
    tell({ type: 'resized', workers });
  }

  #fail(why: string): void {
    this.#world.tell({ type: 'reload-failed', why });
    this.#end(false);
  }

  #end(complete: boolean): void {
    const [current, following] = [this.#current, this.#following];
    this.#current = this.#following = undefined;
    current?.settle(complete);
    if (following !== undefined) this.#begin(following.settle, following.change);
  }
}
