/**
 * Nothing is kept of a failed exchange: the heap is flat over the repetitions of each fault. A thousand of each take
 * minutes on a busy machine: EQUIPOISE_REPETITIONS=1000 has them all.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('./heap-program.ts', import.meta.url));
const REPETITIONS = Number(process.env['EQUIPOISE_REPETITIONS'] ?? 200);
/** A socket or an exchange is more; what V8 compiles and caches by the way is less. */
const KEPT_BYTES = 800;
/** Processes side by side. */
const PARTS = 2;

describe(`over ${REPETITIONS} repetitions the heap stays flat`, { concurrency: true }, () => {
  for (let part = 0; part < PARTS; part++) {
    test(`of each fault, part ${part + 1} of ${PARTS}`, async () => {
      const args = ['--expose-gc', '--import', 'tsx', PROGRAM, ...[REPETITIONS, part, PARTS].map(String)];
      // Not counted for coverage, which keeps things itself: as much by the group as by ten times the repetitions.
      const env = { ...process.env, NODE_V8_COVERAGE: undefined };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
      assert.equal(stderr, '');
      const cases = stdout.trim().split('\n').map((line) => JSON.parse(line) as { name: string; sizes: number[] });
      assert.ok(cases.length > 20, 'it came to its end');
      for (const { name, sizes } of cases) {
        const growths = sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0));
        // Chance may add to one group; what is kept of each repetition adds to all.
        const least = Math.min(...growths);
        assert.ok(least < KEPT_BYTES * REPETITIONS / sizes.length, `${name} adds ${growths.join(', ')} octets`);
      }
    });
  }
});
