/**
 * The last step of the build: turns `dist` into what users download. Removes the declarations that no export of the
 * package refers to: the compiler writes one for each file, and those of internal files would be a quarter of the
 * package, although they cannot be imported. Indents by two spaces instead of the compiler's four. Writes the JSON
 * schema of configuration files to the root, where `"$schema": "./node_modules/equipoise/config.schema.json"` finds it.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { configSchema } from './config-schema.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const files = readdirSync(join(root, 'dist'), { recursive: true }).map((path) => join(root, 'dist', path));
const declarations = files.filter((path) => path.endsWith('.d.ts'));

const reached = new Set();
const waiting = Object.values(entries).flatMap(({ types = '' }) => {
  const [before, after] = join(root, types).split('*');
  return declarations.filter((path) => (
    after === undefined ? path === before : path.startsWith(before) && path.endsWith(after)));
});
for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
  if (reached.has(path)) continue;
  reached.add(path);
  // Matches 'import ... from', 'export ... from', and 'import(...)' in a type.
  for (const [, reference] of readFileSync(path, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)['"]/g)) {
    waiting.push(resolve(dirname(path), reference).replace(/(?:\.d)?\.[jt]s$/, '.d.ts'));
  }
}
for (const path of declarations) if (!reached.has(path)) rmSync(path);

for (const path of files) {
  if (/\.js$/.test(path) || reached.has(path)) writeFileSync(path, indentedByTwo(readFileSync(path, 'utf8'), path));
}

writeFileSync(join(root, 'config.schema.json'), `${JSON.stringify(configSchema(), null, '\t')}\n`);

/** Leading spaces inside a template literal are text, and stay. */
function indentedByTwo(code, path) {
  const source = ts.createSourceFile(path, code, ts.ScriptTarget.Latest);
  const text = new Set();
  const visit = (node) => {
    if (ts.isTemplateLiteralToken(node)) {
      const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
      const last = source.getLineAndCharacterOfPosition(node.end).line;
      for (let line = first + 1; line <= last; line++) text.add(line);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return code.split('\n').map((line, at) => (
    text.has(at) ? line : line.replace(/^(?: {4})+/, ({ length }) => ' '.repeat(length / 2)))).join('\n');
}
