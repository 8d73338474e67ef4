/**
 * The public types change on purpose only: public-types.txt has them all. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { report, reportPath } from './public-types.mjs';

test('the public types are those of the report', () => {
  assert.equal(readFileSync(reportPath, 'utf8'), report(),
    'the public types have changed; run npm run build && npm run public-types, and commit the new report');
});
