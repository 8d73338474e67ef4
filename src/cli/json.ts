/**
 * Finds the first syntax error of a JSON text. Node's own message has an offset at best, and not in all versions.
 */

/** A syntax error and its position; line and column start at 1. */
export interface JsonFault {
  readonly line: number;
  readonly column: number;
  readonly what: string;
}

/** The first syntax error; undefined if the text is JSON. */
export function jsonFault(text: string): JsonFault | undefined {
  const scanner = new Scanner(text);
  const what = scanner.scan();
  if (what === undefined) return undefined;
  const before = text.slice(0, scanner.at).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1, what };
}

class Scanner {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads to the end, or to an error: then returns what is wrong at `at`. */
  scan(): string | undefined {
    const fault = this.#value();
    if (fault !== undefined) return fault;
    return this.#next() === undefined ? undefined : 'unexpected text after the value';
  }

  #value(): string | undefined {
    const next = this.#next();
    if (next === '{') return this.#list('}', () => this.#entry());
    if (next === '[') return this.#list(']', () => this.#value());
    if (next === '"') return this.#string();
    return this.#takes(LITERAL) ? undefined : this.#unexpected('a value');
  }

  /** An object or array, starting at its bracket. */
  #list(end: string, part: () => string | undefined): string | undefined {
    this.at++;
    if (this.#next() === end) {
      this.at++;
      return undefined;
    }
    for (;;) {
      const fault = part();
      if (fault !== undefined) return fault;
      const next = this.#next();
      if (next !== end && next !== ',') return this.#unexpected(`a comma or ${end}`);
      const comma = this.at;
      this.at++;
      if (next === end) return undefined;
      if (this.#next() !== end) continue;
      this.at = comma;
      return `remove the comma before ${end}`;
    }
  }

  #entry(): string | undefined {
    if (this.#next() !== '"') return this.#unexpected('a name in double quotes');
    const fault = this.#string();
    if (fault !== undefined) return fault;
    if (this.#next() !== ':') return this.#unexpected('a colon');
    this.at++;
    return this.#value();
  }

  #string(): string | undefined {
    if (this.#takes(STRING)) return undefined;
    const good = GOOD_PART.exec(this.#text.slice(this.at))?.[0] ?? '';
    this.at += good.length;
    const next = this.#text[this.at];
    if (next === undefined || next < ' ') return 'a string must end on the same line';
    return `${JSON.stringify(this.#text.slice(this.at, this.at + 2))} is not an escape; write \\\\ for a backslash`;
  }

  /** The next character that is not white space. */
  #next(): string | undefined {
    this.#takes(SPACE);
    return this.#text[this.at];
  }

  #takes(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const taken = pattern.exec(this.#text)?.[0];
    if (taken !== undefined) this.at += taken.length;
    return taken !== undefined;
  }

  #unexpected(wanted: string): string {
    const rest = this.#text.slice(this.at);
    if (rest === '') return `expected ${wanted}, got the end of the file`;
    if (rest.startsWith('//') || rest.startsWith('/*')) return 'JSON has no comments';
    if (rest.startsWith("'")) return 'strings need double quotes';
    const word = /^[\w$.+-]+|^[^]/u.exec(rest)?.[0] ?? '';
    return `expected ${wanted}, got ${word.slice(0, 20)}`;
  }
}

const SPACE = /[ \t\r\n]*/y;
const LITERAL = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;
const STRING = /"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[\da-fA-F]{4})*"/y;
const GOOD_PART = /^"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[\da-fA-F]{4})*/;
