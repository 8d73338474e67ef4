/**
 * The working directory, through the link by which the shell entered it. After `cd current && equipoise -c app.json`,
 * the process stays where `current` led to at the start, but a deployment moves the link and deletes old releases.
 */
import { isDirectory, releaseOf } from '../cluster/supervise/release.ts';

export class WorkingDirectory {
  readonly #link: string | undefined;

  /** Make it at the start, while the directory is still there. */
  constructor() {
    try {
      this.#link = releaseOf({ cwd: process.cwd(), pwd: process.env['PWD'], program: undefined }).cwd;
    } catch {
      // It is already gone: nothing is relative to it then.
    }
  }

  /** Goes where the link leads to now, so that a reload finds the files that a fresh start would. */
  follow(): void {
    if (this.#link !== undefined && isDirectory(this.#link)) process.chdir(this.#link);
  }
}
