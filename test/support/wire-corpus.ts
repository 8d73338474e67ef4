/**
 * The raw requests of test/wire/corpus.json, and the check of a case's result.
 */
import { readFileSync } from 'node:fs';
import type { WireExchange } from './wire-client.ts';
import type { RecordedMessage } from './wire-decoder.ts';

/** A message that the upstream must decode. */
export interface WantedMessage {
  readonly method: string;
  readonly target: string;
  /** Without chunked coding. */
  readonly body: string;
  /** Fields by lower-case name, with the value of their first line. */
  readonly mustHave?: Readonly<Record<string, string>>;
  /** Fields by lower-case name, with the values of all their lines. */
  readonly mustHaveAll?: Readonly<Record<string, readonly string[]>>;
  readonly mustNotHave?: readonly string[];
}

export interface WireCase {
  readonly id: string;
  readonly group: string;
  /** The bytes of one client connection, as latin1. */
  readonly raw: string;
  /**
   * `forward`: the upstream decodes exactly `messages`, and each is answered 200. `reject`: it decodes `messages` and
   * nothing after them; the client gets one of `status`, and the connection is closed. `either`: one or the other.
   */
  readonly expect: 'forward' | 'reject' | 'either';
  readonly status?: readonly number[];
  readonly messages: readonly WantedMessage[];
  /** The rule. */
  readonly why: string;
}

export const corpus = JSON.parse(
  readFileSync(new URL('../wire/corpus.json', import.meta.url), 'utf8'),
) as readonly WireCase[];

/** The cases by group, in order. */
export function groups(): [group: string, cases: readonly WireCase[]][] {
  const names = [...new Set(corpus.map(({ group }) => group))];
  return names.map((name) => [name, corpus.filter(({ group }) => group === name)]);
}

/** What is wrong with the result of a case, or undefined. */
export function faultOf(wanted: WireCase, { responses, broken, next, closed, decoded, faults }: WireExchange):
string | undefined {
  if (faults.length > 0) return `the upstream got what it cannot decode: ${faults.join('; ')}`;
  if (broken !== undefined) return `the client got what it cannot decode: ${JSON.stringify(broken)}`;
  for (const [i, message] of decoded.entries()) {
    const want = wanted.messages[i];
    if (want === undefined) return `the upstream decoded one too many: ${message.method} ${message.target}`;
    const fault = faultOfMessage(want, message);
    if (fault !== undefined) return `message ${i + 1}: ${fault}`;
  }
  const statuses = responses.map(({ status }) => status);
  const got = `the client got ${statuses.join(' ')}${closed ? ', and the end of the connection' : ''}`;
  const whole = decoded.length === wanted.messages.length;
  const served = whole && statuses.length === wanted.messages.length && statuses.every((status) => status === 200);
  if (served && wanted.expect !== 'reject') {
    return next === undefined || next === 200 ? undefined : `the request after it was answered ${next}`;
  }
  if (wanted.expect === 'forward') return `the upstream decoded ${decoded.length} of ${wanted.messages.length}; ${got}`;
  if (wanted.expect === 'reject' && !whole) return `a message before the refused one was not forwarded; ${got}`;
  const last = statuses.pop();
  const refused = last !== undefined && (wanted.status ?? []).includes(last);
  if (!refused || statuses.some((status) => status !== 200)) return `${got}; not ${wanted.status?.join(' or ') ?? ''}`;
  return closed ? undefined : 'the connection stayed open after the refusal';
}

function faultOfMessage(want: WantedMessage, { method, target, body, fields }: RecordedMessage): string | undefined {
  for (const [part, is, wanted] of [
    ['method', method, want.method], ['target', target, want.target], ['body', body, want.body],
  ] as const) {
    if (is !== wanted) return `the ${part} is ${shown(is)}, not ${shown(wanted)}`;
  }
  for (const [name, value] of Object.entries(want.mustHave ?? {})) {
    const [first] = fields.get(name) ?? [];
    if (first !== value) return `${name} is ${shown(first)}, not ${shown(value)}`;
  }
  for (const [name, values] of Object.entries(want.mustHaveAll ?? {})) {
    // Lines may be joined on the way (RFC 9110 §5.3).
    const list = name === 'cookie' ? '; ' : ', ';
    const joined = (fields.get(name) ?? []).join(list);
    if (joined !== values.join(list)) return `${name} is ${shown(joined)}, not ${shown(values.join(list))}`;
  }
  for (const name of want.mustNotHave ?? []) if (fields.has(name)) return `${name} was passed on`;
  for (const name of ['connection', 'keep-alive', 'proxy-connection']) {
    const value = (fields.get(name) ?? []).join(', ');
    if (!/^(?:keep-alive|close|te)?$/i.test(value)) return `${name}: ${value} was passed on`;
  }
  return undefined;
}

function shown(value: string | undefined): string {
  return JSON.stringify(value === undefined || value.length < 80 ? value : `${value.slice(0, 77)}...`);
}
