/**
 * The public types change only on purpose: public-types.txt lists them all. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { report, reportPath } from './public-types.mjs';

test('the public types match the report', () => {
  assert.equal(readFileSync(reportPath, 'utf8'), report(),
    'the public types have changed; run npm run build && npm run public-types, and commit the new report');
});
