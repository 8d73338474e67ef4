/**
 * The access log of the binary: on standard output, or appended to a file that all workers share. A reader that stalls,
 * a pipe that is closed or a disk that is full loses lines, and never stops the serving.
 */
import fs from 'node:fs';
import type { Balancer } from '../balancer.ts';
import { messageOf } from '../guard.ts';
import { andMore, Throttle } from '../loop/throttle.ts';
import type { Log } from './log-line.ts';
import { logTo } from '../observe/access-log.ts';
import type { AccessLog } from '../observe/index.ts';

export interface AccessLogSettings {
  /** Undefined: standard output. */
  readonly path: string | undefined;
  readonly format: 'json' | 'common' | 'combined';
}

/** For the log of the process. */
export const REOPENING = 'SIGUSR1: reopening the access log';

/** Opens the log. Throws if the file cannot be opened. */
export function openAccessLog(settings: AccessLogSettings, log: Log): OpenAccessLog {
  const { path } = settings;
  return new OpenAccessLog(settings, path === undefined ? undefined : new LogFile(path), log);
}

/** An access log that is open. */
export class OpenAccessLog {
  readonly #settings: AccessLogSettings;
  readonly #file: LogFile | undefined;
  readonly #out = new StandardOutput();
  readonly #log: Log;
  readonly #throttle = new Throttle(() => performance.now());
  #lines: AccessLog | undefined;
  #exiting = false;

  constructor(settings: AccessLogSettings, file: LogFile | undefined, log: Log) {
    this.#settings = settings;
    this.#file = file;
    this.#log = log;
  }

  /** Logs the exchanges of `balancer`. */
  start(balancer: Balancer): void {
    const target = this.#file ?? this.#out;
    this.#lines = logTo(balancer, { format: this.#settings.format }, (lines) => {
      if (!this.#exiting) return target.append(lines);
      this.#save(lines);
      return undefined;
    }, (fault) => {
      this.#failed(fault);
    });
    process.on('exit', this.#onExit);
  }

  /** Reopens the file, which may have been moved. If that fails, the old one stays. Returns whether there is a file. */
  reopen(): boolean {
    if (this.#file === undefined) return false;
    try {
      this.#file.reopen();
    } catch (error) {
      this.#log(`the access log is not reopened, lines still go to the old file: ${messageOf(error)}`,
        { event: 'reopen-failed', level: 'error' });
    }
    return true;
  }

  /** Writes what is kept, if that does not take long, and closes the file. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.#lines?.close(), late]);
    clearTimeout(timer);
    process.off('exit', this.#onExit);
    this.#file?.close();
  }

  /** A second SIGTERM, an exception or a call of `process.exit` ends this process without a `close`. */
  readonly #onExit = (): void => {
    this.#exiting = true;
    this.#lines?.flush();
  };

  /** A disk is full, say. How many lines that costs is said in the access log itself, once it can be. */
  #failed(fault: unknown): void {
    const untold = this.#throttle.pass('');
    if (untold === undefined) return;
    const reason = messageOf(fault instanceof Error && fault.cause !== undefined ? fault.cause : fault);
    this.#log(`access log: ${this.#settings.path ?? 'standard output'} cannot be written, so lines are lost: ${reason}${
      andMore(untold)}`, { event: 'log-lost', level: 'error' });
  }

  /** Writes the last lines, as far as nobody has to be waited for. */
  #save(lines: Buffer): void {
    try {
      (this.#file ?? this.#out).save(lines);
    } catch (error) {
      this.#log(`access log: the last lines are lost: ${messageOf(error)}`, { event: 'log-lost', level: 'warn' });
    }
  }
}

/**
 * A file that lines are appended to. Each call is one `write` of whole lines, at the end of the file wherever that is
 * (O_APPEND): those of several processes do not mix. A named pipe gets them in pieces, and takes them when it can.
 */
class LogFile {
  readonly #path: string;
  #fd: number | undefined;
  /** The file of the write under way: it is closed behind it. */
  #busy: number | undefined;
  /** Of the lines that a pipe gets. */
  #left: Iterable<Buffer> = [];
  /** Whether the last line was cut off, by a disk that was full. */
  #torn = false;

  /** Throws if it cannot be opened. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = open(path);
  }

  reopen(): void {
    if (this.#fd === undefined) return;
    const fd = open(this.#path);
    this.#retire(this.#fd);
    this.#fd = fd;
    this.#torn = false;
  }

  /** Resolves when the lines are in the file. One call at a time. */
  async append(lines: Buffer): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#busy = fd;
    try {
      if (fs.fstatSync(fd).isFIFO()) {
        this.#left = pieces(lines);
        for (const piece of this.#left) await this.#pipe(fd, piece);
      } else await this.#write(fd, lines);
    } finally {
      this.#busy = undefined;
      if (fd !== this.#fd) fs.close(fd, ignore);
    }
  }

  async #write(fd: number, lines: Buffer): Promise<void> {
    const bytes = this.#whole(lines);
    const written = await write(fd, bytes);
    this.#torn = written < bytes.length;
    if (this.#torn) throw new Error(`only ${written} of ${bytes.length} octets could be written`);
  }

  /** Asks a pipe that is full again and again, until the file is reopened or closed. */
  async #pipe(fd: number, lines: Buffer): Promise<void> {
    for (let waitMs = MIN_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
      try {
        await this.#write(fd, lines);
        return;
      } catch (error) {
        if (this.#fd !== fd || (error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
      await new Promise<void>((resolve) => {
        setTimeout(resolve, waitMs).unref();
      });
    }
  }

  /**
   * Writes what is left, then `lines`, at once, while this process exits. Node still completes a write under way, maybe
   * behind these lines. Throws if a pipe is full.
   */
  save(lines: Buffer): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    for (const piece of this.#left) fs.writeSync(fd, piece);
    const isPipe = fs.fstatSync(fd).isFIFO();
    for (const piece of isPipe ? pieces(lines) : [this.#whole(lines)]) fs.writeSync(fd, piece);
  }

  /** Lines, behind the end of one that was cut off. */
  #whole(lines: Buffer): Buffer {
    return this.#torn ? Buffer.concat([END_OF_LINE, lines]) : lines;
  }

  close(): void {
    if (this.#fd !== undefined) this.#retire(this.#fd);
    this.#fd = undefined;
  }

  /** Closes a file, or leaves that to the write under way. */
  #retire(fd: number): void {
    if (fd !== this.#busy) fs.close(fd, ignore);
  }
}

/** Opens a file to append to. A named pipe that nobody reads fails, instead of stopping this process. */
function open(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = fs.constants;
  try {
    return fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, MODE);
  } catch (cause) {
    throw new Error(`access-log: ${path} cannot be opened: ${messageOf(cause)}`, { cause });
  }
}

/** Resolves with the number of octets that were written. */
function write(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, 0, bytes.length, null, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

/** Standard output, which may be a pipe. */
class StandardOutput {
  #left: Iterable<Buffer> = [];

  /** Resolves when the lines are taken. One call at a time. */
  async append(lines: Buffer): Promise<void> {
    this.#left = pieces(lines);
    for (const piece of this.#left) await printed(piece);
  }

  /** Writes what is left, then `lines`, at once, while this process exits. Throws if a pipe is full. */
  save(lines: Buffer): void {
    for (const all of [this.#left, pieces(lines)]) {
      for (const piece of all) {
        if (process.stdout.writableLength > 0) throw new Error('standard output has a reader that stalls');
        process.stdout.write(piece);
      }
    }
  }

}

/**
 * Whole lines, in pieces for a pipe that workers share: up to PIPE_BUF octets in one write do not mix with those of
 * others (POSIX, write()).
 */
function* pieces(lines: Buffer): Generator<Buffer> {
  for (let at = 0; at < lines.length;) {
    const limit = lines.lastIndexOf(LF, at + PIPE_BUF - 1);
    const end = limit < at ? lines.indexOf(LF, at) + 1 : limit + 1;
    yield lines.subarray(at, end);
    at = end;
  }
}

function printed(lines: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(lines, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function ignore(): void {
  // A log file that can't be closed is lost anyway.
}

const LF = 0x0a;
const END_OF_LINE = Buffer.from('\n');
/** Others than the owner's group have no business with who asked for what. */
const MODE = 0o640;
/** That of Linux; POSIX promises 512. */
const PIPE_BUF = 4_096;
/** How long a pipe that is full is left alone, at first and in the end. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 200;
/** Less than the launcher allows a drained worker for its exit. */
const CLOSE_MS = 300;
