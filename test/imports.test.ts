/**
 * No circular imports. Type imports count: they couple files as imports of code do. The lint checks which room
 * may import which (ROOMS in eslint.config.js).
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The files of `folders`, each with the files that it imports, `import type` and `import(...)` included. */
function importsBelow(...folders: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const files = folders.flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts')).map((name) => join(root, folder, name)));
  return new Map(files.map((file) => {
    const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'));
    return [file, importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
      .map(({ fileName }) => resolve(dirname(file), fileName))];
  }));
}

/** The first circle found, as paths; empty if there is none. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (file: string): readonly string[] => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return [];
    way.push(file);
    for (const other of imports.get(file) ?? []) {
      const circle = visit(other);
      if (circle.length > 0) return circle;
    }
    way.pop();
    done.add(file);
    return [];
  };
  for (const file of imports.keys()) {
    const circle = visit(file);
    if (circle.length > 0) return circle;
  }
  return [];
}

test('no imports form a circle, types included', () => {
  const imports = importsBelow('src', 'strategies');
  assert.ok([...imports.values()].flat().every((file) => imports.has(file)), 'each imported file was read');
  const circle = circleIn(imports).map((file) => relative(root, file));
  assert.deepEqual(circle, [], `imports form a circle: ${circle.join(' -> ')}`);
});

test('a circle is found', () => {
  const imports = new Map([['a', ['b', 'c']], ['b', []], ['c', ['d']], ['d', ['b', 'c']]]);
  assert.deepEqual(circleIn(imports), ['c', 'd', 'c']);
});
