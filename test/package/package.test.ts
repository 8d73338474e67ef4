/**
 * What is published: complete, without sources, and loadable by import and require. Needs `npm run build`. Its size is
 * checked by `npm run lint:package`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

describe('the package', () => {
  let folder = '';
  let files: readonly string[] = [];
  const installed = (...path: readonly string[]): string => join(folder, 'node_modules/equipoise', ...path);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'equipoise-package-'));
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as {
      readonly filename: string; readonly files: readonly { readonly path: string }[];
    }[];
    assert.ok(packed !== undefined);
    files = packed.files.map(({ path }) => path);
    mkdirSync(installed(), { recursive: true });
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    execFileSync('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed()]);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test('holds no sources', () => {
    assert.deepEqual(files.filter((path) => path.startsWith('src/') && !path.endsWith('.md')), []);
  });

  test('refers only to files that it contains', () => {
    const there = new Set(files.map((path) => installed(path)));
    for (const path of files) {
      if (!/\.(?:js|d\.ts|json|md)$/.test(path)) continue;
      const text = readFileSync(installed(path), 'utf8');
      const base = join(installed(path), '..');
      const references = path.endsWith('.md')
        ? [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        : [...text.matchAll(/(?:\/\/# sourceMappingURL=|"extends": "|from ['"](?=\.))(.+?)(?=['"]|$)/gm)];
      for (const [, reference = ''] of references) {
        const target = resolve(base, reference);
        assert.ok(there.has(target) || there.has(target.replace(/\.ts$/, '.d.ts')), `${path} refers to ${reference}`);
      }
    }
  });

  test('contains everything that it exports', () => {
    const manifest = JSON.parse(readFileSync(installed('package.json'), 'utf8')) as Manifest;
    for (const target of Object.values(manifest.exports).flatMap((each) => (
      typeof each === 'string' ? [each] : Object.values(each)))) {
      const pattern = new RegExp(`^${target.slice(2).replace(/[.]/g, '\\.').replace('*', '[^/]+')}$`);
      assert.ok(files.some((path) => pattern.test(path)), target);
    }
  });

  test('has types that compile in full, for importers and for require()', () => {
    symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));
    const manifest = JSON.parse(readFileSync(installed('package.json'), 'utf8')) as Manifest;
    const paths = Object.keys(manifest.exports).filter((path) => !path.endsWith('.json')).flatMap((path) => (
      path.includes('*')
        ? files.map((file) => /^dist\/strategies\/([^/]+)\.js$/.exec(file)?.[1])
          .flatMap((name) => (name === undefined ? [] : [path.replace('*', name)]))
        : [path]));
    assert.ok(paths.length > 5, paths.join(', '));
    const all = paths.map((path, at) => `export * as m${at} from 'equipoise${path.slice(1)}';`).join('\n');
    for (const name of ['all.mts', 'all.cts']) writeFileSync(join(folder, name), all);
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        // The minimal settings: our types must not need any particular compiler option.
        module: 'nodenext', target: 'es2022', strict: true, noEmit: true, skipLibCheck: false, types: ['node'],
      },
      files: ['all.mts', 'all.cts'],
    }));
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' });
  });

  for (const [how, flags, code] of [
    ['import', ['--input-type=module'], 'const a = await import("equipoise"), b = await import("equipoise/cluster"), '],
    ['require', ['--input-type=commonjs'], 'const a = require("equipoise"), b = require("equipoise/cluster"), '],
  ] as const) {
    test(`is loaded by ${how}`, () => {
      const strategies = how === 'import'
        ? 'c = await import("equipoise/strategies/round-robin");'
        : 'c = require("equipoise/strategies/round-robin");';
      const program = `${code}${strategies}
        console.log(typeof a.createBalancer, typeof b.launch, c.roundRobin().name);`;
      const out = execFileSync(process.execPath, [...flags, '-e', program], { cwd: folder, encoding: 'utf8' });
      assert.equal(out, 'function function round-robin\n');
    });
  }
});
