/**
 * What a process leaves behind when it ends without cleaning up.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync } from 'node:fs';

/** Starts a process that listens on the Unix socket at `path` and crashes. */
export function crashOn(path: string): void {
  const program = `const die = () => process.kill(process.pid, 'SIGKILL');
    require('net').createServer().listen(${JSON.stringify(path)}, die);`;
  spawnSync(process.execPath, ['-e', program]);
  assert.ok(lstatSync(path).isSocket(), 'it left its socket');
}
