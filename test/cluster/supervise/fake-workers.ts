/**
 * A supervisor whose workers have no processes, in virtual time.
 */
import assert from 'node:assert/strict';
import { type LaunchEvent, lineOf } from '../../../src/cluster/events.ts';
import type { Plan, PlanChange } from '../../../src/cluster/supervise/plan.ts';
import { Supervisor, type SupervisorSettings } from '../../../src/cluster/supervise/supervisor.ts';
import type { WorkerInfo } from '../../../src/cluster/supervise/worker-info.ts';
import type { WorkerReport } from '../../../src/cluster/supervise/worker-process.ts';
import { VirtualTime } from '../../../src/testing/time.ts';
import { turns } from '../../support/wait.ts';

/** A worker that does what the test says. */
export class FakeWorker {
  readonly pid: number;
  readonly id: number;
  readonly generation: number;
  readonly plan: Plan;
  /** What the supervisor did to it: `drain`, `drain before it was ready`, `stop soon`, `kill`. */
  readonly done: string[] = [];
  /** The drain timeout of each request to drain. */
  readonly limits: number[] = [];
  alive = true;
  readonly #report: (report: WorkerReport) => void;

  constructor({ id, generation }: WorkerInfo, plan: Plan, report: (report: WorkerReport) => void) {
    this.id = id;
    this.pid = 1000 + id;
    this.generation = generation;
    this.plan = plan;
    this.#report = report;
  }

  drain(started: boolean, limitMs: number): void {
    this.limits.push(limitMs);
    this.done.push(started ? 'drain' : 'drain before it was ready');
  }

  stopSoon(): void {
    this.done.push('stop soon');
  }

  kill(): void {
    this.done.push('kill');
  }

  says(type: 'ready' | 'alive' | 'draining' | 'drained'): this {
    this.#report({ type });
    return this;
  }

  /** It has drained, and cut this many connections. */
  cuts(cut: number): this {
    this.#report({ type: 'drained', cut });
    return this;
  }

  fails(text: string): this {
    this.#report({ type: 'failed', text });
    return this;
  }

  /** Its process ends. */
  ends(code: number | null = 0, signal: string | null = null, again = false): void {
    assert.ok(this.alive, `worker ${this.id} has ended already`);
    this.alive = false;
    this.#report({ type: 'gone', code, signal, again });
  }

  dies(signal = 'SIGKILL'): void {
    this.ends(null, signal);
  }
}

export class FakeLaunch {
  readonly time = new VirtualTime();
  readonly all: FakeWorker[] = [];
  readonly events: LaunchEvent[] = [];
  readonly lines: string[] = [];
  readonly supervisor: Supervisor;
  code: number | undefined;
  /** The inherited sockets that are lost, by the generation whose workers listened there. */
  lost: Readonly<Record<number, readonly number[]>> = {};
  /** Called with each event, as the program's `onEvent` is. */
  onEvent: (event: LaunchEvent) => void = () => undefined;

  /** With `pauseMs`, time has pauses: ticks that are late by more than that. */
  constructor(
    settings: Partial<SupervisorSettings> = {}, rng = (): number => 0.5, onReload?: () => Promise<PlanChange>,
    pauseMs?: number,
  ) {
    const time = pauseMs === undefined ? this.time : Object.assign(this.time, { pauseMs });
    this.supervisor = new Supervisor(
      {
        workers: 2, drainTimeoutMs: 10_000, stopDelayMs: 0, reloadTimeoutMs: 3_600_000, setup: undefined,
        startTimeoutMs: 60_000, hungTimeoutMs: 0, ...settings,
      },
      {
        onReload,
        lostSockets: (generation) => this.lost[generation] ?? [],
        fork: (info, plan, report) => {
          const worker = new FakeWorker(info, plan, report);
          this.all.push(worker);
          return worker;
        },
        tell: (event) => {
          this.events.push(event);
          const line = lineOf(event);
          if (line !== undefined) this.lines.push(line);
          this.onEvent(event);
        },
        time,
        rng,
      },
    );
    void this.supervisor.done.then((code) => {
      this.code = code;
    });
    this.supervisor.start();
  }

  /** A launch whose workers are all ready. */
  static ready(
    settings: Partial<SupervisorSettings> = {}, rng?: () => number, onReload?: () => Promise<PlanChange>,
    pauseMs?: number,
  ): FakeLaunch {
    const launch = new FakeLaunch(settings, rng, onReload, pauseMs);
    for (const worker of launch.all) worker.says('ready');
    return launch;
  }

  /** Worker 1, 2, 3, ... in the order in which they were started. */
  worker(id: number): FakeWorker {
    const worker = this.all[id - 1];
    assert.ok(worker !== undefined, `worker ${id} was not started`);
    return worker;
  }

  /** All workers that have not exited, as `id state`. */
  get states(): string[] {
    return this.supervisor.workers.map(({ id, state }) => `${id} ${state}`);
  }

  /** Advances time in steps of the supervisor's tick. */
  advance(ms: number): void {
    for (let left = ms; left > 0; left -= 100) this.time.advance(Math.min(left, 100));
  }

  /** The exit code, once everything due has run; undefined if the launch has not ended. */
  async ended(): Promise<number | undefined> {
    await turns(1);
    return this.code;
  }
}
