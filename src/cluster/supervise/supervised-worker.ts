/**
 * One worker as the primary sees it, with its deadlines: to become ready, to drain, to end. A worker that misses one is
 * killed. Pure: it is told what happens, and when.
 */
import type { WorkerInfo, WorkerState } from './worker-info.ts';
import type { WorkerProcess } from './worker-process.ts';

export class SupervisedWorker implements WorkerInfo {
  readonly id: number;
  readonly generation: number;
  state: WorkerState = 'starting';
  /** When it became ready; undefined if it never did. */
  readyAt: number | undefined;
  /** The error that it reported. */
  failure = '';
  /** Whether it reported that error before it served, and before it was told to drain. */
  failedToStart = false;
  /** Why we killed it, if we did. */
  killedFor: string | undefined;
  /** Whether it reported that nothing is in flight any more: ending its process does no harm. */
  drained = false;
  /** Whether it drains because a reload replaced it. */
  replaced = false;
  /** Whether it was told to end at once, since too many replaced workers were draining. */
  hurried = false;
  #process: WorkerProcess | undefined;
  #started = false;
  #heardAt: number;
  #killAt: number;
  #killFor: string;

  /** It has `startTimeoutMs` to become ready; 0 for no limit. */
  constructor(id: number, generation: number, now: number, startTimeoutMs: number) {
    this.id = id;
    this.generation = generation;
    this.#heardAt = now;
    this.#killAt = startTimeoutMs === 0 ? Infinity : now + startTimeoutMs;
    this.#killFor = `it was not ready within ${startTimeoutMs} ms`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Whether it serves or is about to: it is neither draining nor gone. */
  get staying(): boolean {
    return this.state === 'starting' || this.state === 'ready';
  }

  /** A copy that does not change with it. */
  get info(): WorkerInfo {
    return { id: this.id, pid: this.pid, state: this.state, generation: this.generation };
  }

  attach(process: WorkerProcess): void {
    this.#process = process;
  }

  /** It serves. Returns false if it was told to drain before. */
  ready(now: number): boolean {
    if (this.state !== 'starting') return false;
    this.state = 'ready';
    this.readyAt = now;
    this.#heardAt = now;
    this.#killAt = Infinity;
    return true;
  }

  /** Its event loop turns. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /**
   * Has it drain within `limitMs`. After that it cuts what is left, and is killed if it does not end soon. With
   * `ask: false` it drains already, by itself.
   */
  drain(now: number, limitMs: number, ask = true): void {
    if (!this.staying) return;
    this.#started = this.state === 'ready';
    this.state = 'draining';
    this.#drainWithin(now, limitMs);
    if (ask) this.#process?.drain(this.#started, limitMs);
  }

  /** Tells it that the launch will drain soon. It keeps serving. */
  stopSoon(): void {
    if (this.state === 'ready') this.#process?.stopSoon();
  }

  /** Leaves it at most `limitMs` from now. Returns false if it had less time already. */
  hurry(now: number, limitMs: number): boolean {
    if (this.drained || now + limitMs + CUT_GRACE_MS >= this.#killAt) return false;
    this.#drainWithin(now, limitMs);
    if (this.#started) this.#process?.drain(true, limitMs);
    return true;
  }

  /** Nothing is in flight any more: its process must end soon. */
  finished(now: number): void {
    if (this.state === 'gone') return;
    this.state = 'draining';
    this.drained = true;
    this.#exitSoon(now, 'it drained');
  }

  /** It failed: its process must end soon. */
  failed(now: number, text: string): void {
    this.failure = text;
    this.failedToStart = this.state === 'starting';
    this.#exitSoon(now, 'it failed');
  }

  /** Its process has ended. Returns the state that it was in. */
  gone(): WorkerState {
    const was = this.state;
    this.state = 'gone';
    return was;
  }

  /**
   * Kills it if it missed a deadline, or was silent for `hungTimeoutMs` while it served; 0 for no such limit. Returns
   * whether it did.
   */
  sweep(now: number, hungTimeoutMs: number): boolean {
    if (this.killedFor !== undefined || this.state === 'gone') return false;
    if (now >= this.#killAt) this.kill(this.#killFor);
    else if (hungTimeoutMs > 0 && this.state === 'ready' && now - this.#heardAt > hungTimeoutMs) {
      this.kill(`its event loop was blocked for more than ${hungTimeoutMs} ms`);
    } else return false;
    return true;
  }

  kill(why: string): void {
    this.killedFor ??= why;
    this.#process?.kill();
  }

  #drainWithin(now: number, limitMs: number): void {
    this.#killAt = now + limitMs + CUT_GRACE_MS;
    this.#killFor = `it did not drain within ${limitMs} ms`;
  }

  #exitSoon(now: number, what: string): void {
    this.#killAt = now + EXIT_MS;
    this.#killFor = `${what}, but its process did not exit within ${EXIT_MS} ms`;
  }
}

/** After its drain timeout, a worker has this long to cut what is left, and to report that. */
export const CUT_GRACE_MS = 1_000;
/** From a worker's last report to the end of its process. */
const EXIT_MS = 1_000;
