/**
 * Checks the package as it would be published: `npm run lint:package`, after `npm run build`. Packs it, and tries the
 * tarball with publint and attw ("are the types wrong").
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
/**
 * Before hooks, pools and routes the package had 590,000; with them, `configure`, the guides and the JSON schema of
 * configuration files 890,000; with TLS, HTTP/2, PROXY, layer 4, metrics, the admin listener and traces 1,300,000; with
 * the lab, its reports and nine more strategies 1,650,000. Three quarters are code as it was written, without its
 * comments: minified, it would be half of that, and stack traces and what one steps through in a debugger would be
 * unreadable.
 */
const MAX_UNPACKED_BYTES = 1_800_000;

const folder = mkdtempSync(join(tmpdir(), 'equipoise-lint-'));
try {
  const run = (command, ...args) => execFileSync(command, args, { cwd: root, encoding: 'utf8' });
  const tool = (name, ...args) => run(process.execPath, join(root, 'node_modules', name), ...args);
  // Without scripts, which would build again.
  const [packed] = JSON.parse(run('npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder));
  const { files, unpackedSize } = packed;
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')));
  const paths = files.map(({ path }) => path);

  const maps = paths.filter((path) => path.endsWith('.map'));
  if (maps.length > 0) throw new Error(`must not hold source maps (has ${maps[0]}): exclude them in "files"`);
  if (unpackedSize > MAX_UNPACKED_BYTES) {
    throw new Error(`must have at most ${MAX_UNPACKED_BYTES} octets unpacked (has ${unpackedSize})`);
  }
  tool('publint/src/cli.js', tarball, '--strict');
  // attw does not expand patterns in exports.
  const strategies = paths.flatMap((path) => /^dist\/(strategies\/.+)\.js$/.exec(path)?.[1] ?? []);
  tool('@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only', '--format', 'ascii',
    '--include-entrypoints', ...strategies);
  console.log(`package: ${paths.length} files, ${unpackedSize} octets unpacked; publint and attw find no fault`);
} catch (error) {
  console.error(`package: ${error.stdout || error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
