/**
 * A WHATWG Response as an answer: what a hook returned, read once and checked. It may come from another realm, a
 * library or a foe: nothing of it is believed.
 */
import { STATUS_CODES } from 'node:http';
import { isToken, trimmedValue, valueProblem, writeProblem } from '../../options/header-rules.ts';
import { shown } from '../../options/checks.ts';
import { type BodySink, BodyPull, type BodySource, cancelled, objectOf, sourceOf } from './body-pull.ts';

/** An answer that a hook gave. */
export interface ResponseAnswer {
  readonly status: number;
  /** The reason phrase: that of the Response, or the usual one; `''` where there is none. */
  readonly reason: string;
  /** Header lines, each with its CRLF, without those that frame a message or concern one connection. */
  readonly fields: string;
  /** Whether `fields` holds a Date. */
  readonly hasDate: boolean;
  /** Undefined where there is no body. It is locked for us: a body that is not sent must be cancelled. */
  readonly body: BodySource | undefined;
}

/**
 * Reads what `hook` returned. Throws a TypeError or a RangeError, in words for its author, where that is no Response,
 * or one that cannot be sent: its status is not from 200 to 599, or its body is read already.
 */
export function readAnswer(returned: unknown, hook: string): ResponseAnswer {
  const what = `what ${hook} returned`;
  const given = objectOf(returned, what, 'a Response or undefined') as Readonly<Record<keyof Response, unknown>>;
  // Each is read once: a getter may give something else each time.
  const { status, statusText, headers, body, bodyUsed } = given;
  if (typeof status !== 'number' || headers === undefined) {
    throw new TypeError(`${what} must be a Response or undefined (got ${shown(returned)})`);
  }
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`${what} must have a status from 200 to 599 (got ${shown(status)})`);
  }
  if (bodyUsed === true) throw new TypeError(`the body of ${what} was read already; return a new Response`);
  const { fields, hasDate } = fieldsOf(headers, what);
  const reason = reasonOf(statusText, status);
  // Last: nothing throws any more once it is locked.
  const source = body === null || body === undefined ? undefined : sourceOf(body, `the body of ${what}`);
  return { status, reason, fields, hasDate, body: source };
}

/**
 * Sends the body of an answer to `sink`, once it is resumed. Where the response has none (HEAD, and 204, 205 and 304:
 * RFC 9110 §6.4.1), the body is cancelled and nothing returned.
 */
export function answerBody({ body, status }: ResponseAnswer, method: string, sink: BodySink): BodyPull | undefined {
  if (body === undefined) return undefined;
  if (method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304) return new BodyPull(body, sink);
  cancelled(body, new TypeError('this response has no body'));
  return undefined;
}

/** The header lines of a Response, in the order of its own iteration: `Set-Cookie` line by line. */
function fieldsOf(headers: unknown, what: string): { readonly fields: string; readonly hasDate: boolean } {
  const list = objectOf(headers, `headers of ${what}`, 'Headers');
  if (typeof (list as { readonly [Symbol.iterator]?: unknown })[Symbol.iterator] !== 'function') {
    throw new TypeError(`headers of ${what} must be Headers (got ${shown(headers)})`);
  }
  let fields = '';
  let hasDate = false;
  for (const pair of list as Iterable<unknown>) {
    if (!Array.isArray(pair)) throw new TypeError(`headers of ${what} must give pairs (got ${shown(pair)})`);
    const [name, value] = pair as readonly unknown[];
    if (typeof name !== 'string' || !isToken(name)) {
      throw new TypeError(`headers of ${what}: a header name must be a token such as 'x-user' (got ${shown(name)})`);
    }
    const lower = name.toLowerCase();
    // We frame it ourselves, whatever it says.
    if (writeProblem(lower, 'response') !== undefined) continue;
    if (typeof value !== 'string') {
      throw new TypeError(`header "${lower}" of ${what} must be a string (got ${shown(value)})`);
    }
    const text = trimmedValue(value);
    const problem = valueProblem(text);
    if (problem !== undefined) throw new TypeError(`header "${lower}" of ${what} ${problem}`);
    hasDate ||= lower === 'date';
    fields += `${name}: ${text}\r\n`;
    if (fields.length > MAX_FIELDS) throw new RangeError(`headers of ${what} are more than ${MAX_FIELDS} octets`);
  }
  return { fields, hasDate };
}

/** A reason phrase is for people: one that cannot be sent is replaced. */
function reasonOf(statusText: unknown, status: number): string {
  const own = typeof statusText === 'string' && valueProblem(statusText) === undefined ? statusText : '';
  return own === '' ? STATUS_CODES[status] ?? '' : own;
}

/** More than any server sends, and little enough for one that iterates without an end. */
const MAX_FIELDS = 1_048_576;
