/**
 * The fuzzing among the tests: about 10,000 cases of one kind through `socket` and about 4,000 through `node:http`,
 * with the seed of the run. The long tests draw 100,000 of each, with another seed each time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../src/testing/random.ts';
import type { Front } from './front.ts';
import { KINDS, NOTES, Session } from './session.ts';

const DRAWS: Readonly<Record<Front, number>> = { socket: 8_000, 'node:http': 3_000 };

/**
 * Fuzzes `kind` through `front`, and adds a test that says what came of it. The draws come before the test: once one
 * exists, the runner tracks every promise, which would take a third of the time.
 */
export async function testFuzzing(kind: typeof KINDS[number], front: Front): Promise<void> {
  const seed = testSeed();
  const draws = DRAWS[front];
  const run = await fuzz(kind, front, seed).catch((error: unknown) => ({ error }));
  test(`${draws} draws of ${kind} through ${front} (EQUIPOISE_SEED=${seed}) find nothing`, (t) => {
    if ('error' in run) throw run.error;
    const { session, cases } = run;
    for (const { index, fault, small, saw } of session.finds) {
      assert.fail(`${fault}\n${JSON.stringify(small)}\n${JSON.stringify(saw)}\n`
        + `repeat it with npm run fuzz -- --front ${front} --seed ${seed} --only ${index}`);
    }
    const counts = [...session.counts].sort();
    t.diagnostic(`seed ${seed}, ${cases} cases; ${counts.map(([what, some]) => `${what}: ${some}`).join(', ')}`);
    assertBite(session.counts, kind, cases);
  });
}

/** Draws until something is found. Resolves with the session, closed, and the number of cases. */
async function fuzz(
  kind: typeof KINDS[number], front: Front, seed: number,
): Promise<{ readonly session: Session; readonly cases: number }> {
  const limit = Error.stackTraceLimit;
  // Most cases end in an error somewhere: its stack trace is not used.
  Error.stackTraceLimit = 0;
  try {
    const session = new Session(seed, front);
    let cases = 0;
    for (let draw = 0; draw < DRAWS[front] && session.finds.length === 0; draw++) {
      cases += await session.run(draw * KINDS.length + KINDS.indexOf(kind));
    }
    await session.close();
    return { session, cases };
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/**
 * The shares of the cases that both accept, that both refuse, and that only we refuse: over twenty seeds they were 0.24
 * to 0.31, 0.55 to 0.60 and 0.04 to 0.15 through `socket`, and 0.15 to 0.39, 0.51 to 0.73 and 0.04 to 0.16 through
 * `node:http`, which draws less. The bounds are far enough from these that a new seed does not fail by chance.
 */
const SHARES = { accepted: [0.05, 0.7], refused: [0.2, 0.85], stricter: [0.01, 0.25] } as const;

/** No case is skipped, and all kinds occur. */
function assertBite(counts: ReadonlyMap<string, number>, kind: string, cases: number): void {
  let ends = 0;
  for (const [what, some] of counts) {
    if (NOTES.some((note) => what === `${kind}: ${note}`)) assert.ok(some > 0.001 * cases, `${what}: ${some}`);
    else ends += some;
  }
  assert.equal(ends, cases, 'each case is counted, in one way');
  for (const [what, [least, most]] of Object.entries(SHARES)) {
    const share = (counts.get(`${kind}: ${what}`) ?? 0) / cases;
    assert.ok(share > least && share < most, `${what}: ${share} of the cases`);
  }
}
