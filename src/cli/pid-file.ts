/**
 * The file that names our process, for as long as it serves.
 */
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../guard.ts';

/**
 * A file with our process id. It is written whole, under another name first, so that nobody reads half of it and a
 * symbolic link is replaced instead of followed. It is removed only if it still holds our id: by then another process
 * may have written its own.
 */
export class PidFile {
  #path: string | undefined;

  /** Where it is; undefined for nowhere. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Writes the file, and removes the one that was written to another path. Throws a line that says what is wrong. */
  write(path: string | undefined): void {
    if (path === this.#path) return;
    if (path !== undefined) writeOwn(path);
    this.remove();
    this.#path = path;
  }

  /** Removes the file, if it is still ours. Throws a line that says why it cannot be removed. */
  remove(): void {
    const path = this.#path;
    if (path === undefined) return;
    this.#path = undefined;
    try {
      if (readFileSync(path, 'utf8').trim() === String(process.pid)) rmSync(path, { force: true });
    } catch (error) {
      // Somebody else has removed it already.
      if (codeOf(error) === 'ENOENT') return;
      throw new Error(`pid-file: cannot remove ${path}: ${reason(error, path)}`, { cause: error });
    }
  }
}

function writeOwn(path: string): void {
  const temporary = `${path}.${randomUUID()}`;
  let written = false;
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    // To put a file in the place of /dev/null, say, would break others.
    if (there !== undefined && !there.isFile() && !there.isSymbolicLink()) {
      throw new Error(there.isDirectory() ? 'it is a directory' : 'it is not a plain file');
    }
    writeFileSync(temporary, `${process.pid}\n`, { flag: 'wx' });
    written = true;
    renameSync(temporary, path);
  } catch (error) {
    if (written) rmSync(temporary, { force: true });
    throw new Error(`pid-file: cannot write ${path}: ${reason(error, path)}`, { cause: error });
  }
}

/** Without the system call and its arguments, which name the temporary file. */
function reason(error: unknown, path: string): string {
  if (codeOf(error) === 'ENOENT') return `there is no directory ${dirname(path)}`;
  const text = messageOf(error);
  return codeOf(error) === undefined ? text : text.replace(/, \w+ '.*$/s, '');
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
