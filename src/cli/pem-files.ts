/**
 * The PEM files of a configuration: those of `tls:` listeners, and those for `https:` upstreams. The primary reads them
 * from disk and sends their contents to its workers: a worker that is respawned in the middle of a renewal still gets a
 * certificate and a key that match.
 */
import { readFile, stat } from 'node:fs/promises';
import { messageOf } from '../guard.ts';
import { whyNoFile } from './load.ts';

/** Contents by path. */
export type Contents = Readonly<Record<string, string>>;

/** Reads each file once. */
export class PemFiles {
  readonly #given: Contents;
  readonly #read = new Map<string, string>();

  /** What is `given` is not read from disk. */
  constructor(given: Contents = {}) {
    this.#given = given;
  }

  /** All that was read. */
  get contents(): Contents {
    return Object.fromEntries(this.#read);
  }

  /** The content of a file. If it cannot be read, returns undefined and adds why to `problems`. */
  async read(path: string, at: string, problems: string[]): Promise<string | undefined> {
    try {
      const text = this.#read.get(path) ?? (Object.hasOwn(this.#given, path) ? this.#given[path] : await pem(path));
      if (text === undefined) return undefined;
      this.#read.set(path, text);
      return text;
    } catch (error) {
      problems.push(`${at}: cannot read ${path}: ${whyNot(error)}`);
      return undefined;
    }
  }
}

async function pem(path: string): Promise<string> {
  const file = await stat(path);
  if (file.isDirectory()) throw new Error('it is a directory; name the file in it');
  // A pipe would be empty at the next reload.
  if (!file.isFile()) throw new Error('it is not a regular file');
  if (file.size > MAX_BYTES) throw new Error(`it has ${file.size} octets, too many for certificates or a key`);
  return readFile(path, 'latin1');
}

function whyNot(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ELOOP') return 'its symbolic links lead in a circle';
  return whyNoFile(error) ?? messageOf(error);
}

/** A bundle with all authorities of a system has about 200 KiB. */
const MAX_BYTES = 4 * 1_048_576;
