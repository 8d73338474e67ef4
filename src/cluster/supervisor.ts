/**
 * The supervisor: reconciles the workers that are wanted with those that are there. Pure: processes, time and chance
 * come in; what happens goes out as events.
 */
import type { TimeSource } from '../clock.ts';
import type { LaunchEvent } from './events.ts';
import { nextStep, type Step } from './reconcile.ts';
import { Respawn } from './respawn.ts';
import { type Death, SupervisedWorker, type WorkerInfo, type WorkerProcess, whyItDied } from './worker-state.ts';

/** What becomes known of a worker. */
export type Told =
  | { readonly type: 'ready' }
  | { readonly type: 'alive' }
  /** It began to drain by itself, on a signal of its own. */
  | { readonly type: 'draining' }
  | { readonly type: 'drained' }
  | { readonly type: 'failed'; readonly text: string }
  | { readonly type: 'gone' } & Death;

/** Starts a worker's process, of which `told` is told from then on. */
export type Fork = (worker: WorkerInfo, told: (what: Told) => void) => WorkerProcess;

export interface SupervisorSettings {
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly hungTimeoutMs: number;
}

/** What it needs of the world. */
export interface World {
  readonly fork: Fork;
  readonly tell: (event: LaunchEvent) => void;
  readonly time: TimeSource;
  readonly rng: () => number;
}

export class Supervisor {
  /** Resolves with the exit code when the last worker is gone after `close` or a halt. */
  readonly done: Promise<number>;
  readonly #settings: SupervisorSettings;
  readonly #world: World;
  readonly #respawn: Respawn;
  #phase: 'launching' | 'serving' | 'closing' | 'done' = 'launching';
  #desired: number;
  /** Workers of an earlier one are to be replaced. */
  #generation = 0;
  #lastGeneration = 0;
  #lastId = 0;
  #workers: SupervisedWorker[] = [];
  /** Until when replacements of dead workers are held back, one entry for each. */
  #holds: number[] = [];
  #reload: { readonly before: number; readonly settle: (complete: boolean) => void } | undefined;
  /** The reload that follows the one that is under way: workers that start now may have read what was there before. */
  #following: { readonly complete: Promise<boolean>; readonly settle: (complete: boolean) => void } | undefined;
  #code = 0;
  #sweptAt: number;
  #resolve: (code: number) => void = () => undefined;
  #stopTicks: () => void = () => undefined;

  constructor(settings: SupervisorSettings, world: World) {
    this.#settings = settings;
    this.#world = world;
    this.#respawn = new Respawn(world.rng);
    this.#desired = settings.workers;
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
   * Replaces all workers, one at a time. Resolves with whether all could be. Asked for during a reload, it follows
   * that, once however often it is asked for.
   */
  reload(): Promise<boolean> {
    if (this.#ending) return Promise.resolve(false);
    if (this.#following !== undefined) return this.#following.complete;
    let settle: (complete: boolean) => void = () => undefined;
    const complete = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    if (this.#reload === undefined) this.#beginReload(settle);
    else this.#following = { complete, settle };
    return complete;
  }

  /** Wants another number of workers. */
  resize(workers: number): void {
    if (this.#ending || workers === this.#desired) return;
    this.#desired = workers;
    this.#world.tell({ type: 'resized', workers });
    this.#reconcile();
  }

  /** Drains all workers. */
  close(why: string): void {
    if (this.#ending) return;
    this.#world.tell({ type: 'closing', why });
    this.#end(this.#settings.drainTimeoutMs);
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
    this.#end(Math.min(this.#settings.drainTimeoutMs, HALT_DRAIN_MS));
  }

  get #ending(): boolean {
    return this.#phase === 'closing' || this.#phase === 'done';
  }

  /** Does what brings the workers that are there nearer to those that are wanted. */
  #reconcile(): void {
    if (this.#phase === 'closing' && this.#workers.length === 0) this.#finish();
    if (this.#ending) return;
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
    if (this.#reload !== undefined && replaced && this.#ready() >= this.#desired) {
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
    worker.attach(fork(worker, (what) => {
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
        if (worker.ready(now)) this.#world.tell({ type: 'ready', worker: worker.info });
        break;
      case 'draining':
        if (worker.wanted) this.#drain(worker, now, 'it was asked to', false);
        break;
      case 'drained':
        worker.finished(now);
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

  #gone(worker: SupervisedWorker, { code, signal }: Death, now: number): void {
    const was = worker.gone();
    if (was === 'gone') return;
    this.#workers = this.#workers.filter((other) => other !== worker);
    const { info, failure, killedFor, drained } = worker;
    const expected = was === 'draining';
    this.#world.tell({ type: 'gone', worker: info, expected, code, signal, failure });
    if (this.#ending) {
      // Killed after it had drained, or before it served anything, it has lost nothing.
      const clean = drained || worker.readyAt === undefined;
      if (code !== 0 && !(signal !== null && clean)) this.#code ||= code ?? 1;
      return;
    }
    if (expected) return;
    const why = killedFor ?? `${whyItDied({ code, signal })}${failure === '' ? '' : `: ${failure}`}`;
    if (was === 'starting' && this.#phase === 'launching') {
      this.#halt(info, code);
    } else {
      if (was === 'starting' && worker.generation === this.#generation) this.#reloadFailed(why);
      this.#makeUpFor(worker, now);
    }
  }

  /** A worker that can't be made ready is no crash to recover from: starting it again would fail again. */
  #halt(worker: WorkerInfo, code: number | null): void {
    this.#code = code === null || code === 0 ? 1 : code;
    this.#world.tell({ type: 'halted', worker, code: this.#code });
    this.#end(Math.min(this.#settings.drainTimeoutMs, HALT_DRAIN_MS));
  }

  #reloadFailed(why: string): void {
    if (this.#reload === undefined) return;
    this.#generation = this.#reload.before;
    this.#world.tell({ type: 'reload-failed', why });
    this.#endReload(false);
  }

  #beginReload(settle: (complete: boolean) => void): void {
    this.#reload = { before: this.#generation, settle };
    this.#generation = ++this.#lastGeneration;
    this.#world.tell({ type: 'reloading' });
    this.#reconcile();
  }

  #endReload(complete: boolean): void {
    const [reload, following] = [this.#reload, this.#following];
    this.#reload = this.#following = undefined;
    reload?.settle(complete);
    if (following === undefined) return;
    if (this.#ending) following.settle(false);
    else this.#beginReload(following.settle);
  }

  #makeUpFor(worker: SupervisedWorker, now: number): void {
    if (this.#workers.filter(({ wanted }) => wanted).length + this.#holds.length >= this.#desired) return;
    const livedMs = worker.readyAt === undefined ? 0 : now - worker.readyAt;
    const inMs = this.#respawn.delayMs(now, livedMs, this.#desired);
    this.#world.tell({ type: 'respawning', inMs });
    if (inMs > 0) this.#holds.push(now + inMs);
  }

  /** No new workers; those that are there drain within `limitMs`. */
  #end(limitMs: number): void {
    this.#phase = 'closing';
    this.#endReload(false);
    const now = this.#world.time.now();
    for (const worker of this.#workers) {
      if (worker.wanted) worker.drain(now, limitMs);
      else worker.hurry(now, limitMs);
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
    worker.drain(now, this.#settings.drainTimeoutMs, ask);
    this.#world.tell({ type: 'draining', worker: worker.info, why });
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
    this.#reconcile();
  }

  #ready(): number {
    return this.#workers.filter(({ state }) => state === 'ready').length;
  }
}

const TICK_MS = 100;
const LATE_MS = 10 * TICK_MS;
/** A launch that failed is over within 5 s, whatever the workers that were ready have in flight. */
const HALT_DRAIN_MS = 3_000;
