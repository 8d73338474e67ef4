/**
 * The last step of the build: removes the declarations that no export of the package leads to. The compiler writes one
 * for each file; those of internal files would be a quarter of what users download and nothing that they can import.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const declarations = readdirSync(join(root, 'dist'), { recursive: true })
  .filter((path) => path.endsWith('.d.ts'))
  .map((path) => join(root, 'dist', path));

const reached = new Set();
const waiting = Object.values(entries).flatMap(({ types = '' }) => {
  const [before, after] = join(root, types).split('*');
  return declarations.filter((path) => (
    after === undefined ? path === before : path.startsWith(before) && path.endsWith(after)));
});
for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
  if (reached.has(path)) continue;
  reached.add(path);
  // Of 'import ... from', 'export ... from', and 'import(...)' within a type.
  for (const [, reference] of readFileSync(path, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)['"]/g)) {
    waiting.push(resolve(dirname(path), reference).replace(/(?:\.d)?\.[jt]s$/, '.d.ts'));
  }
}
for (const path of declarations) if (!reached.has(path)) rmSync(path);
