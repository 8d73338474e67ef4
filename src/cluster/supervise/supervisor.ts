/**
 * The supervisor: reconciles the workers that are wanted with those that are there. Pure: processes, time and chance
 * come in; what happens goes out as events.
 */
import type { TimeSource } from '../../loop/clock.ts';
import { messageOf } from '../../guard.ts';
import type { LaunchEvent } from '../events.ts';
import type { Plan, PlanChange } from './plan.ts';
import { nextStep, type Step } from './reconcile.ts';
import { Respawn } from './respawn.ts';
import { type Death, SupervisedWorker, type WorkerInfo, type WorkerProcess, whyItDied } from './worker-state.ts';

/** What becomes known of a worker. */
export type Told =
  | { readonly type: 'ready' }
  | { readonly type: 'alive' }
  /** It began to drain by itself, on a signal of its own. */
  | { readonly type: 'draining' }
  /** It has drained, and cut so many connections for that. */
  | { readonly type: 'drained'; readonly cut?: number }
  | { readonly type: 'failed'; readonly text: string }
  /** Its process has ended. `again`: what it failed for has been mended, so that another one may start in its place. */
  | { readonly type: 'gone'; readonly again?: boolean } & Death;

/** Starts a worker's process, of which `told` is told from the next turn of the event loop on. */
export type Fork = (worker: WorkerInfo, plan: Plan, told: (what: Told) => void) => WorkerProcess;

export interface SupervisorSettings extends Plan {
  readonly workers: number;
  readonly startTimeoutMs: number;
  readonly hungTimeoutMs: number;
}

/** What it needs of the world. */
export interface World {
  readonly fork: Fork;
  /** Says what a reload changes that was asked for without a change of its own. */
  readonly onReload?: (() => Promise<PlanChange>) | undefined;
  readonly tell: (event: LaunchEvent) => void;
  readonly time: TimeSource;
  readonly rng: () => number;
}

/** A reload that is under way. */
interface Reload {
  readonly settle: (complete: boolean) => void;
  /** What there was before; undefined until it is known what the reload changes. */
  before: { readonly generation: number; readonly plan: Plan; readonly workers: number } | undefined;
  /** How many workers are wanted as of the first new one that is ready. */
  workers: number | undefined;
}

/** A reload that follows the one that is under way: workers that start now may have read what was there before. */
interface FollowingReload {
  readonly complete: Promise<boolean>;
  readonly settle: (complete: boolean) => void;
  change: PlanChange | undefined;
}

export class Supervisor {
  /** Resolves with the exit code when the last worker is gone after `close` or a halt. */
  readonly done: Promise<number>;
  readonly #settings: SupervisorSettings;
  readonly #world: World;
  readonly #respawn: Respawn;
  #phase: 'launching' | 'serving' | 'stopping' | 'closing' | 'done' = 'launching';
  /** While stopping: when workers are to drain. */
  #drainAt = Infinity;
  #desired: number;
  #plan: Plan;
  /** Workers of an earlier one are to be replaced. */
  #generation = 0;
  #lastGeneration = 0;
  #lastId = 0;
  #workers: SupervisedWorker[] = [];
  /** Until when replacements of dead workers are held back, one entry for each. */
  #holds: number[] = [];
  #reload: Reload | undefined;
  #following: FollowingReload | undefined;
  #code = 0;
  /** What the worker said with which the launch failed. */
  #haltedFor: string | undefined;
  #sweptAt: number;
  #resolve: (code: number) => void = () => undefined;
  #stopTicks: () => void = () => undefined;

  constructor(settings: SupervisorSettings, world: World) {
    this.#settings = settings;
    this.#world = world;
    this.#respawn = new Respawn(world.rng);
    this.#desired = settings.workers;
    const { drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup } = settings;
    this.#plan = { drainTimeoutMs, stopDelayMs, reloadTimeoutMs, setup };
    this.#sweptAt = world.time.now();
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get workers(): readonly WorkerInfo[] {
    return this.#workers.map(({ info }) => info);
  }

  /** How many workers are wanted. */
  get desired(): number {
    return this.#desired;
  }

  start(): void {
    this.#stopTicks = this.#world.time.every(TICK_MS, () => {
      this.#sweep();
    });
    this.#reconcile();
  }

  /**
   * Replaces all workers, one at a time, by those of the changed plan. Resolves with whether all could be: if not, the
   * plan is what it was. Asked for during a reload, it follows that, once however often it is asked for.
   */
  reload(change?: PlanChange): Promise<boolean> {
    if (this.#ending) return Promise.resolve(false);
    if (this.#following !== undefined) {
      this.#following.change = change ?? this.#following.change;
      return this.#following.complete;
    }
    let settle: (complete: boolean) => void = () => undefined;
    const complete = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    if (this.#reload === undefined) this.#beginReload(settle, change);
    else this.#following = { complete, settle, change };
    return complete;
  }

  /** Wants another number of workers. */
  resize(workers: number): void {
    if (this.#ending || workers === this.#desired) return;
    this.#desired = workers;
    this.#world.tell({ type: 'resized', workers });
    this.#reconcile();
  }

  /** Drains all workers, after the stop delay: until then they serve, and those that die are replaced. */
  close(why: string): void {
    if (this.#ending) return;
    // Before the launch is complete, nobody counts on it.
    const delayMs = this.#phase === 'serving' ? this.#plan.stopDelayMs : 0;
    this.#world.tell({ type: 'closing', why, ...(delayMs === 0 ? {} : { delayMs }) });
    if (delayMs === 0) {
      this.#end(this.#plan.drainTimeoutMs);
      return;
    }
    this.#phase = 'stopping';
    this.#drainAt = this.#world.time.now() + delayMs;
    // Workers that a reload was to replace may stay.
    this.#generation = this.#reload?.before?.generation ?? this.#generation;
    this.#endReload(false);
    for (const worker of this.#workers) worker.stopSoon();
  }

  /** Ends all workers at once. */
  stop(why: string): void {
    if (this.#phase === 'done') return;
    this.#code = Math.max(this.#code, 1);
    this.#end(0);
    for (const worker of this.#workers) this.#kill(worker, why);
  }

  /** Ends the launch for a failure of the primary's own. */
  fail(why: string): void {
    if (this.#phase === 'done') return;
    this.#world.tell({ type: 'failed', why });
    this.#code = 1;
    this.#end(Math.min(this.#plan.drainTimeoutMs, HALT_DRAIN_MS));
  }

  /** Whether it was told to end. */
  get #ending(): boolean {
    return this.#phase === 'stopping' || this.#draining;
  }

  /** Whether no worker is wanted any more. */
  get #draining(): boolean {
    return this.#phase === 'closing' || this.#phase === 'done';
  }

  /** Does what brings the workers that are there nearer to those that are wanted. */
  #reconcile(): void {
    if (this.#phase === 'closing' && this.#workers.length === 0) this.#finish();
    if (this.#draining) return;
    const now = this.#world.time.now();
    this.#holds = this.#holds.filter((until) => until > now);
    for (let step = this.#next(); step !== undefined; step = this.#next()) {
      if (step.what === 'fork') this.#fork();
      else this.#drain(step.worker, now, step.why);
    }
    if (this.#phase === 'launching' && this.#ready() >= this.#desired) {
      this.#phase = 'serving';
      this.#world.tell({ type: 'launched', workers: this.#ready() });
    }
    const replaced = !this.#workers.some(({ wanted, generation }) => wanted && generation < this.#generation);
    if (this.#reload?.before !== undefined && replaced && this.#ready() >= this.#desired) {
      this.#world.tell({ type: 'reloaded' });
      this.#endReload(true);
    }
  }

  #next(): Step | undefined {
    const desired = { workers: this.#desired, generation: this.#generation, held: this.#holds.length };
    return nextStep(this.#workers, desired);
  }

  #fork(): void {
    const { fork, time, tell } = this.#world;
    const worker = new SupervisedWorker(++this.#lastId, this.#generation, time.now(), this.#settings.startTimeoutMs);
    this.#workers.push(worker);
    worker.attach(fork(worker, this.#plan, (what) => {
      this.#told(worker, what);
    }));
    tell({ type: 'starting', worker: worker.info });
  }

  #told(worker: SupervisedWorker, what: Told): void {
    const now = this.#world.time.now();
    worker.heard(now);
    switch (what.type) {
      case 'alive': return;
      case 'ready':
        if (!worker.ready(now)) break;
        this.#world.tell({ type: 'ready', worker: worker.info });
        if (this.#phase === 'stopping') worker.stopSoon();
        if (worker.generation === this.#generation) this.#resizeByReload();
        break;
      case 'draining':
        if (worker.wanted) this.#drain(worker, now, 'it was asked to', false);
        break;
      case 'drained':
        worker.finished(now);
        if (what.cut !== undefined && what.cut > 0) {
          this.#world.tell({ type: 'cut', worker: worker.info, connections: what.cut });
        }
        break;
      case 'failed':
        worker.failed(now, what.text);
        break;
      case 'gone':
        this.#gone(worker, what, now);
        break;
    }
    this.#reconcile();
  }

  #gone(worker: SupervisedWorker, { code, signal, again = false }: Death & { again?: boolean }, now: number): void {
    const was = worker.gone();
    if (was === 'gone') return;
    this.#workers = this.#workers.filter((other) => other !== worker);
    const { info, failure, killedFor, drained } = worker;
    const expected = was === 'draining' || (again && was === 'starting');
    const killed = killedFor !== undefined;
    // Workers often fail alike, such as where a port is in use: that is told once.
    const news = failure === this.#haltedFor ? '' : failure;
    this.#world.tell({ type: 'gone', worker: info, expected, killed, code, signal, failure: news });
    if (this.#draining) {
      // Killed after it had drained, or before it served anything, it has lost nothing.
      const clean = drained || worker.readyAt === undefined;
      if (code !== 0 && !(signal !== null && clean)) this.#code ||= code ?? 1;
      return;
    }
    if (expected) return;
    const why = killedFor ?? `${whyItDied({ code, signal })}${failure === '' ? '' : `: ${failure}`}`;
    if (was === 'starting' && this.#phase === 'launching') {
      this.#haltedFor = failure;
      this.#halt(info, code);
    } else {
      if (was === 'starting' && worker.generation === this.#generation) this.#failReload(why);
      this.#makeUpFor(worker, now);
    }
  }

  /** A worker that can't be made ready is no crash to recover from: starting it again would fail again. */
  #halt(worker: WorkerInfo, code: number | null): void {
    this.#code = code === null || code === 0 ? 1 : code;
    this.#world.tell({ type: 'halted', worker, code: this.#code });
    this.#end(Math.min(this.#plan.drainTimeoutMs, HALT_DRAIN_MS));
  }

  #beginReload(settle: (complete: boolean) => void, change: PlanChange | undefined): void {
    const reload: Reload = { settle, before: undefined, workers: undefined };
    this.#reload = reload;
    this.#world.tell({ type: 'reloading' });
    const { onReload } = this.#world;
    if (change !== undefined || onReload === undefined) {
      this.#carryOut(reload, change ?? {});
      return;
    }
    onReload().then((given) => {
      if (this.#reload === reload) this.#carryOut(reload, given);
    }, (cause: unknown) => {
      if (this.#reload === reload) this.#giveUpReload(messageOf(cause));
    });
  }

  #carryOut(reload: Reload, { workers, ...change }: PlanChange): void {
    reload.before = { generation: this.#generation, plan: this.#plan, workers: this.#desired };
    reload.workers = workers;
    this.#plan = { ...this.#plan, ...change };
    this.#generation = ++this.#lastGeneration;
    this.#reconcile();
  }

  /** Has as many workers as the reload wants. A new one is ready: those that are too many may go. */
  #resizeByReload(): void {
    const workers = this.#reload?.workers;
    if (workers === undefined || workers === this.#desired) return;
    this.#desired = workers;
    this.#world.tell({ type: 'resized', workers });
  }

  /** A new worker failed: all is as it was before the reload. */
  #failReload(why: string): void {
    if (this.#reload?.before === undefined) return;
    const { before, workers } = this.#reload;
    this.#generation = before.generation;
    this.#plan = before.plan;
    if (workers === this.#desired && workers !== before.workers) {
      this.#desired = before.workers;
      this.#world.tell({ type: 'resized', workers: before.workers });
    }
    this.#giveUpReload(why);
  }

  #giveUpReload(why: string): void {
    this.#world.tell({ type: 'reload-failed', why });
    this.#endReload(false);
  }

  #endReload(complete: boolean): void {
    const [reload, following] = [this.#reload, this.#following];
    this.#reload = this.#following = undefined;
    reload?.settle(complete);
    if (following === undefined) return;
    if (this.#ending) following.settle(false);
    else this.#beginReload(following.settle, following.change);
  }

  #makeUpFor(worker: SupervisedWorker, now: number): void {
    if (this.#workers.filter(({ wanted }) => wanted).length + this.#holds.length >= this.#desired) return;
    const livedMs = worker.readyAt === undefined ? 0 : now - worker.readyAt;
    const inMs = this.#respawn.delayMs(now, livedMs, this.#desired);
    this.#world.tell({ type: 'respawning', inMs });
    if (inMs > 0) this.#holds.push(now + inMs);
  }

  /** No new workers; those that are there drain within `limitMs`; with 0, they are about to be killed. */
  #end(limitMs: number): void {
    this.#phase = 'closing';
    this.#endReload(false);
    const now = this.#world.time.now();
    for (const worker of this.#workers) {
      if (worker.wanted) worker.drain(now, limitMs);
      else if (limitMs > 0) worker.hurry(now, limitMs);
    }
    this.#reconcile();
  }

  #finish(): void {
    this.#phase = 'done';
    this.#stopTicks();
    this.#world.tell({ type: 'closed', code: this.#code });
    this.#resolve(this.#code);
  }

  #drain(worker: SupervisedWorker, now: number, why: string, ask = true): void {
    worker.replaced = ask && worker.generation < this.#generation;
    worker.drain(now, worker.replaced ? this.#plan.reloadTimeoutMs : this.#plan.drainTimeoutMs, ask);
    this.#world.tell({ type: 'draining', worker: worker.info, why });
    if (worker.replaced) this.#boundOld(now);
  }

  /** Old workers may take long; each reload leaves some. Beyond a number, the oldest must end. */
  #boundOld(now: number): void {
    const most = Math.max(MIN_OLD_WORKERS, OLD_PER_WORKER * this.#desired);
    const old = this.#workers.filter(({ replaced, state, hurried }) => replaced && state === 'draining' && !hurried);
    for (const worker of old.slice(0, Math.max(0, old.length - most))) {
      worker.hurried = true;
      if (!worker.hurry(now, 0)) continue;
      this.#world.tell({ type: 'hurried', worker: worker.info, why: `reloads left more than ${most} old workers` });
    }
  }

  #kill(worker: SupervisedWorker, why: string): void {
    worker.kill(why);
    this.#world.tell({ type: 'killed', worker: worker.info, why });
  }

  #sweep(): void {
    const now = this.#world.time.now();
    // If our own event loop stood still (a suspended machine), what workers said meanwhile has not been read yet.
    const late = now - this.#sweptAt > LATE_MS;
    this.#sweptAt = now;
    for (const worker of this.#workers) {
      if (late) worker.heard(now);
      if (worker.sweep(now, this.#settings.hungTimeoutMs)) {
        this.#world.tell({ type: 'killed', worker: worker.info, why: worker.killedFor ?? '' });
      }
    }
    if (this.#phase === 'stopping' && now >= this.#drainAt) this.#end(this.#plan.drainTimeoutMs);
    else this.#reconcile();
  }

  #ready(): number {
    return this.#workers.filter(({ state }) => state === 'ready').length;
  }
}

const TICK_MS = 100;
const LATE_MS = 10 * TICK_MS;
/** How many workers that were replaced may be there at the same time: so many, or so many for each that is wanted. */
const MIN_OLD_WORKERS = 32;
const OLD_PER_WORKER = 4;
/** A launch that failed is over within 5 s, whatever the workers that were ready have in flight. */
const HALT_DRAIN_MS = 3_000;
