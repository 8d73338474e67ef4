/**
 * The binary as a separate process: dist/src/cli/main.js, built by `npm run build`.
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Signal } from './wait.ts';

export const BINARY = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface BinaryOptions {
  readonly cwd?: string;
  /** Added to the environment of this process, through which coverage reaches child processes. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdio?: StdioOptions;
  /** Flags of Node itself. */
  readonly execArgv?: readonly string[];
  /** A program to run instead, which runs the binary. */
  readonly program?: string;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Binary {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #signal = new Signal();
  #exit: Exit | undefined;

  constructor(args: readonly string[], { cwd, env, stdio, execArgv = [], program = BINARY }: BinaryOptions = {}) {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} does not exist: run npm run build`);
    this.#child = spawn(process.execPath, [...execArgv, program, ...args], {
      env: { ...process.env, ...env },
      stdio: stdio ?? ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    });
    // However this process ends, it leaves no child behind.
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#signal.raise();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#signal.raise();
    });
    // 'close' rather than 'exit': by then all its output has been read.
    this.#child.on('close', (code, signal) => {
      process.off('exit', kill);
      this.#exit = { code, signal, stdout: this.stdout, stderr: this.stderr };
      this.#signal.raise();
    });
  }

  /** Resolves with its first line on standard output, which says that it is ready. */
  async ready(): Promise<string> {
    await this.#until(() => this.stdout.includes('\n'), 'the line that says it is ready');
    return this.stdout.slice(0, this.stdout.indexOf('\n'));
  }

  /** Resolves with the first port that it listens on. */
  async port(): Promise<number> {
    const line = await this.ready();
    const port = /http:\/\/[^,]*:(\d+)/.exec(line)?.[1];
    if (port === undefined) throw new Error(`no port in ${JSON.stringify(line)}`);
    return Number(port);
  }

  /** Resolves when `pattern` appears on standard output. */
  async printed(pattern: RegExp): Promise<void> {
    await this.#until(() => pattern.test(this.stdout), `${String(pattern)} on standard output`);
  }

  /** Resolves when `pattern` appears on standard error. */
  async logged(pattern: RegExp): Promise<void> {
    await this.#until(() => pattern.test(this.stderr), `${String(pattern)} on standard error`);
  }

  /** Resolves when it has ended. */
  async exit(): Promise<Exit> {
    await this.#signal.until(() => this.#exit !== undefined, () => `its end; ${this.#told()}`);
    if (this.#exit === undefined) throw new Error('unreachable');
    return this.#exit;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('it has no process');
    return this.#child.pid;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Stops reading its output: what it writes from now on fails with EPIPE. */
  async hangUp(): Promise<void> {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null || stream.closed) continue;
      stream.destroy();
      await new Promise((resolve) => stream.once('close', resolve));
    }
  }

  /** Ends it if it is still running, gracefully if possible. */
  async stop(): Promise<void> {
    if (this.#exit !== undefined) return;
    this.signal('SIGTERM');
    try {
      await this.exit();
    } finally {
      this.#child.kill('SIGKILL');
    }
  }

  async #until(seen: () => boolean, what: string): Promise<void> {
    await this.#signal.until(() => seen() || this.#exit !== undefined, () => `${what}; ${this.#told()}`);
    if (!seen()) throw new Error(`it ended without ${what}; ${this.#told()}`);
  }

  #told(): string {
    return `it said ${JSON.stringify(this.stdout)} and logged ${JSON.stringify(this.stderr)}`;
  }
}

/** Runs the binary until it exits. */
export async function run(args: readonly string[], options?: BinaryOptions): Promise<Exit> {
  const binary = new Binary(args, options);
  try {
    return await binary.exit();
  } finally {
    await binary.stop();
  }
}

/** Starts the binary; it ends with the test. */
export function start(t: TestContext, args: readonly string[], options?: BinaryOptions): Binary {
  const binary = new Binary(args, options);
  t.after(() => binary.stop());
  return binary;
}
