// Runs all tests, or those whose path holds one of the arguments: `npm run test:unit -- http1 cli`.
// Node 20's runner takes no globs, so the files are found here.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort()
  .map((name) => join(root, name));
if (files.length === 0) {
  console.error(`no test file has ${wanted.join(' or ')} in its name`);
  process.exit(1);
}
// One more than there are cores: tests wait as much as they work.
const { status } = spawnSync(process.execPath, [
  '--import', 'tsx', '--test', '--test-timeout=120000', `--test-concurrency=${availableParallelism() + 1}`,
  `--test-reporter=${new URL('support/progress-reporter.mjs', import.meta.url).href}`, '--test-reporter-destination=stdout',
  ...files,
], { stdio: 'inherit' });
process.exitCode = status ?? 1;
