/**
 * What the balancer forwarded, held against what Node read from the same bytes.
 */
import type { DecodedMessage, FieldLine } from '../support/wire-decoder.ts';
import {
  differenceOfLines, endToEnd, HOP_BY_HOP, itemsOf, pairs, trimmed, valuesOf, withoutForbiddenTrailers,
  withoutForwarded,
} from './fields.ts';
import type { Read, Reading } from './requests-oracle.ts';
import { type Forwarded, UPSTREAM } from './requests-ours.ts';

/** How a case ended, where nothing is wrong with that. */
export type Verdict = typeof VERDICTS[number];
export const VERDICTS = [
  // Both took all requests, one at least, and wait for none.
  'accepted',
  // Both did, and wait for the rest of another.
  'unfinished',
  // Both refused, at the same place.
  'refused',
  // Node refused, and we wait for the end of a line or are not to read on: nothing of it was forwarded.
  'refused by Node',
  // We refused, or stopped reading, where Node goes on.
  'stricter',
] as const;

/**
 * The reading without requests that the balancer answers as the last hop, or because their Max-Forwards is malformed
 * (RFC 9110 §7.6.2): nobody else gets to see them.
 */
export function toForward(reading: Reading): Reading & { readonly endHere: number } {
  const requests = reading.requests.filter((read) => !read.accepted || !endsHere(read));
  return { ...reading, requests, endHere: reading.requests.length - requests.length };
}

function endsHere({ method, rawHeaders }: Read): boolean {
  const came = valuesOf(pairs(rawHeaders), 'max-forwards').map(trimmed);
  return FINITE.has(method) && came.length > 0 && !(came.length === 1 && /^\d*[1-9]\d*$/.test(came[0] ?? ''));
}

/** The methods whose hops Max-Forwards counts. */
const FINITE: ReadonlySet<string> = new Set(['OPTIONS', 'TRACE']);

/** The methods that Node does not know, by the place of their request: see {@link Stand}. */
export type Unknown = ReadonlyMap<number, string>;

/** What is wrong with a case, or how it ended. */
export function judge(
  ours: Forwarded, oracle: ReturnType<typeof toForward>, unknown: Unknown,
): { fault: string } | { verdict: Verdict } {
  const surplus = ours.answered > oracle.endHere ? `${ours.answered} answered here, not ${oracle.endHere}` : undefined;
  const fault = ours.faults[0] ?? surplus ?? faultOfMessages(ours, oracle, unknown) ?? faultOfEnd(ours, oracle);
  return fault === undefined ? { verdict: verdictOf(ours, oracle) } : { fault };
}

function faultOfMessages(ours: Forwarded, { requests, error }: Reading, unknown: Unknown): string | undefined {
  const all = ours.partial === undefined ? ours.messages : [...ours.messages, ours.partial];
  for (const [i, message] of all.entries()) {
    const of = `request ${i + 1}, ${message.method} ${message.target}`;
    const read = requests[i];
    if (read === undefined) return `forwarded ${of}; Node ${error === undefined ? 'sees none' : `refuses: ${error}`}`;
    if (!read.accepted) return `forwarded ${of}; Node answers it by itself`;
    const whole = message !== ours.partial;
    if (whole && !read.whole) return `forwarded ${of} whole; for Node it is not: ${error ?? 'it waits'}`;
    const difference = differenceOf(message, read, whole, unknown.get(i));
    if (difference !== undefined) return `${of}: ${difference}`;
  }
  return undefined;
}

/** Where both wait for more, they must wait for the same. */
function faultOfEnd({ messages, partial, closed }: Forwarded, { requests, error }: Reading): string | undefined {
  if (closed || error !== undefined) return undefined;
  const whole = requests.filter((read) => read.whole).length;
  if (whole !== messages.length) return `${messages.length} requests forwarded, more awaited; Node read ${whole}`;
  const begun = requests[whole];
  if ((begun === undefined) !== (partial === undefined)) {
    return begun === undefined ? 'the body of a request awaited; Node awaits its head'
      : 'the rest of a head awaited; for Node it is whole';
  }
  if (partial !== undefined && partial.body !== begun?.body) return 'what came of the body awaited differs';
  return undefined;
}

function verdictOf({ messages, partial, refused, closed }: Forwarded, { requests, error }: Reading): Verdict {
  const stopped = error !== undefined || requests[messages.length]?.accepted === false;
  if (refused !== undefined) return stopped ? 'refused' : 'stricter';
  if (stopped) return 'refused by Node';
  if (closed) return requests.length > messages.length ? 'stricter' : 'accepted';
  return partial === undefined && messages.length > 0 ? 'accepted' : 'unfinished';
}

function differenceOf(ours: DecodedMessage, read: Read, whole: boolean, unknown: string | undefined):
string | undefined {
  const method = unknown ?? read.method;
  if (ours.method !== method) return `the method is ${read.method} to Node`;
  const lines = pairs(read.rawHeaders);
  const routed = routeOf(method, read.target, lines);
  if (routed === undefined) return `its target was not to be forwarded: ${read.target}`;
  if (ours.target !== routed.target) return `the target is ${read.target} to Node`;
  if (whole ? ours.body !== read.body : !alike(ours.body, read.body)) {
    return `the body is ${JSON.stringify(ours.body)}, to Node ${JSON.stringify(read.body)}`;
  }
  const connection = itemsOf(valuesOf(lines, 'connection'));
  const trailers = withoutForwarded(withoutForbiddenTrailers(pairs(read.rawTrailers)));
  const owned = FINITE.has(method) ? OWNED_OF_FINITE : OWNED;
  return differenceOfLines(endToEnd(ours.lines, [], owned), withoutForwarded(endToEnd(lines, connection, owned)))
    ?? differenceOfOwned(ours, read, lines, connection, routed)
    ?? (whole ? differenceOfLines(ours.trailers, trailers) : undefined);
}

/** Fields that the balancer writes itself, whatever came under their names; checked one by one below. */
const OWNED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP, 'content-length', 'expect', 'forwarded', 'host', 'http2-settings', 'te', 'transfer-encoding',
  'upgrade', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto',
]);

/** The same for methods whose hops are counted. */
const OWNED_OF_FINITE: ReadonlySet<string> = new Set([...OWNED, 'max-forwards']);

function differenceOfOwned(
  { method, fields }: DecodedMessage, { minor }: Read, lines: readonly FieldLine[], connection: readonly string[],
  { host, named }: Route,
): string | undefined {
  const came = (name: string): readonly string[] => valuesOf(lines, name);
  const upgrade = trimmed(came('upgrade').reduce((all, value) => all === '' ? value : `${all}, ${value}`, ''));
  const asked = minor === 1 && connection.includes('upgrade');
  const upgrades = asked && upgrade !== '' && !upgrade.toLowerCase().includes('h2c');
  const trailers = itemsOf(came('te')).includes('trailers');
  const nominated = [...(upgrades ? ['Upgrade'] : []), ...(trailers ? ['TE'] : [])].join(', ');
  const chunked = came('transfer-encoding').length > 0;
  const length = came('content-length')[0];
  const expects = minor === 1 && came('expect').length > 0 && (chunked || length !== undefined);
  const [forwards] = came('max-forwards');
  const wanted: Readonly<Record<string, string | undefined>> = {
    host,
    'transfer-encoding': chunked ? 'chunked' : undefined,
    'content-length': length === undefined ? undefined : String(BigInt(length)),
    connection: nominated === '' ? undefined : nominated,
    te: trailers ? 'trailers' : undefined,
    upgrade: upgrades ? upgrade : undefined,
    expect: expects ? '100-continue' : undefined,
    'x-forwarded-for': '192.0.2.7',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': named === '' ? undefined : named,
    via: `1.${minor} equipoise`,
    'max-forwards': forwards === undefined ? undefined : String(Math.min(Number(forwards), 65_535) - 1),
  };
  for (const name of FINITE.has(method) ? OWNED_OF_FINITE : OWNED) {
    const sent = fields.get(name)?.join(' and ');
    if (sent !== wanted[name]) return `${name} was sent as ${String(sent)}, not as ${String(wanted[name])}`;
  }
  return undefined;
}

const AUTHORITY = UPSTREAM.slice('http://'.length);

interface Route {
  readonly target: string;
  /** The Host to send. */
  readonly host: string;
  /** The host that the request itself named. */
  readonly named: string;
}

/** Absolute-form is sent in origin-form, with its authority as Host (RFC 9112 §3.2); all else as it came. */
function routeOf(method: string, target: string, lines: readonly FieldLine[]): Route | undefined {
  const [named] = valuesOf(lines, 'host');
  if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) {
    return { target, host: named ?? AUTHORITY, named: named ?? '' };
  }
  const absolute = /^https?:\/\/([^/?]+)(.*)$/i.exec(target);
  if (absolute === null) return undefined;
  const [, host = '', rest = ''] = absolute;
  const origin = rest.startsWith('/') ? rest : `/${rest}`;
  return { target: rest === '' && method === 'OPTIONS' ? '*' : origin, host, named: host };
}

/** Whether one is the start of the other. */
function alike(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}
