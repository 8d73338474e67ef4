/**
 * The commands of the documents exist: scripts, programs, flags.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { USAGE } from '../../src/cli/arguments.ts';
import { SIMULATE_USAGE } from '../../src/cli/simulate/arguments.ts';
import { type Document, documentAt, documents, root, spansOf } from '../support/documents.ts';

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};

test('the two commands are scripts in package.json', () => {
  const there = documentAt('README.md').blocks.some(({ language, code }) => (
    language === 'sh' && code === 'npm ci && npm start\nnpm ci && npm test\n'));
  assert.ok(there, 'the two commands are there');
  assert.deepEqual(['start', 'test'].filter((name) => !(name in scripts)), []);
});

test('code blocks are in languages that are tested', () => {
  // deploy.test.ts has the last two.
  const known = ['js', 'json', 'sh', 'ini', 'text', 'dockerfile', 'yaml'];
  for (const { path, blocks } of documents) {
    assert.deepEqual(blocks.map(({ language }) => language).filter((each) => !known.includes(each)), [], path);
  }
});

for (const document of documents) {
  const commands = commandsOf(document);
  if (commands.length === 0) continue;
  describe(document.path, () => {
    for (const command of commands) test(command, () => { check(command); });
  });
}

test('systemd units have their settings in sections', () => {
  for (const { blocks } of documents) {
    for (const { language, code } of blocks) {
      if (language === 'ini') for (const line of code.trim().split('\n')) {
        // A setting may go on, indented, after a backslash.
        assert.match(line, /^\[\w+\]$|^\w+=\S.*$|^ {2}\S.*$|^$/);
      }
    }
  }
});

/** The commands in shell blocks, and those in the text that name a script, a program of ours or the binary. */
function commandsOf({ blocks, prose }: Document): readonly string[] {
  const lines = blocks.filter(({ language }) => language === 'sh').flatMap(({ code }) => code.split('\n'));
  const spans = spansOf(prose).filter((span) => /^(?:npm (?:run|ci)|node test|equipoise -) ?/.test(span));
  return [...new Set([...lines, ...spans].flatMap((line) => line.replace(/\s#.*$/, '').split('&&'))
    .map((command) => command.trim()).filter((command) => command !== ''))];
}

function check(command: string): void {
  const [program, ...args] = command.split(/\s+/);
  if (program === 'npm') checkNpm(args);
  else if (program === 'node') checkNode(args);
  else if (program === 'equipoise') checkFlags(args, args[0] === 'simulate' ? SIMULATE_USAGE : USAGE);
  else assert.fail(`${command}: documents run npm, node and equipoise`);
}

function checkNpm([name = '', ...args]: readonly string[]): void {
  if (name === 'install' && args[0] === '--prefix') {
    assert.ok(existsSync(join(root, args[1] ?? '', 'package.json')));
    return;
  }
  if (['ci', 'install', 'pack', 'publish'].includes(name)) return;
  if (name !== 'run') {
    assert.ok(name in scripts, `npm ${name}`);
    return;
  }
  const [script = '', dashes, ...given] = args;
  assert.ok(script in scripts, `npm run ${script}`);
  if (dashes === undefined) return;
  assert.equal(dashes, '--');
  if (script === 'test:unit') {
    const paths = readdirSync(join(root, 'test'), { recursive: true }).map(String);
    for (const part of given) assert.ok(paths.some((path) => path.endsWith('.test.ts') && path.includes(part)), part);
  } else checkNode([...(scripts[script] ?? '').split(' ').slice(1), ...given]);
}

/** Checks that the program exists and knows the given flags. */
function checkNode(args: readonly string[]): void {
  const at = args.findIndex((arg) => /^test\/.*\.m?[jt]s$/.test(arg));
  if (at < 0) {
    assert.ok(args.includes('--test'), 'node runs a program, or tests');
    return;
  }
  const path = args[at] ?? '';
  const beside = path.startsWith('test/bench/') ? ['test/bench/arguments.mjs'] : [];
  checkFlags(args.slice(at + 1), [path, ...beside].map((each) => readFileSync(join(root, each), 'utf8')).join('\n'));
}

function checkFlags(args: readonly string[], text: string): void {
  for (const flag of args.filter((arg) => arg.startsWith('-'))) {
    const name = flag.replace(/^-+/, '');
    assert.match(text, new RegExp(`\\b${name}\\b`), flag);
  }
}
