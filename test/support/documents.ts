/**
 * The documents of the repository, as their tests read them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of a document. */
export interface Block {
  readonly language: string;
  readonly code: string;
}

export interface Document {
  /** Relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** The text without the fenced blocks. */
  readonly prose: string;
}

/** Folders whose documents are not ours. */
const IGNORED: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', '.git']);
const FENCED = /^```(\w*)\n([^]*?)^```$/gm;

/** Every handwritten document. */
export const documents: readonly Document[] = [...pathsIn(root)].sort().map((path) => {
  const text = readFileSync(join(root, path), 'utf8');
  return {
    path,
    text,
    blocks: [...text.matchAll(FENCED)].map(([, language = '', code = '']) => ({ language, code })),
    prose: text.replace(FENCED, ''),
  };
});

export function documentAt(path: string): Document {
  const found = documents.find((document) => document.path === path);
  if (found === undefined) throw new RangeError(`there is no document ${path}`);
  return found;
}

/** The cells of each table row in a text, without the header rows. */
export function rowsOf(text: string): readonly (readonly string[])[] {
  return text.split('\n').filter((line) => line.startsWith('| `')).map((line) => (
    line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())));
}

/** The code spans of a text. */
export function spansOf(text: string): readonly string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
}

function pathsIn(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return IGNORED.has(entry.name) ? [] : pathsIn(path);
    return entry.name.endsWith('.md') ? [relative(root, path)] : [];
  });
}
