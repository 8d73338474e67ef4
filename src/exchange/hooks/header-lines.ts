/**
 * The header lines of a head for hooks to read and edit. Nothing is copied into a structure of its own: the lines stay
 * text, as they came and as they leave, so what is left alone keeps its octets.
 */
import type { HookHeaders } from '../../hooks.ts';
import {
  dashed, isToken, type Side, trimmedValue, valueProblem, type Write, writeProblem,
} from '../../options/header-rules.ts';
import { shown } from '../../options/checks.ts';
import type { HeaderEdit } from '../../options/parsed-route.ts';
import { COLON, nameIs, trimmed } from '../../http1/grammar.ts';
import { HOST } from '../../http1/request.ts';

/** The headers of one head. Made when a hook first asks for them, never used for another head. */
export class HeaderLines implements HookHeaders {
  readonly #side: Side;
  readonly #came: string;
  readonly #trusted: boolean;
  /** What hooks see: what is sent, and what may only be read, in the order in which it came. Made at first need. */
  #seen: string | undefined;
  /** What was edited before that. */
  #edits: Edit[] | undefined;
  /** What is sent: the same lines without those that the balancer writes itself. First as they came, then as edited. */
  readonly #passed: string;
  #sent: string;
  #edited = false;
  #host: string | undefined;
  /** The forwarding headers that a hook has written or deleted, in lower case, with `-` for `_`. */
  #taken: Set<string> | undefined;
  #sealed: string | undefined;

  /**
   * `came` are all lines of the head, each with its CRLF; `sent` are those that pass on (`fields` of the parsed head),
   * in the same order. `trusted` is whether the forwarding headers of a request are believed, and so are to be seen.
   */
  constructor(side: Side, came: string, sent: string, trusted = false) {
    this.#side = side;
    this.#came = came;
    this.#passed = this.#sent = sent;
    this.#trusted = trusted;
  }

  // --- what hooks call

  get(name: string): string | null {
    const lower = this.#name(name);
    const block = this.#linesFor(lower);
    let at = lineOf(block, lower, 0);
    if (at < 0) return null;
    let value = valueAt(block, at, lower.length);
    // Cookies are no list: several lines are as one with semicolons (RFC 9113 §8.2.3), and so in Node's Headers.
    const separator = lower === 'cookie' ? '; ' : ', ';
    while ((at = lineOf(block, lower, nextLine(block, at))) >= 0) value += separator + valueAt(block, at, lower.length);
    return value;
  }

  getSetCookie(): string[] {
    const block = this.#sent;
    const values: string[] = [];
    for (let at = 0; (at = lineOf(block, SET_COOKIE, at)) >= 0; at = nextLine(block, at)) {
      values.push(valueAt(block, at, SET_COOKIE.length));
    }
    return values;
  }

  has(name: string): boolean {
    const lower = this.#name(name);
    return lineOf(this.#linesFor(lower), lower, 0) >= 0;
  }

  set(name: string, value: string | number | boolean): void {
    const lower = this.#writable(name, 'set');
    const text = sendable(name, value);
    const line = `${name}: ${text}\r\n`;
    if (lower === 'host' && this.#side === 'request') {
      this.#setHost(text, line);
      return;
    }
    this.#replace(lower, line);
  }

  append(name: string, value: string | number | boolean): void {
    const lower = this.#writable(name, 'append');
    const line = `${name}: ${sendable(name, value)}\r\n`;
    this.#takeOver(lower);
    this.#sent += line;
    this.#changed({ name: '', line, dashes: false });
  }

  delete(name: string): void {
    this.#replace(this.#writable(name, 'delete'), '');
  }

  forEach(callback: (value: string, name: string, headers: HookHeaders) => void, thisArg?: unknown): void {
    for (const [name, value] of this.entries()) callback.call(thisArg, value, name, this);
  }

  * keys(): IterableIterator<string> {
    for (const [name] of this.entries()) yield name;
  }

  * values(): IterableIterator<string> {
    for (const [, value] of this.entries()) yield value;
  }

  * entries(): IterableIterator<[name: string, value: string]> {
    const block = this.#lines();
    for (let at = 0; at < block.length; at = nextLine(block, at)) {
      const colon = block.indexOf(':', at);
      yield [block.slice(at, colon), valueAt(block, at, colon - at)];
    }
  }

  [Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    return this.entries();
  }

  // --- what the exchange calls

  /** Makes the edits of a route. @internal */
  edit(edits: readonly HeaderEdit[]): void {
    for (const { name, value } of edits) {
      if (value === null) this.delete(name);
      else this.set(name, value);
    }
  }

  /** Whether a hook has written or deleted a header, other than Host. @internal */
  get edited(): boolean {
    return this.#edited;
  }

  /** The lines to send, each with its CRLF: for `fields` of the head. @internal */
  get sent(): string {
    return this.#sent;
  }

  /** The lines to send without Content-Length: of a response whose body is sent through a transform. @internal */
  get sentWithoutLength(): string {
    return replaced(this.#sent, 'content-length', '', false);
  }

  /** The Host that a hook has set; undefined where none has. @internal */
  get host(): string | undefined {
    return this.#host;
  }

  /** Of the balancer's own lines those whose headers no hook has written or deleted. @internal */
  withoutTaken(own: string): string {
    if (this.#taken === undefined) return own;
    let lines = own;
    for (const name of this.#taken) lines = replaced(lines, name, '', false);
    return lines;
  }

  /** Has all writes throw from now on; `why` ends the sentence "header "x" cannot be changed: ...". @internal */
  seal(why: string): void {
    this.#sealed = why;
  }

  /** What hooks see. */
  #lines(): string {
    if (this.#seen !== undefined) return this.#seen;
    let seen = visible(this.#came, this.#passed, this.#side, this.#trusted);
    for (const { name, line, dashes } of this.#edits ?? []) seen = replaced(seen, name, line, dashes);
    this.#edits = undefined;
    return this.#seen = seen;
  }

  /** What hooks see, as far as one name is concerned: what is sent, for most. */
  #linesFor(lower: string): string {
    const isSent = writeProblem(lower, this.#side, 'append') === undefined && !(this.#trusted && isForwarding(lower));
    return isSent ? this.#sent : this.#lines();
  }

  /** A name in lower case. */
  #name(name: unknown): string {
    if (typeof name !== 'string' || !isToken(name)) {
      throw new TypeError(`a header name must be a token such as 'x-user' (got ${shown(name)})`);
    }
    return name.toLowerCase();
  }

  #writable(name: unknown, how: Write): string {
    const lower = this.#name(name);
    if (this.#sealed !== undefined) throw new TypeError(`header "${lower}" cannot be changed: ${this.#sealed}`);
    const problem = writeProblem(lower, this.#side, how);
    if (problem !== undefined) throw new TypeError(`header "${lower}" cannot be changed: it ${problem}`);
    return lower;
  }

  #setHost(host: string, line: string): void {
    if (!HOST.test(host)) throw new TypeError(`header "host" must be a host, such as a.example (got ${shown(host)})`);
    this.#host = host;
    this.#show({ name: 'host', line, dashes: false });
  }

  /** Puts `line`, which may be empty, in place of all lines of that name. */
  #replace(lower: string, line: string): void {
    this.#takeOver(lower);
    const dashes = this.#side === 'request';
    this.#sent = replaced(this.#sent, lower, line, dashes);
    this.#changed({ name: lower, line, dashes });
  }

  #changed(edit: Edit): void {
    this.#edited = true;
    this.#show(edit);
  }

  /** Has hooks see an edit: now, or when there is something to see. */
  #show(edit: Edit): void {
    if (this.#seen === undefined) (this.#edits ??= []).push(edit);
    else this.#seen = replaced(this.#seen, edit.name, edit.line, edit.dashes);
  }

  /** Notes that a forwarding header is the hook's now; a trusted downstream's lines of it stay. */
  #takeOver(lower: string): void {
    const name = dashed(lower);
    if (this.#side === 'response' || !isForwarding(name) || this.#taken?.has(name) === true) return;
    const block = this.#lines();
    for (let at = 0; (at = lineOf(block, name, at)) >= 0;) {
      const next = nextLine(block, at);
      this.#sent += block.slice(at, next);
      at = next;
    }
    (this.#taken ??= new Set()).add(name);
  }
}

/** A line in place of all lines named `name`, or at the end where there are none: see {@link replaced}. */
interface Edit {
  readonly name: string;
  readonly line: string;
  readonly dashes: boolean;
}

/** The lines of `came` that hooks may see. `sent` are some of them, in their order. */
function visible(came: string, sent: string, side: Side, trusted: boolean): string {
  let seen = '';
  let run = 0;
  let passed = 0;
  for (let at = 0; at < came.length;) {
    const next = nextLine(came, at);
    // Lines that are the same are both sent, or neither is: whether one is depends on its name.
    if (sent.startsWith(came.slice(at, next), passed)) passed += next - at;
    else {
      const name = came.slice(at, came.indexOf(':', at)).toLowerCase();
      const readable = writeProblem(name, side, 'append') !== undefined || (trusted && isForwarding(name));
      if (!readable) {
        seen += came.slice(run, at);
        run = next;
      }
    }
    at = next;
  }
  return run === 0 ? came : seen + came.slice(run);
}

/**
 * A block with `line` in place of the first line named `name`, and without the others; where there is none, `line` goes
 * to the end. With `dashes`, lines whose names differ in `_` for `-` alone go as well.
 */
function replaced(block: string, name: string, line: string, dashes: boolean): string {
  let text = '';
  let run = 0;
  let pending = line;
  for (let at = 0; at < block.length;) {
    const next = nextLine(block, at);
    const exact = isNamed(block, at, name);
    if (exact || (dashes && posesAs(block, at, name))) {
      text += block.slice(run, at);
      run = next;
      if (exact) {
        text += pending;
        pending = '';
      }
    }
    at = next;
  }
  return (run === 0 ? block : text + block.slice(run)) + pending;
}

/** Where the first line named `name` starts, from the line at `from` on; -1 where there is none. */
function lineOf(block: string, name: string, from: number): number {
  for (let at = from; at < block.length; at = nextLine(block, at)) if (isNamed(block, at, name)) return at;
  return -1;
}

function isNamed(block: string, at: number, name: string): boolean {
  return block.charCodeAt(at + name.length) === COLON && nameIs(block, at, name);
}

/** Whether the line at `at` is named `name` for an upstream that takes `_` for `-`. */
function posesAs(block: string, at: number, name: string): boolean {
  if (block.charCodeAt(at + name.length) !== COLON) return false;
  for (let i = 0; i < name.length; i++) {
    const c = block.charCodeAt(at + i);
    const wanted = name.charCodeAt(i);
    const dash = wanted === HYPHEN || wanted === UNDERSCORE;
    if (dash ? c !== HYPHEN && c !== UNDERSCORE : (c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== wanted) return false;
  }
  return true;
}

function nextLine(block: string, at: number): number {
  const end = block.indexOf('\n', at);
  return end < 0 ? block.length : end + 1;
}

/** The value of the line at `at`, without the spaces around it. */
function valueAt(block: string, at: number, nameLength: number): string {
  return trimmed(block, at + nameLength + 1, nextLine(block, at) - 2);
}

/** A value as it may be sent. */
function sendable(name: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    const several = Array.isArray(value) ? 'call append for each value' : 'to remove a header, call delete';
    throw new TypeError(`header "${name}" must be a string (got ${shown(value)}); ${several}`);
  }
  const text = trimmedValue(String(value));
  const problem = valueProblem(text);
  if (problem !== undefined) throw new TypeError(`header "${name}" ${problem}`);
  return text;
}

/** Whether a header is one of those that tell of earlier hops, and that the balancer adds itself. */
function isForwarding(name: string): boolean {
  return name === 'forwarded' || name.startsWith('x-forwarded-');
}

const SET_COOKIE = 'set-cookie';
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
