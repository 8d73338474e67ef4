/**
 * Loads the user's JSON files and modules. If that fails, says why and at which line.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf } from '../guard.ts';
import { isRecord, shown } from '../options/checks.ts';
import { fileState } from './file-state.ts';
import { jsonFault } from './json.ts';
import { inTime, Unsettled } from './patience.ts';

/**
 * The content of a JSON file, or the default export of a module. If that fails, returns undefined and adds why to
 * `problems`.
 */
export async function load(path: string, at: string, problems: string[]): Promise<unknown> {
  const json = isJson(path);
  try {
    if (json) return parseJson(await readFile(path));
    // Node caches modules by URL; a reload needs the current content.
    const { path: real, version } = await fileState(path);
    const loading: Promise<unknown> = import(`${pathToFileURL(real).href}?${version}`);
    const module = await inTime(loading) as { readonly default?: unknown };
    if (module.default !== undefined) return module.default;
    problems.push(`${at}: ${path} has no default export; write export default { ... }`);
  } catch (error) {
    const reason = json ? whyNoFile(error) ?? messageOf(error) : await why(error, path);
    problems.push(`${at}: cannot load ${path}: ${reason}`);
  }
  return undefined;
}

/** Whether a file is read as JSON, rather than loaded as a module. */
export function isJson(path: string): boolean {
  return extname(path).toLowerCase() === '.json';
}

/** Where the user's function or module threw, as ` (file:line:column)`; `''` if unknown. */
export function placeOf(error: unknown): string {
  const stack = error instanceof Error ? error.stack ?? '' : '';
  for (const line of stack.split('\n')) {
    const place = /^ +at (?:.*\()?((?:file:\/\/)?\/[^()]*?|[A-Za-z]:\\[^()]*?):(\d+):(\d+)\)?$/.exec(line);
    if (place === null) continue;
    const [, file = '', row = '', column = ''] = place;
    return ` (${plainPath(file)}:${row}:${column})`;
  }
  return '';
}

function parseJson(content: Buffer): unknown {
  const mark = content.toString('latin1', 0, 2);
  if (mark === '\xff\xfe' || mark === '\xfe\xff') throw new Error('it is UTF-16; save it as UTF-8');
  // Some editors put a byte order mark in front.
  const text = content.toString('utf8').replace(/^\uFEFF/, '');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const fault = jsonFault(text);
    if (fault === undefined) throw error;
    throw new Error(`line ${fault.line}, column ${fault.column}: ${fault.what}`, { cause: error });
  }
}

/** Why a module cannot be loaded. */
async function why(error: unknown, path: string): Promise<string> {
  if (error instanceof Unsettled) return error.message;
  // A module may throw anything, even undefined.
  if (!isRecord(error)) return `it threw ${shown(error)}`;
  const { code } = error;
  const message = messageOf(error).split('\n')[0] ?? '';
  const extension = extname(path);
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    if (/Unknown file extension "\.[cm]?ts"/.test(message)) {
      if (STRIPS_TYPES.test(process.versions.node)) {
        return 'TypeScript is turned off (--no-strip-types, or NODE_OPTIONS has it); leave out that flag';
      }
      return `TypeScript needs Node 22.18 or newer (this is Node ${process.versions.node}); compile it to JavaScript`;
    }
    return `it must be a .json, .js, .mjs, .cjs or .ts file (got ${extension === '' ? 'no extension' : extension})`;
  }
  if (error instanceof SyntaxError) {
    if (extension !== '.mjs' && extension !== '.mts' && ESM_IN_COMMONJS.test(message)) {
      const own = extension === '.cjs' || extension === '.cts';
      const rename = extension.endsWith('ts') ? '.mts' : '.mjs';
      return own
        ? `it is an ES module, and ${extension} is for CommonJS: rename it to ${rename}`
        : `it is an ES module in a CommonJS package: rename it to ${rename}, or set "type": "module" in package.json`;
    }
    return `${await syntaxPlace(error, path)}${message}`;
  }
  if (message.includes('is not defined in ES module scope')) {
    return `it is CommonJS in an ES module package: rename it to .cjs, or use export default${placeOf(error)}`;
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    // The binary may be installed elsewhere: globally, say.
    const ours = message.startsWith('Cannot find package \'equipoise\'');
    return ours ? `${message}; run npm install equipoise there` : message;
  }
  return whyNoFile(error) ?? `${message}${placeOf(error)}`;
}

/** Why a file cannot be read; undefined for any other error. */
export function whyNoFile(error: unknown): string | undefined {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT': case 'ENOTDIR': return 'the file does not exist';
    case 'EACCES': case 'EPERM': return 'no permission to read it';
    case 'EISDIR': case 'ERR_UNSUPPORTED_DIR_IMPORT': return 'it is a directory';
    default: return undefined;
  }
}

/**
 * `line 3, column 6: ` of a syntax error. For CommonJS and TypeScript, the stack has them. For an ES module, Node only
 * prints them to standard error, when it checks the file.
 */
async function syntaxPlace(error: SyntaxError, path: string): Promise<string> {
  const own = placeInReport(error.stack ?? '');
  if (own !== '') return own;
  return new Promise((done) => {
    execFile(process.execPath, ['--check', path], { timeout: CHECK_TIMEOUT_MS }, (failure, _, report) => {
      // If this module passes the check, the error is in one that it imports.
      done(failure === null ? 'in a module that it imports: ' : placeInReport(report));
    });
  });
}

/**
 * Parses what Node prints: `path:line`, then the line itself, then a mark below the column. The mark is missing if the
 * error is at the end of the file.
 */
function placeInReport(report: string): string {
  const [, line, mark] = /^(?:file:\/\/)?\/?[^\n]*:(\d+)\n[^\n]*\n(?:( *)\^|\s*\n)/.exec(report.trimStart()) ?? [];
  if (line === undefined) return '';
  return mark === undefined ? `line ${line}: ` : `line ${line}, column ${mark.length + 1}: `;
}

function plainPath(file: string): string {
  return file.startsWith('file:') ? fileURLToPath(file) : file;
}

const ESM_IN_COMMONJS =
  /Unexpected token 'export'|Cannot use import statement|Cannot use 'import\.meta'|await is only valid/;
/** Versions of Node that run TypeScript unless told not to: 22.18, 23.6 and later. */
const STRIPS_TYPES = /^(?:22\.(?:1[89]|[2-9]\d)|23\.(?:[6-9]|\d\d)|2[4-9]|[3-9]\d)\./;
/** Checking a file takes a fraction of a second. */
const CHECK_TIMEOUT_MS = 10_000;
