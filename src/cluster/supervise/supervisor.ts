/**
 * The supervisor: reconciles the actual workers with the desired state. Whatever happens changes one of the two, and
 * `#reconcile` does the rest. Pure: processes, time and chance come in; what happens goes out as events.
 */
import { SteadyTime } from '../../loop/steady-time.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import type { LaunchEvent } from '../events.ts';
import { UNSERVED_FAULT } from '../ipc-messages.ts';
import { ActualWorkers } from './actual-workers.ts';
import { DesiredState } from './desired-state.ts';
import type { Plan, PlanChange } from './plan.ts';
import { nextStep, type Step } from './reconcile.ts';
import { Reloads } from './reloads.ts';
import { Respawn } from './respawn.ts';
import type { SupervisedWorker } from './supervised-worker.ts';
import { whyItDied, type WorkerInfo } from './worker-info.ts';
import type { Fork, WorkerReport } from './worker-process.ts';

export interface SupervisorSettings extends Plan {
  readonly workers: number;
  readonly startTimeoutMs: number;
  readonly hungTimeoutMs: number;
}

/** What the supervisor needs of the world. */
export interface World {
  readonly fork: Fork;
  /** Says what changes by a reload that does not say so itself. */
  readonly onReload?: (() => Promise<PlanChange>) | undefined;
  /** The inherited sockets that workers of this generation listened on, and that nobody can listen on any more. */
  readonly lostSockets: (generation: number) => readonly number[];
  readonly tell: (event: LaunchEvent) => void;
  readonly time: TimeSource;
  readonly rng: () => number;
}

export class Supervisor {
  /** Resolves with the exit code when the last worker is gone, after `close`, `stop` or a failed launch. */
  readonly done: Promise<number>;
  readonly #settings: SupervisorSettings;
  readonly #world: World;
  readonly #desired: DesiredState;
  readonly #actual: ActualWorkers;
  readonly #respawn: Respawn;
  readonly #reloads: Reloads;
  /**
   * `launching` until all workers were ready for the first time, then `serving`; `stopping` during the stop delay;
   * `closing` from the drain of all workers to the end of the last one.
   */
  #phase: 'launching' | 'serving' | 'stopping' | 'closing' | 'done' = 'launching';
  /** While stopping: when workers are to drain. */
  #drainAt = Infinity;
  #exitCode = 0;
  /** The error of the worker that ended the launch. */
  #haltedFor: string | undefined;
  #resolve: (code: number) => void = () => undefined;
  #stopTicks: () => void = () => undefined;

  constructor(settings: SupervisorSettings, given: World) {
    const { onReload, tell, rng } = given;
    const { pauseMs } = given.time;
    // A worker cannot report while the machine stands still: no deadline is over because of that.
    const time = pauseMs === undefined ? given.time : new SteadyTime(given.time, pauseMs);
    const world = { ...given, time };
    this.#settings = settings;
    this.#world = world;
    this.#desired = new DesiredState(settings.workers, settings);
    this.#actual = new ActualWorkers(time.now());
    this.#respawn = new Respawn(rng);
    this.#reloads = new Reloads({
      desired: this.#desired,
      onReload,
      tell,
      reconcile: () => {
        this.#reconcile();
      },
    });
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get workers(): readonly WorkerInfo[] {
    return this.#actual.infos;
  }

  /** How many workers are wanted. */
  get desired(): number {
    return this.#desired.workers;
  }

  start(): void {
    this.#stopTicks = this.#world.time.every(TICK_MS, () => {
      this.#tick();
    });
    this.#reconcile();
  }

  /**
   * Replaces all workers, one at a time, by those of the changed plan. Resolves with whether all were replaced; if not,
   * the plan is what it was. During a reload it is one more reload that follows, however often it is called.
   */
  reload(change?: PlanChange): Promise<boolean> {
    return this.#ending ? Promise.resolve(false) : this.#reloads.request(change);
  }

  /** Wants another number of workers. */
  resize(workers: number): void {
    if (this.#ending || workers === this.#desired.workers) return;
    this.#desired.workers = workers;
    this.#world.tell({ type: 'resized', workers });
    this.#reconcile();
  }

  /** Drains all workers after the stop delay. Until then they serve, and those that die are replaced. */
  close(why: string): void {
    if (this.#ending) return;
    const { plan: { drainTimeoutMs, stopDelayMs } } = this.#desired;
    // Before the launch is complete, nobody relies on it.
    const delayMs = this.#phase === 'serving' ? stopDelayMs : 0;
    this.#world.tell({ type: 'closing', why, ...(delayMs === 0 ? {} : { delayMs }) });
    if (delayMs === 0) {
      this.#drainAll(drainTimeoutMs);
      return;
    }
    this.#phase = 'stopping';
    this.#drainAt = this.#world.time.now() + delayMs;
    this.#reloads.abandon();
    for (const worker of this.#actual.all) worker.stopSoon();
  }

  /** Kills all workers. */
  stop(why: string): void {
    if (this.#phase === 'done') return;
    this.#exitCode = Math.max(this.#exitCode, 1);
    this.#drainAll(0);
    for (const worker of this.#actual.all) {
      worker.kill(why);
      this.#world.tell({ type: 'killed', worker: worker.info, why });
    }
  }

  /** Ends the launch because the primary itself failed. */
  fail(why: string): void {
    if (this.#phase === 'done') return;
    this.#world.tell({ type: 'failed', why });
    this.#exitCode = 1;
    this.#drainAll(Math.min(this.#desired.plan.drainTimeoutMs, HALT_DRAIN_MS));
  }

  /** Whether it was told to end. */
  get #ending(): boolean {
    return this.#phase === 'stopping' || this.#draining;
  }

  /** Whether no worker is wanted any more. */
  get #draining(): boolean {
    return this.#phase === 'closing' || this.#phase === 'done';
  }

  /** Takes the steps from the actual workers to the desired ones that can be taken now. */
  #reconcile(): void {
    if (this.#phase === 'closing' && this.#actual.all.length === 0) this.#finish();
    if (this.#draining) return;
    for (let step = this.#nextStep(); step !== undefined; step = this.#nextStep()) {
      if (step.what === 'fork') this.#fork();
      else this.#drain(step.worker, step.why);
    }
    if (this.#phase === 'launching' && this.#complete) {
      this.#phase = 'serving';
      this.#world.tell({ type: 'launched', workers: this.#actual.ready });
    }
    const replaced = !this.#actual.hasOlderThan(this.#desired.generation);
    if (this.#reloads.replacing && replaced && this.#complete) this.#reloads.complete();
  }

  /** Whether as many workers serve as are wanted. */
  get #complete(): boolean {
    return this.#actual.ready >= this.#desired.workers;
  }

  #nextStep(): Step | undefined {
    const { workers, generation } = this.#desired;
    return nextStep(this.#actual.all, { workers, generation, held: this.#respawn.waiting(this.#world.time.now()) });
  }

  #fork(): void {
    const { fork, time, tell } = this.#world;
    const { generation, plan } = this.#desired;
    const worker = this.#actual.add(generation, time.now(), this.#settings.startTimeoutMs);
    worker.attach(fork(worker, plan, (report) => {
      this.#onReport(worker, report);
    }));
    tell({ type: 'starting', worker: worker.info });
  }

  /** With `ask: false` the worker drains already, by itself. */
  #drain(worker: SupervisedWorker, why: string, ask = true): void {
    const now = this.#world.time.now();
    const { workers, generation, plan } = this.#desired;
    worker.replaced = ask && worker.generation < generation;
    worker.drain(now, worker.replaced ? plan.reloadTimeoutMs : plan.drainTimeoutMs, ask);
    this.#world.tell({ type: 'draining', worker: worker.info, why });
    if (!worker.replaced) return;
    const most = Math.max(MIN_OLD_WORKERS, OLD_PER_WORKER * workers);
    for (const { info } of this.#actual.hurryReplaced(now, most)) {
      this.#world.tell({ type: 'hurried', worker: info, why: `more than ${most} replaced workers are draining` });
    }
  }

  #onReport(worker: SupervisedWorker, report: WorkerReport): void {
    const now = this.#world.time.now();
    worker.heard(now);
    switch (report.type) {
      case 'alive': return;
      case 'ready':
        this.#onReady(worker, now);
        break;
      case 'draining':
        if (worker.staying) this.#drain(worker, 'it got SIGTERM, or its code called close()', false);
        break;
      case 'drained':
        worker.finished(now);
        if (report.cut !== undefined && report.cut > 0) {
          this.#world.tell({ type: 'cut', worker: worker.info, connections: report.cut });
        }
        break;
      case 'failed':
        worker.failed(now, report.text);
        break;
      case 'unserved':
        // As for a worker that died alike.
        if (report.text !== this.#haltedFor) {
          this.#world.tell({ type: 'fault', why: `worker ${worker.info.id}: ${UNSERVED_FAULT}: ${report.text}` });
        }
        break;
      case 'gone':
        this.#onGone(worker, report, now);
        break;
    }
    this.#reconcile();
  }

  #onReady(worker: SupervisedWorker, now: number): void {
    if (!worker.ready(now)) return;
    this.#world.tell({ type: 'ready', worker: worker.info });
    if (this.#phase === 'stopping') worker.stopSoon();
    if (worker.generation === this.#desired.generation) this.#reloads.newWorkerReady();
  }

  #onGone(worker: SupervisedWorker, death: WorkerReport & { type: 'gone' }, now: number): void {
    const was = worker.gone();
    if (was === 'gone') return;
    this.#actual.remove(worker);
    const { code, signal, again = false } = death;
    const { info, failure, killedFor, drained } = worker;
    const expected = was === 'draining' || (again && was === 'starting');
    const killed = killedFor !== undefined;
    // Workers often fail alike, for example because a port is in use. The log says so once.
    const news = failure === this.#haltedFor ? '' : failure;
    this.#world.tell({ type: 'gone', worker: info, expected, killed, code, signal, failure: news });
    if (this.#draining) {
      const served = worker.readyAt !== undefined;
      // A worker that was killed after it had drained, or ended in any way before it served, lost nothing.
      const harmless = signal !== null ? drained || !served : !served && !worker.failedToStart;
      if (code !== 0 && !harmless) this.#exitCode ||= code ?? 1;
    } else if (!expected) {
      const why = killedFor ?? `${whyItDied(death)}${failure === '' ? '' : `: ${failure}`}`;
      this.#onDeath(worker, was === 'starting', why, code, now);
    }
  }

  #onDeath(worker: SupervisedWorker, starting: boolean, why: string, code: number | null, now: number): void {
    const launching = starting && this.#phase === 'launching';
    if (starting && !launching && worker.generation === this.#desired.generation) this.#reloads.newWorkerFailed(why);
    const lost = this.#world.lostSockets(this.#desired.generation);
    if (lost.length > 0) this.fail(lostText(lost));
    else if (launching) this.#halt(worker, code);
    else this.#replace(worker, now);
  }

  /** A worker that fails at the start of the launch is not a crash to recover from: it would fail again. */
  #halt({ info, failure }: SupervisedWorker, code: number | null): void {
    this.#haltedFor = failure;
    this.#exitCode = code === null || code === 0 ? 1 : code;
    this.#world.tell({ type: 'halted', worker: info, code: this.#exitCode });
    this.#drainAll(Math.min(this.#desired.plan.drainTimeoutMs, HALT_DRAIN_MS));
  }

  /** Has a dead worker replaced when the crash budget allows it. */
  #replace({ readyAt }: SupervisedWorker, now: number): void {
    const { workers } = this.#desired;
    if (this.#actual.staying + this.#respawn.waiting(now) >= workers) return;
    const inMs = this.#respawn.schedule(now, readyAt === undefined ? 0 : now - readyAt, workers);
    this.#world.tell({ type: 'respawning', inMs });
  }

  /** Has all workers drain within `limitMs`, and starts no more. 0: they are about to be killed. */
  #drainAll(limitMs: number): void {
    this.#phase = 'closing';
    this.#reloads.abandon();
    const now = this.#world.time.now();
    for (const worker of this.#actual.all) {
      if (worker.staying) worker.drain(now, limitMs);
      else if (limitMs > 0) worker.hurry(now, limitMs);
    }
    this.#reconcile();
  }

  #finish(): void {
    this.#phase = 'done';
    this.#stopTicks();
    this.#world.tell({ type: 'closed', code: this.#exitCode });
    this.#resolve(this.#exitCode);
  }

  #tick(): void {
    const now = this.#world.time.now();
    for (const { info, killedFor = '' } of this.#actual.sweep(now, this.#settings.hungTimeoutMs)) {
      this.#world.tell({ type: 'killed', worker: info, why: killedFor });
    }
    if (this.#phase === 'stopping' && now >= this.#drainAt) this.#drainAll(this.#desired.plan.drainTimeoutMs);
    else this.#reconcile();
  }
}

function lostText(descriptors: readonly number[]): string {
  const which = descriptors.map((fd) => `fd:${fd}`).join(', ');
  return `${which} was closed here with the last worker that listened on it, and no worker can listen on it again; ` +
    'start this program again (systemd holds its sockets open, and starts it with Restart=on-failure)';
}

const TICK_MS = 100;
/** How many replaced workers may drain at the same time: this many, or this many for each worker that is wanted. */
const MIN_OLD_WORKERS = 32;
const OLD_PER_WORKER = 4;
/** A failed launch is over within 5 s, whatever its ready workers have in flight. */
const HALT_DRAIN_MS = 3_000;
