/**
 * Where workers find the program: behind the link that it was started through. With `cd current && node app.mjs`, Node
 * knows only what the link `current` points to at that moment; a deployment moves the link, and deletes old releases.
 */
import { statSync } from 'node:fs';
import { resolve, sep } from 'node:path';

/** What of a process says how it was started. */
export interface Started {
  /** Its working directory, links resolved. */
  readonly cwd: string;
  /** The shell's name for that directory, `$PWD`. */
  readonly pwd: string | undefined;
  /** The path of the program, `process.argv[1]`. */
  readonly program: string | undefined;
}

/** What workers are started with, where that is not what this process would give them anyway. */
export interface Release {
  readonly cwd?: string;
  readonly exec?: string;
}

/** How to start workers of a program that was started so. To be asked once, while all of that is there. */
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
