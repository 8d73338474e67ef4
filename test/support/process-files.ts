/**
 * Files for a process under test.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A new directory with `files`, by name; it is removed when the test ends. */
export function directory(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(join(tmpdir(), 'equipoise-'));
  t.after(() => {
    rmSync(path, { recursive: true, force: true });
  });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

/** A named pipe, open for reading and not read yet; undefined, with the test skipped, where the system has none. */
export function namedPipe(t: TestContext): { readonly pipe: string; readonly reader: number } | undefined {
  const pipe = join(directory(t), 'log.pipe');
  if (spawnSync('mkfifo', [pipe]).status !== 0) {
    t.skip('this system has no mkfifo');
    return undefined;
  }
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(reader);
  });
  return { pipe, reader };
}
