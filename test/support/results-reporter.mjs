/**
 * A reporter for node:test that writes results as `run.mjs` reads them: a line of JSON for each test, and for each suite.
 */
import { inspect } from 'node:util';

export default async function* results(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { name, file, line, nesting, skip, details: { type: kind, duration_ms: ms, error } } = data;
    // A suite or parent test that failed only because a child did: the child's own result says so.
    const isEcho = error?.failureType === 'subtestsFailed';
    const outcome = skip !== undefined ? 'skipped' : type === 'test:pass' || isEcho ? 'passed' : 'failed';
    yield `${JSON.stringify({
      name, file, line, ms: nesting === 0 ? ms : 0, outcome,
      isSuite: kind === 'suite',
      ...(typeof skip === 'string' && { reason: skip }),
      ...(outcome === 'failed' && { error: inspect(error?.cause ?? error, { depth: 6 }) }),
    })}\n`;
  }
}
