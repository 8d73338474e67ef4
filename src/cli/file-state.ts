/**
 * Tells whether a file of the user's code is still the one that was loaded.
 */
import { realpath, stat } from 'node:fs/promises';

export interface FileState {
  /** Its path with all links resolved. Node remembers where a link led to when it first loaded a module through it. */
  readonly path: string;
  /**
   * Differs for another content at the same path. The time alone does not: archives, package managers and copies set
   * that of the original.
   */
  readonly version: string;
}

/** Rejects if there is no such file. */
export async function fileState(path: string): Promise<FileState> {
  const real = await realpath(path);
  const { ino, mtimeMs, size } = await stat(real);
  return { path: real, version: `${ino}-${mtimeMs}-${size}` };
}
