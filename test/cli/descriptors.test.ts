import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { descriptorLimit, fit } from '../../src/cli/descriptors.ts';

const DEMAND = { maxConnections: 16_384, configured: false, maxInFlight: Infinity, upstreams: 3 };

describe('connections and open files', () => {
  test('with plenty of descriptors, nothing changes', () => {
    assert.deepEqual(fit(Infinity, DEMAND), { maxConnections: undefined, warning: undefined });
    assert.deepEqual(fit(2 * 16_384 + 67, DEMAND), { maxConnections: undefined, warning: undefined });
  });
  test('the default follows the limit; if that is low, a line says so', () => {
    assert.deepEqual(fit(20_067, DEMAND), { maxConnections: 10_000, warning: undefined });
    const { maxConnections, warning } = fit(1_067, DEMAND);
    assert.equal(maxConnections, 500);
    assert.match(warning ?? '',
      /^maxConnections: lowered from 16384 to 500: this process may only open 1067 files; raise it /);
  });
  test('fewer requests in flight leave more for downstreams', () => {
    assert.equal(fit(1_067, { ...DEMAND, maxInFlight: 100 }).maxConnections, 900);
  });
  test('a value of the user stays, with a warning', () => {
    const { maxConnections, warning } = fit(1_067, { ...DEMAND, maxConnections: 600, configured: true });
    assert.equal(maxConnections, undefined);
    assert.match(warning ?? '', /^maxConnections: 600 connections need 1267 open files, .* or set it to at most 500$/);
  });
  test('the limit is that of the process', { skip: process.platform === 'win32' }, () => {
    const code = "import('./src/cli/descriptors.ts').then((m) => console.log(m.descriptorLimit()))";
    const script = `ulimit -n 500 && exec "${process.execPath}" --import tsx -e "${code}"`;
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout, stderr } = spawnSync('sh', ['-c', script], { cwd, encoding: 'utf8' });
    assert.equal(stdout, '500\n', stderr);
    assert.ok(descriptorLimit() > 0);
  });
});
