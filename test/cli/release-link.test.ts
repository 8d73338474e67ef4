/**
 * Releases behind a link, as deployments make them: the link is moved, the binary is told to reload, and the old
 * release is deleted.
 */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';

const TABLE = [
  { alone: true, kind: 'json', by: 'path' }, { alone: true, kind: 'mjs', by: 'directory' },
  { alone: false, kind: 'json', by: 'directory' }, { alone: false, kind: 'mjs', by: 'path' },
] as const;

for (const { alone, kind, by } of TABLE) {
  const what = `after the link to the release is moved, SIGHUP ${alone ? 'alone' : 'with workers'} reads the new`;
  test(`${what} .${kind} file and its strategy, through ${by === 'path' ? '--config' : '$PWD'}`, async (t) => {
    const folder = directory(t);
    const upstreams = { one: await startNamed(t, 'one'), two: await startNamed(t, 'two') };
    const link = join(folder, 'current');
    const point = (name: keyof typeof upstreams): void => {
      const release = join(folder, name);
      mkdirSync(release);
      const config = {
        listen: '127.0.0.1:0', strategy: './strategy.mjs', upstreams: [upstreams[name]],
        ...(alone ? {} : { workers: 1 }),
      };
      const text = JSON.stringify(config);
      writeFileSync(join(release, `config.${kind}`), kind === 'json' ? text : `export default ${text};`);
      writeFileSync(join(release, 'strategy.mjs'), `export default {
        name: 'own', pick(all, context) { context.respondWith('x-release', '${name}'); return all[0]; } };`);
      // As a package manager or an archive leaves them.
      for (const file of [`config.${kind}`, 'strategy.mjs']) utimesSync(join(release, file), 500, 500);
      symlinkSync(release, `${link}.new`);
      renameSync(`${link}.new`, link);
    };
    point('one');
    const binary = by === 'directory'
      ? start(t, ['-c', `config.${kind}`], { cwd: link, env: { PWD: link } })
      : start(t, ['-c', join(link, `config.${kind}`)], { cwd: folder });
    const port = await binary.port();
    const released = async (): Promise<unknown> => {
      const { body, headers } = await get(port);
      return [body, headers['x-release']];
    };
    assert.deepEqual(await released(), ['one', 'one']);
    point('two');
    rmSync(join(folder, 'one'), { recursive: true });
    binary.signal('SIGHUP');
    await binary.logged(/reloaded: |reload: complete|not reloaded|reload failed/);
    assert.deepEqual(await released(), ['two', 'two'], binary.stderr);
  });
}

test('a strategy of the same age and size in another file at its path is another one', async (t) => {
  const upstream = await startNamed(t, 'one');
  const strategy = (name: string): string => `export default {
    name: 'own', pick(all, context) { context.respondWith('x-release', '${name}'); return all[0]; } };`;
  const folder = directory(t, {
    'config.json': JSON.stringify({ listen: '127.0.0.1:0', strategy: './strategy.mjs', upstreams: [upstream] }),
    'strategy.mjs': strategy('one'), 'new.mjs': strategy('two'),
  });
  for (const file of ['strategy.mjs', 'new.mjs']) utimesSync(join(folder, file), 500, 500);
  const binary = start(t, ['-c', join(folder, 'config.json')]);
  const port = await binary.port();
  assert.equal((await get(port)).headers['x-release'], 'one');
  renameSync(join(folder, 'new.mjs'), join(folder, 'strategy.mjs'));
  binary.signal('SIGHUP');
  await binary.logged(/reloaded: /);
  assert.equal((await get(port)).headers['x-release'], 'two');
});
