/**
 * The file that holds the ID of our process while it serves.
 */
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../guard.ts';

/**
 * A file with our process ID. It is written under a temporary name and renamed, so that nobody reads half of it and a
 * symbolic link is replaced, not followed. It is removed only if it still holds our ID: another process may have
 * written its own in the meantime.
 */
export class PidFile {
  #path: string | undefined;

  /** Its path; undefined if there is none. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Writes the file, and removes the earlier one at another path. Throws an error of one line. */
  write(path: string | undefined): void {
    // The working directory may be another one by the time it is removed.
    const absolute = path === undefined ? undefined : resolve(path);
    if (absolute === this.#path) return;
    if (path !== undefined) writeOwn(path);
    this.remove();
    this.#path = absolute;
  }

  /** Removes the file, if it is still ours. Throws an error of one line. */
  remove(): void {
    const path = this.#path;
    if (path === undefined) return;
    this.#path = undefined;
    try {
      if (readFileSync(path, 'utf8').trim() === String(process.pid)) rmSync(path, { force: true });
    } catch (error) {
      // It is already gone.
      if (codeOf(error) === 'ENOENT') return;
      throw new Error(`pid-file: cannot remove ${path}: ${reason(error, path)}`, { cause: error });
    }
  }
}

function writeOwn(path: string): void {
  const temporary = `${path}.${randomUUID()}`;
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    // Replacing /dev/null by a file, for example, would break other programs.
    if (there !== undefined && !there.isFile() && !there.isSymbolicLink()) {
      throw new Error(there.isDirectory() ? 'it is a directory' : 'it is not a regular file');
    }
    writeFileSync(temporary, `${process.pid}\n`, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    removeIfThere(temporary);
    throw new Error(`pid-file: cannot write ${path}: ${reason(error, path)}`, { cause: error });
  }
}

/** Even a write that failed, on a disk that is full, has made the file. */
function removeIfThere(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Where it cannot be removed, it could not be made either, and the caller says why.
  }
}

/** The message without the system call and its arguments, which name the temporary file. */
function reason(error: unknown, path: string): string {
  if (codeOf(error) === 'ENOENT') return `the directory ${dirname(path)} does not exist`;
  const text = messageOf(error);
  return codeOf(error) === undefined ? text : text.replace(/, \w+(?: '.*)?$/s, '');
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
