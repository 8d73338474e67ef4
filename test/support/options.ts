/**
 * The problems that a parse of options reports.
 */
import assert from 'node:assert/strict';
import { BalancerError } from '../../src/errors.ts';
import { parseOptions, type Settings } from '../../src/options/parse.ts';

/** The problems in the error that a parse throws. */
export function problemsWith(options: unknown): string[] {
  try {
    parseOptions(options);
  } catch (error) {
    assert.ok(error instanceof BalancerError, `threw ${String(error)}`);
    assert.deepEqual([error.code, error.source, error.retryable], ['OPTIONS_INVALID', 'internal', false]);
    const [first, ...lines] = error.message.split('\n');
    assert.equal(first, 'invalid options:');
    return lines.map((line) => line.trim());
  }
  assert.fail(`${inspected(options)} was accepted`);
}

/** A value as shown in the title of a test. */
export function inspected(value: unknown): string {
  const shown = JSON.stringify(value, (_, part: unknown) => {
    return typeof part === 'function' || typeof part === 'bigint' || typeof part === 'number' ? String(part) : part;
  }) as string | undefined;
  return shown ?? String(value);
}

/** The settings of the pool `default` and those of the front together, as the parts of a pool take them. */
export function settingsOf(options: unknown): Settings {
  const { pools, front } = parseOptions(options);
  const pool = pools.get('default');
  assert.ok(pool !== undefined, 'there is a pool default');
  return { ...pool, ...front };
}
