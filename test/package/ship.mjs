/**
 * The last step of the build: turns `dist` into what users download. Removes the declarations that no export of the
 * package refers to: the compiler writes one for each file, and those of internal files would be a quarter of the
 * package, although they cannot be imported. Indents by two spaces instead of the compiler's four. The source maps stay
 * beside the code for the coverage report, and fit what ships; they are not published, so the code does not name them.
 * Writes the JSON schema of configuration files to the root, where `"$schema": "./node_modules/equipoise/..."` finds it.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { configSchema } from './config-schema.mjs';

const BASE_64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

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
  if (!path.endsWith('.js') && !reached.has(path)) continue;
  const code = readFileSync(path, 'utf8').replace(/^\/\/# sourceMappingURL=.*\s*/m, '');
  const removed = surplusIndents(code, path);
  writeFileSync(path, code.split('\n').map((line, at) => line.slice(removed[at])).join('\n'));
  if (path.endsWith('.js')) {
    const map = JSON.parse(readFileSync(`${path}.map`, 'utf8'));
    writeFileSync(`${path}.map`, JSON.stringify({ ...map, mappings: shifted(map.mappings, removed) }));
  }
}

writeFileSync(join(root, 'config.schema.json'), `${JSON.stringify(configSchema(), null, '\t')}\n`);

/** How many spaces each line loses. Leading spaces inside a template literal are text, and stay. */
function surplusIndents(code, path) {
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
  return code.split('\n').map((line, at) => (text.has(at) ? 0 : /^(?: {4})*/.exec(line)[0].length / 2));
}

/**
 * The mappings of a source map, with the code of each line further to the left. Only the first segment of a line has
 * the column itself; those after it have the distance to the one before.
 */
function shifted(mappings, columns) {
  return mappings.split(';').map((line, at) => line.replace(/^[g-z0-9+/]*[A-Za-f]/, (digits) => {
    const column = decoded(digits) - columns[at];
    if (column < 0) throw new Error(`a mapping of line ${at + 1} begins within its indent`);
    return encoded(column);
  })).join(';');
}

/** A number >= 0 in the base 64 digits of source maps: five bits each, the lowest ones first; the first bit is a sign. */
function decoded(digits) {
  return [...digits].reduce((sum, digit, at) => sum + (BASE_64.indexOf(digit) & 31) * 32 ** at, 0) / 2;
}

function encoded(number) {
  let digits = '';
  for (let rest = number * 2; ; rest = Math.floor(rest / 32)) {
    if (rest < 32) return digits + BASE_64[rest];
    digits += BASE_64[rest % 32 + 32];
  }
}
