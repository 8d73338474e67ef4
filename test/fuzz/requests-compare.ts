/**
 * What the balancer forwarded, compared with what Node read from the same bytes.
 */
import type { DecodedMessage, FieldLine } from '../support/wire-decoder.ts';
import {
  asMiddlewareSaw, differenceOfLines, endToEnd, HOP_BY_HOP, itemsOf, pairs, trimmed, valuesOf, withoutForbiddenTrailers,
  withoutForwarded,
} from './fields.ts';
import { type Front, TUNNELLED } from './front.ts';
import type { Read, Reading } from './requests-oracle.ts';
import { type Answer, type Arrived, bare, type Forwarded, UPSTREAM } from './requests-ours.ts';

/** How a case ended that is not a fault. */
export type Verdict = typeof VERDICTS[number];
export const VERDICTS = [
  // Both accepted all requests, at least one, and wait for none.
  'accepted',
  // Both did, and wait for the rest of another one.
  'unfinished',
  // Both refused, at the same place.
  'refused',
  // Node refused, and we wait for the end of a line or must not read on: nothing of it was forwarded.
  'refused by Node',
  // We refused, or stopped reading, where Node goes on.
  'stricter',
] as const;

/** What must happen to the requests that Node read. */
export interface Expected extends Reading {
  /** All of them. */
  readonly all: readonly Read[];
  /** Those that may be forwarded. */
  readonly requests: readonly Read[];
  /**
   * Those that are answered by the last hop, or because their Max-Forwards is malformed (RFC 9110 §7.6.2): the
   * upstream does not see them.
   */
  readonly endHere: number;
  /** The piece at which node:http closes the connection: what came with it may be lost. */
  readonly brokenOff: number;
}

/** `eager` is false where all pieces come in one turn: a close then affects all of them. */
export function expected(front: Front, reading: Reading, eager: boolean): Expected {
  const all = reading.requests;
  let requests = all.filter((read) => !read.accepted || !endsHere(read));
  const endHere = all.length - requests.length;
  if (front === 'socket') return { ...reading, all, requests, endHere, brokenOff: Infinity };
  requests = requests.filter(({ accepted }) => accepted);
  const refusal = all.find((read) => !read.accepted && answerOfNode(read) !== 417)?.piece ?? Infinity;
  let brokenOff = Math.min(refusal, reading.error === undefined ? Infinity : reading.errorPiece);
  if (brokenOff < Infinity && !eager) brokenOff = 0;
  // What node:http hands over after its own refusal came in the same read.
  if (eager) requests = requests.filter(({ piece }) => piece <= refusal);
  return { ...reading, all, requests, endHere, brokenOff };
}

/** The status with which node:http answers a request that it does not hand over; it drops a CONNECT. */
function answerOfNode({ method, minor, rawHeaders }: Read): 400 | 417 | undefined {
  if (method === 'CONNECT') return undefined;
  return minor === 1 && valuesOf(pairs(rawHeaders), 'host').length === 0 ? 400 : 417;
}

function endsHere({ method, rawHeaders }: Read): boolean {
  const came = valuesOf(pairs(rawHeaders), 'max-forwards').map(trimmed);
  return FINITE.has(method) && came.length > 0 && !(came.length === 1 && /^\d*[1-9]\d*$/.test(came[0] ?? ''));
}

/** The methods whose hops Max-Forwards counts. */
const FINITE: ReadonlySet<string> = new Set(['OPTIONS', 'TRACE']);

/** What a request passed through. */
type Passage = 'socket' | 'handle' | 'upgrade';

/** The methods that Node does not know, by the place of their request: see {@link Stand}. */
export type Unknown = ReadonlyMap<number, string>;

/** The fault of a case, or how it ended. */
export function judge(
  front: Front, ours: Forwarded, oracle: Expected, unknown: Unknown,
): { fault: string } | { verdict: Verdict } {
  const found = front === 'socket' ? faultOnSocket(ours, oracle, unknown) : faultByNode(ours, oracle);
  const fault = ours.faults[0] ?? found ?? faultOfEnd(ours, oracle);
  return fault === undefined ? { verdict: verdictOf(ours, oracle) } : { fault };
}

/** Each request that was forwarded is the next that Node read, and each was answered, in that order. */
function faultOnSocket(ours: Forwarded, { requests, error, endHere }: Expected, unknown: Unknown): string | undefined {
  for (const [i, one] of ours.arrived.entries()) {
    const fault = faultOfOne(one, requests[i], 'socket', error, unknown.get(i));
    if (fault !== undefined) return `request ${i + 1}, ${fault}`;
  }
  if (ours.arrived.slice(0, -1).some(({ whole }) => !whole)) return 'a request behind one that was forwarded in part';
  const here = ours.answers.filter(({ by }) => by === 'last hop').length;
  if (here > endHere) return `${here} answered here, not ${endHere}`;
  if (ours.atEnd !== '') return `sent at the end ${JSON.stringify(ours.atEnd)}`;
  const sent = ours.arrived.filter(({ whole }) => whole).map(({ mark }) => mark).join(' ');
  const got = ours.answers.filter(({ by }) => by === 'upstream').map(({ mark }) => mark).join(' ');
  return sent === got ? undefined : `answered out of step: the responses to ${sent} came as ${got}`;
}

/**
 * Forwarded requests are those that Node read, in order, and each answer belongs to the request in its place.
 * A request may be missing where node:http closed the connection at the piece that it came in.
 */
function faultByNode(ours: Forwarded, expected: Expected): string | undefined {
  const oracle = withQuietStop(ours, expected);
  const { requests, error, brokenOff } = oracle;
  const marks = new Map<Read, number>();
  let next = 0;
  for (const [i, one] of ours.arrived.entries()) {
    for (let first: string | undefined; ; next++) {
      const read = requests[next];
      const fault = faultOfOne(one, read, read !== undefined && isTunnelled(read) ? 'upgrade' : 'handle', error);
      first ??= fault;
      if (fault !== undefined && read !== undefined && read.piece >= brokenOff) continue;
      if (fault !== undefined) return `request ${i + 1}, ${first ?? fault}`;
      if (read === undefined) break;
      marks.set(read, one.mark);
      // The parser behind `upgrade` is ours, and may be stricter.
      const refused = ours.refused !== undefined && isTunnelled(read);
      const cut = !one.whole && read.whole && read.lastPiece < brokenOff;
      if (cut && !refused) return `request ${i + 1} was forwarded in part`;
      next++;
      break;
    }
  }
  return faultOfAnswers(ours, oracle, marks);
}

/**
 * Without a listener for 'upgrade', the parser reports nothing, or too late, about what is malformed in or behind a
 * request to upgrade. Behind `upgrade`, which hands that back, it does: there the connection was closed.
 */
function withQuietStop({ answers }: Forwarded, oracle: Expected): Expected {
  const upgrade = oracle.all.findLast((read) => read.upgrade);
  const isQuiet = oracle.error === 'STUCK' || oracle.error === undefined;
  if (!isQuiet || upgrade === undefined || answers.at(-1)?.by !== 'parser') return oracle;
  return { ...oracle, brokenOff: Math.min(oracle.brokenOff, upgrade.piece) };
}

function faultOfAnswers(ours: Forwarded, oracle: Expected, marks: ReadonlyMap<Read, number>): string | undefined {
  const { all, error, cutShort } = oracle;
  for (const [i, answer] of ours.answers.entries()) {
    // The parser behind `upgrade` is ours: it reports itself what it refuses, as Node does.
    if (answer.by === 'refusal' && i === all.length && error !== undefined) continue;
    const fault = answer.by === 'parser' ? faultOfBare(answer, oracle) : faultOfAnswer(answer, all[i], marks);
    if (fault !== undefined) return `answer ${i + 1}, ${answer.status} by ${answer.by}: ${fault}`;
  }
  const answered = ours.answers.filter(({ by }) => by !== 'parser').length;
  const last = all[answered - 1];
  // A tunnel is the last on its connection; so is what the last hop answers before it has read the body.
  const isLast = takesSocket(last) || ours.answers[answered - 1]?.closes === true;
  const due = all.findIndex((read) => !isDue(read, oracle));
  if (answered < (due < 0 ? all.length : due) && ours.refused === undefined && !isLast) {
    return `${answered} requests answered of ${due < 0 ? all.length : due}`;
  }
  if (error !== undefined && ours.ended === 'open' && !takesSocket(all.at(-1))) return `open; Node stops: ${error}`;
  const open = ours.ended === 'open' && !isTunnelled(all.at(-1));
  if (open && cutShort === undefined && ours.atEnd === bare(400)) return undefined;
  const atEnd = open && cutShort === true && !takesSocket(all.at(-1)) ? bare(400) : '';
  return ours.atEnd === atEnd ? undefined : `sent at the end ${JSON.stringify(ours.atEnd)}`;
}

/** Whether node:http, or the balancer behind it, must have answered a request, unless the one before was refused. */
function isDue(read: Read, { brokenOff }: Expected): boolean {
  if (!read.accepted) return answerOfNode(read) !== undefined && read.piece < brokenOff;
  return read.whole && read.lastPiece < brokenOff;
}

function faultOfAnswer({ by, status, mark }: Answer, read: Read | undefined, marks: ReadonlyMap<Read, number>):
string | undefined {
  if (read === undefined) return 'Node sees no request for it';
  switch (by) {
    case 'refusal':
      // Ours, for any reason: being stricter than Node is not a fault.
      return undefined;
    case 'upstream':
      return mark === marks.get(read) ? undefined : `out of step: the response to another request, ${mark}`;
    case 'last hop':
      return read.accepted && endsHere(read) ? undefined : 'the request was not for the last hop';
    default:
      return !read.accepted && status === answerOfNode(read) ? undefined : 'Node hands the request over';
  }
}

/** node:http answers with the status of its parser's error, if no response that is due has begun. */
function faultOfBare({ status }: Answer, { error, all }: Expected): string | undefined {
  if (error === undefined) {
    // See `withQuietStop`.
    return status === 400 && all.some(({ upgrade }) => upgrade) ? undefined : 'Node does not stop';
  }
  // A stuck parser is an error that Node does not report: see `executeAll`.
  const wanted = STATUS_OF_ERROR.get(error) ?? (error === 'STUCK' ? status : 400);
  return status === wanted ? undefined : `for ${error} it should be ${wanted}`;
}

/**
 * Whether no other request comes over the connection: it becomes a tunnel, or (since version 25 of Node) carries an
 * upgrade whose body is read as that of any other request. Node does not report it if that is malformed, and `upgrade`
 * answers and closes; before it tunnels, it waits for the whole body.
 */
function takesSocket(read: Read | undefined): boolean {
  return isTunnelled(read) || (READS_BODIES && read?.upgrade === true && hasBody(read));
}

function hasBody({ rawHeaders }: Read): boolean {
  return rawHeaders.some((name, i) => i % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(name));
}

const READS_BODIES = Number.parseInt(process.versions.node, 10) >= 25;

const STATUS_OF_ERROR: ReadonlyMap<string, number> = new Map([
  ['HPE_HEADER_OVERFLOW', 431], ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);

/** Whether `upgrade` tunnels a request, and does not hand it back for `handle` to serve. */
function isTunnelled(read: Read | undefined): boolean {
  if (read?.upgrade !== true || read.minor !== 1) return false;
  const asked = itemsOf(valuesOf(pairs(read.rawHeaders), 'upgrade')).filter((protocol) => protocol !== '');
  return asked.length > 0 && asked.every((protocol) => TUNNELLED.includes(protocol));
}

function faultOfOne(
  { message, whole }: Arrived, read: Read | undefined, passage: Passage, error: string | undefined, unknown?: string,
): string | undefined {
  const of = `${message.method} ${message.target}`;
  if (read === undefined) return `${of}, forwarded; Node ${error === undefined ? 'sees none' : `refuses: ${error}`}`;
  if (!read.accepted) return `${of}, forwarded; Node answers it by itself`;
  if (whole && !read.whole) return `${of}, forwarded whole; for Node it is not: ${error ?? 'it waits'}`;
  const difference = differenceOf(message, read, whole, passage, unknown);
  return difference === undefined ? undefined : `${of}: ${difference}`;
}
/** Where both wait for more, they must wait for the same. */
function faultOfEnd({ messages, partial, ended }: Forwarded, { requests, error }: Expected): string | undefined {
  if (ended !== 'open' || error !== undefined) return undefined;
  const whole = requests.filter((read) => read.whole).length;
  if (whole !== messages.length) return `${messages.length} requests forwarded, more awaited; Node read ${whole}`;
  const begun = requests[whole];
  if (READS_BODIES && partial === undefined && isTunnelled(begun)) return undefined;
  if ((begun === undefined) !== (partial === undefined)) {
    return begun === undefined ? 'the body of a request awaited; Node awaits its head'
      : 'the rest of a head awaited; for Node it is whole';
  }
  if (partial !== undefined && partial.body !== begun?.body) return 'what came of the body awaited differs';
  return undefined;
}

function verdictOf({ messages, partial, refused, ended }: Forwarded, oracle: Expected): Verdict {
  const { requests, error, brokenOff } = oracle;
  const stopped = error !== undefined || brokenOff < Infinity || requests[messages.length]?.accepted === false;
  if (refused !== undefined) return stopped ? 'refused' : 'stricter';
  if (stopped) return 'refused by Node';
  if (ended !== 'open') return requests.length > messages.length ? 'stricter' : 'accepted';
  return partial === undefined && messages.length > 0 ? 'accepted' : 'unfinished';
}

function differenceOf(
  ours: DecodedMessage, read: Read, whole: boolean, passage: Passage, unknown: string | undefined,
): string | undefined {
  const method = unknown ?? read.method;
  if (ours.method !== method) return `the method is ${read.method} to Node`;
  const came = pairs(read.rawHeaders);
  const lines = passage === 'socket' ? came : asMiddlewareSaw(came);
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
    ?? differenceOfOwned(ours, read, lines, connection, routed, passage)
    ?? (whole ? differenceOfLines(ours.trailers, trailers) : undefined);
}

/** Fields that the balancer writes itself, whatever came in; checked one by one below. */
const OWNED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP, 'content-length', 'expect', 'forwarded', 'host', 'http2-settings', 'te', 'transfer-encoding',
  'upgrade', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto',
]);

/** The same for methods whose hops are counted. */
const OWNED_OF_FINITE: ReadonlySet<string> = new Set([...OWNED, 'max-forwards']);

function differenceOfOwned(
  { method, fields }: DecodedMessage, { minor }: Read, lines: readonly FieldLine[], connection: readonly string[],
  { host, named }: Route, passage: Passage,
): string | undefined {
  const came = (name: string): readonly string[] => valuesOf(lines, name);
  const upgrade = trimmed(came('upgrade').reduce((all, value) => all === '' ? value : `${all}, ${value}`, ''));
  // `handle` has neither: an upgrade needs the 'upgrade' event, and node:http has sent the 100 already.
  const asked = passage !== 'handle' && minor === 1 && connection.includes('upgrade');
  const upgrades = asked && upgrade !== '' && !upgrade.toLowerCase().includes('h2c');
  const trailers = itemsOf(came('te')).includes('trailers');
  const nominated = [...(upgrades ? ['Upgrade'] : []), ...(trailers ? ['TE'] : [])].join(', ');
  const chunked = came('transfer-encoding').length > 0;
  const length = came('content-length')[0];
  const expects = passage !== 'handle' && minor === 1 && came('expect').length > 0 && (chunked || length !== undefined);
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

/** Whether one is a prefix of the other. */
function alike(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}
