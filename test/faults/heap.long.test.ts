/**
 * A failed exchange leaves nothing behind: the heap stays flat over many repetitions of each fault.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('./heap-program.ts', import.meta.url));
const REPETITIONS = 1_000;
/** Less than a socket or an exchange; more than what V8 compiles and caches meanwhile. */
const KEPT_BYTES = 800;
/** Parallel processes. */
const PARTS = 2;

describe(`over ${REPETITIONS} repetitions the heap stays flat`, { concurrency: true }, () => {
  for (let part = 0; part < PARTS; part++) {
    test(`of each fault, part ${part + 1} of ${PARTS}`, async () => {
      const args = ['--expose-gc', '--import', 'tsx', PROGRAM, ...[REPETITIONS, part, PARTS].map(String)];
      // Without coverage, which retains memory itself.
      const env = { ...process.env, NODE_V8_COVERAGE: undefined };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
      assert.equal(stderr, '');
      const cases = stdout.trim().split('\n').map((line) => JSON.parse(line) as { name: string; sizes: number[] });
      assert.ok(cases.length > 20, 'it ran to its end');
      for (const { name, sizes } of cases) {
        const growths = sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0));
        // Chance may add to one group; a leak adds to all of them.
        const least = Math.min(...growths);
        assert.ok(least < KEPT_BYTES * REPETITIONS / sizes.length, `${name} adds ${growths.join(', ')} octets`);
      }
    });
  }
});
