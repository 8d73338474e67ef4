/**
 * Programs that call `launch`, as processes of their own: dist/, as `npm run build` leaves it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { getKept, GRACE_MS } from '../support/kept.ts';
import { directory } from '../support/process-files.ts';
import { within } from '../support/wait.ts';

export const LAUNCHER = new URL('../../dist/src/cluster/index.js', import.meta.url);
/** Express, for programs in other directories. */
export const EXPRESS = import.meta.resolve('express');

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Where a program is and how it is started. */
interface Place {
  readonly at?: string;
  readonly cwd?: string;
  readonly flags?: readonly string[];
}

/** A program, its workers, and their output. It ends with the test, which fails if a process is left. */
export class Program {
  stdout = '';
  stderr = '';
  readonly #file: string;
  readonly #child: ChildProcess;
  #exit: Exit | undefined;
  #wake: (() => void)[] = [];

  /** `text` may use `launch`, `drainServer` and `http`. It is written to `at` and started in `cwd` as by a shell. */
  constructor(t: TestContext, text: string, { at = directory(t), cwd, flags = [] }: Place = {}) {
    if (!existsSync(LAUNCHER)) throw new Error(`${LAUNCHER.href} is not there: npm run build`);
    this.#file = join(at, 'app.mjs');
    this.write(text);
    const place = cwd === undefined ? {} : { cwd, env: { ...process.env, PWD: cwd } };
    const file = cwd === undefined ? this.#file : 'app.mjs';
    this.#child = spawn(process.execPath, [...flags, file], { stdio: ['ignore', 'pipe', 'pipe'], ...place });
    this.#child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      this.stdout += part;
      this.#raise();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.stderr += part;
      this.#raise();
    });
    // 'close', not 'exit': workers share the output, so this comes when the last process has ended.
    this.#child.on('close', (code, signal) => {
      this.#exit = { code, signal };
      this.#raise();
    });
    t.after(() => this.#end());
  }

  get pid(): number {
    assert.ok(this.#child.pid !== undefined);
    return this.#child.pid;
  }

  /** The process ids of all workers that have become ready, in order. */
  get workers(): number[] {
    return [...this.stderr.matchAll(/worker \d+ \(process (\d+)\) is ready/g)].map((match) => Number(match[1]));
  }

  /** Replaces the program for workers that start later. */
  write(text: string): void {
    writeFileSync(this.#file, `
      import http from 'node:http';
      import { drainServer, launch } from ${JSON.stringify(LAUNCHER.href)};
      ${text}`);
  }

  /** Stops reading its standard error: what it writes there fails from now on. */
  closeStderr(): void {
    this.#child.stderr?.destroy();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves when standard error has matched `pattern`, `times` times. */
  async logged(pattern: RegExp, times = 1): Promise<void> {
    const all = new RegExp(pattern, 'gm');
    await this.#until(() => [...this.stderr.matchAll(all)].length >= times, `${String(pattern)}, ${times} times`);
  }

  /** Resolves when standard output matches `pattern`. */
  async printed(pattern: RegExp): Promise<void> {
    await this.#until(() => pattern.test(this.stdout), String(pattern));
  }

  /** Resolves with the port when all workers are ready. */
  async port(): Promise<number> {
    await this.logged(/all workers are ready/);
    await this.#until(() => /^port \d+$/m.test(this.stdout), 'the port');
    return Number(/^port (\d+)$/m.exec(this.stdout)?.[1]);
  }

  /** Resolves when it and all of its workers have ended. */
  async exit(): Promise<Exit> {
    await this.#until(() => this.#exit !== undefined, 'its end', true);
    assert.ok(this.#exit !== undefined);
    return this.#exit;
  }

  async #end(): Promise<void> {
    const left = this.#exit === undefined;
    if (left) this.signal('SIGTERM');
    try {
      await this.exit();
    } finally {
      for (const pid of [this.pid, ...this.workers]) signalIfThere(pid, 'SIGKILL');
    }
    for (const pid of this.workers) assert.ok(!lives(pid), `worker process ${pid} is left`);
  }

  async #until(seen: () => boolean, what: string, toTheEnd = false): Promise<void> {
    const limit = { over: false };
    const timer = setTimeout(() => {
      limit.over = true;
      this.#raise();
    }, LIMIT_MS);
    try {
      while (!seen()) {
        assert.ok(!limit.over && (toTheEnd || this.#exit === undefined), `no ${what}: ${this.stdout}${this.stderr}`);
        await new Promise<void>((resolve) => {
          this.#wake.push(resolve);
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #raise(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Whether a process is running. A zombie is not. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = existsSync('/proc/self/stat') ? readFileSync(`/proc/${pid}/stat`, 'latin1') : '';
    return !stat.includes(') Z ');
  } catch {
    return false;
  }
}

/** Signals a process, which may end at any moment. */
export function signalIfThere(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
  }
}

/** Resolves when none of these processes exists any more. They are not our children, so there is no event for it. */
export async function allGone(pids: readonly number[]): Promise<void> {
  const gone = async (): Promise<void> => {
    while (pids.some(lives)) await pause(POLL_MS);
  };
  await within(gone(), () => `the end of processes ${pids.filter(lives).join(', ')}`);
}

/**
 * How long a server under load takes to answer. That keeps requests in flight throughout a reload, yet leaves the
 * processor to the workers that start.
 */
export const ANSWER_MS = 20;

/** Downstreams that each send one request after another, on a connection that is kept as long as possible. */
export class Load {
  answers = 0;
  readonly failures: string[] = [];
  readonly #port: number;
  readonly #reconnect: boolean;
  readonly #loops: Promise<void>[];
  #over = false;
  #wake: (() => void)[] = [];

  /** With `reconnect: false` each downstream stops when a response ends its connection. */
  constructor(port: number, downstreams: number, reconnect: boolean) {
    this.#port = port;
    this.#reconnect = reconnect;
    this.#loops = Array.from({ length: downstreams }, () => this.#loop());
  }

  /** Resolves when `count` more requests have been answered. */
  async answered(count: number): Promise<void> {
    const enough = this.answers + count;
    while (this.answers < enough && this.failures.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  /** Ends the load, and checks that no request failed. */
  async end(over = true): Promise<void> {
    if (over) this.#over = true;
    await Promise.all(this.#loops);
    assert.deepEqual(this.failures, []);
  }

  #isOver(last: boolean): boolean {
    return this.#over || (last && !this.#reconnect);
  }

  async #loop(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    try {
      let [last, sentAt] = [false, performance.now()];
      while (!this.#isOver(last)) {
        const idleMs = performance.now() - sentAt;
        sentAt = performance.now();
        try {
          last = await ask(this.#port, agent);
        } catch (error) {
          // This process stalled, so that its connection was closed as idle; and nobody listens any more.
          const late = idleMs >= GRACE_MS && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
          if (this.#reconnect || !late) throw error;
          break;
        }
        this.answers++;
        this.#raise();
      }
    } catch (error) {
      this.failures.push(String(error));
      this.#raise();
    } finally {
      agent.destroy();
    }
  }

  #raise(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Sends one request. Resolves with whether the response ends the connection. */
async function ask(port: number, agent: http.Agent): Promise<boolean> {
  const response = await getKept({ host: '127.0.0.1', port, agent });
  let body = '';
  for await (const part of response.setEncoding('latin1')) body += String(part);
  if (response.statusCode === 200 && body.endsWith('\n')) return response.headers.connection === 'close';
  throw new Error(`status ${response.statusCode ?? 0}, body ${JSON.stringify(body)}`);
}

const LIMIT_MS = 60_000;
const POLL_MS = 10;
