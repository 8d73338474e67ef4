import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBalancer } from '../../src/index.ts';

test('a Unix socket whose path the system would truncate is refused', async () => {
  const balancer = createBalancer({ upstreams: [] });
  try {
    await assert.rejects(balancer.listen({ path: `/tmp/${'x'.repeat(103)}` }), {
      code: 'OPTIONS_INVALID',
      message: / listen\.path: the path of a Unix socket must have at most \d+ octets \(got 108: "\/tmp\/x+\.\.\.\)$/,
    });
  } finally {
    await balancer.close({ timeoutMs: 0 });
  }
});
