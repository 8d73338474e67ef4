/**
 * Where workers find the program: behind the link through which it was started. With `cd current && node app.mjs`, Node
 * knows only what the link `current` points to at that moment. A deployment moves the link and deletes old releases.
 */
import { statSync } from 'node:fs';
import { resolve, sep } from 'node:path';

/** How a process was started. */
export interface Started {
  /** Its working directory, with links resolved. */
  readonly cwd: string;
  /** The shell's name for that directory, `$PWD`. */
  readonly pwd: string | undefined;
  /** The path of the program, `process.argv[1]`. */
  readonly program: string | undefined;
}

/** What workers are started with, if it differs from what they would get anyway. */
export interface Release {
  readonly cwd?: string;
  readonly exec?: string;
}

/** How to start workers of the program. Call it once at the start, while its directory is still there. */
export function releaseOf({ cwd, pwd, program }: Started): Release {
  if (pwd === undefined || resolve(pwd) !== pwd || !isSameDirectory(pwd, cwd)) return {};
  if (program === undefined) return { cwd: pwd };
  if (program === cwd) return { cwd: pwd, exec: pwd };
  const root = cwd.endsWith(sep) ? cwd : cwd + sep;
  return { cwd: pwd, exec: program.startsWith(root) ? resolve(pwd, program.slice(root.length)) : program };
}

/** Whether workers can be started in this directory now. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isSameDirectory(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one), statSync(other)];
    return a.isDirectory() && a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}
