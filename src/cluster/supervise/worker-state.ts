/**
 * One worker as the primary sees it: starting, ready, draining, gone. Pure: it is told what happens, and when.
 */

/** `starting`: not ready. `ready`: serves. `draining`: ends what it has in flight. `gone`: its process has ended. */
export type WorkerState = 'starting' | 'ready' | 'draining' | 'gone';

/** A worker, as it is shown. */
export interface WorkerInfo {
  /** 1, 2, 3, ... in the order of their start; never used twice in a launch. */
  readonly id: number;
  /** Its process id; undefined where no process could be made. */
  readonly pid: number | undefined;
  readonly state: WorkerState;
  /** 0 for the workers of the launch, one more for those of each reload. */
  readonly generation: number;
}

/** A worker's process, and what can be done to it. */
export interface WorkerProcess {
  readonly pid: number | undefined;
  /** Asks it to drain within `limitMs`, or to hurry; `started` says whether it serves already. */
  drain(started: boolean, limitMs: number): void;
  /** Tells it that the launch is about to drain, so that it may say that it is not ready any more. */
  stopSoon(): void;
  /** Ends it at once. */
  kill(): void;
}

/** How a process ended. */
export interface Death {
  readonly code: number | null;
  readonly signal: string | null;
}

export class SupervisedWorker implements WorkerInfo {
  readonly id: number;
  readonly generation: number;
  state: WorkerState = 'starting';
  /** Whether it was ready at some time. */
  readyAt: number | undefined;
  /** What it said of its own failure. */
  failure = '';
  /** Why it was killed, if it was. */
  killedFor: string | undefined;
  /** Whether it has said that nothing is in flight any more: its process may be ended without harm. */
  drained = false;
  /** Whether it drains because workers of a reload have taken over. */
  replaced = false;
  /** Whether it was told to end at once, since too many do. */
  hurried = false;
  #process: WorkerProcess | undefined;
  #started = false;
  #heardAt: number;
  #killAt: number;
  #killFor: string;

  /** `startTimeoutMs` is what it has to become ready; 0 for no limit. */
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

  /** Whether it serves, or will. */
  get wanted(): boolean {
    return this.state === 'starting' || this.state === 'ready';
  }

  /** A copy that stays as it is. */
  get info(): WorkerInfo {
    return { id: this.id, pid: this.pid, state: this.state, generation: this.generation };
  }

  attach(process: WorkerProcess): void {
    this.#process = process;
  }

  /** It says that it serves. Returns whether that is news: it may be draining by now. */
  ready(now: number): boolean {
    if (this.state !== 'starting') return false;
    this.state = 'ready';
    this.readyAt = now;
    this.#heardAt = now;
    this.#killAt = Infinity;
    return true;
  }

  /** It shows that its event loop turns. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /**
   * It is to drain, and has `limitMs` to finish. It cuts what is left by itself then, and is killed if it does not.
   * With `ask: false` it began by itself.
   */
  drain(now: number, limitMs: number, ask = true): void {
    if (!this.wanted) return;
    this.#started = this.state === 'ready';
    this.state = 'draining';
    this.#limitAt(now, limitMs);
    if (ask) this.#process?.drain(this.#started, limitMs);
  }

  /** The launch is about to drain: it serves on, and may say that it is not ready any more. */
  stopSoon(): void {
    if (this.state === 'ready') this.#process?.stopSoon();
  }

  /** It has at most `limitMs` from now, whatever it had before. Returns whether that is news to it. */
  hurry(now: number, limitMs: number): boolean {
    if (this.drained || now + limitMs + CUT_GRACE_MS >= this.#killAt) return false;
    this.#limitAt(now, limitMs);
    if (this.#started) this.#process?.drain(true, limitMs);
    return true;
  }

  /** It says that it has nothing in flight any more, and should end by itself soon. */
  finished(now: number): void {
    if (this.state === 'gone') return;
    this.state = 'draining';
    this.drained = true;
    this.#killAt = now + LINGER_MS;
    this.#killFor = 'it had drained, but something kept its process alive';
  }

  /** It says that it failed, and should end by itself soon. */
  failed(now: number, text: string): void {
    this.failure = text;
    this.#killAt = now + LINGER_MS;
    this.#killFor = 'it had failed, but something kept its process alive';
  }

  /** Its process has ended. Returns the state that it was in. */
  gone(): WorkerState {
    const was = this.state;
    this.state = 'gone';
    return was;
  }

  /** Kills it if its time is over. `hungTimeoutMs` is how long a ready worker may be silent; 0 for no limit. */
  sweep(now: number, hungTimeoutMs: number): boolean {
    if (this.killedFor !== undefined || this.state === 'gone') return false;
    if (now >= this.#killAt) this.kill(this.#killFor);
    else if (hungTimeoutMs > 0 && this.state === 'ready' && now - this.#heardAt > hungTimeoutMs) {
      this.kill(`its event loop was blocked for more than ${hungTimeoutMs} ms`);
    } else return false;
    return true;
  }

  #limitAt(now: number, limitMs: number): void {
    this.#killAt = now + limitMs + CUT_GRACE_MS;
    this.#killFor = `it had not drained within ${limitMs} ms`;
  }

  kill(why: string): void {
    this.killedFor ??= why;
    this.#process?.kill();
  }
}

/** What a worker has beyond its time limit to cut what is left, and to say so. */
export const CUT_GRACE_MS = 1_000;
/** From the end of the work to the end of the process. */
const LINGER_MS = 1_000;

/** Why a process ended, in words. */
export function whyItDied({ code, signal }: Death): string {
  if (signal === 'SIGKILL') return 'killed by SIGKILL, perhaps out of memory';
  if (signal !== null) return `killed by ${signal}`;
  return code === null ? 'its process could not be started' : `exit code ${code}`;
}
