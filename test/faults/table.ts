/**
 * The result of each fault of the kit. In each row upstream A is faulty and picked first, B is healthy, and one failure
 * ejects. Events are in order: what the balancer reports of its attempts, what B got, what the client saw.
 */
import type { Kind } from '../support/fault-row.ts';

/** The events for a request of each kind. */
type Expected = (kind: Kind) => readonly string[];
/** For all kinds; or for GET and POST, and for an upgrade; or for each. */
type Row = Expected | readonly [plain: Expected, upgrade: Expected] | readonly [Expected, Expected, Expected];

const status = (kind: Kind): string => kind === 'upgrade' ? '101' : '200';
const whole = (kind: Kind): string => kind === 'upgrade' ? 'client: 101 whole, end' : 'client: 200 whole';
const body = (kind: Kind): string => kind === 'POST' ? 'POST /x somepiecesmore' : 'GET /x';

/** A serves it, as far as a client can tell. */
const served: Expected = (kind) => [`A ok ${status(kind)}`, whole(kind)];
/** A serves it: this body. */
const got = (text: string): Expected => () => ['A ok 200', `client: 200 '${text}'`];
/** A switches protocols; these bytes come, and an end. */
const tunnelled = (text: string): Expected => () => ['A ok 101', `client: 101 '${text}', end`];

const byB: Expected = (kind) => ['A retried after 1', `B ok ${status(kind)}`, `B got ${body(kind)}`, whole(kind)];
/** A failed, provably without having processed anything: B serves it. */
const madeUpFor = (code: string): Expected => (kind) => ['A ejected', `A failed ${code}`, ...byB(kind)];
/** A had closed its connection before the request came: B serves it, and A is not to blame. */
const stale: Expected = (kind) => ['A failed UPSTREAM_CLOSED', ...byB(kind)];
/** The same for a request that may not be sent again. */
const staleLost: Expected = () => [
  'A failed UPSTREAM_CLOSED', 'refused UPSTREAM_CLOSED', 'client: 502 connection_terminated',
];

/** A failed before any of its answer was passed on, but may have executed the request. */
const refused = (code: string, answer: string): Expected => () => [
  'A ejected', `A failed ${code}`, `refused ${code}`, `client: ${answer}`,
];
const closed = refused('UPSTREAM_CLOSED', '502 connection_terminated');
/** A closed without an answer: B serves idempotent requests. */
const died: Row = [madeUpFor('UPSTREAM_CLOSED'), closed, madeUpFor('UPSTREAM_CLOSED')];
const incomplete = refused('RESPONSE_INCOMPLETE', '502 http_response_incomplete');
const malformed = refused('RESPONSE_MALFORMED', '502 http_protocol_error');
const late = refused('RESPONSE_TIMEOUT', '504 http_response_timeout');

/** A failed in the middle of its answer. */
const cut = (code: string): Expected => () => ['A ejected', `A failed 200 ${code}`, 'client: 200 cut'];
/** A broke the tunnel after these bytes. */
const broken = (seen: string): Expected => () => [
  'A ejected', 'A failed 101 RESPONSE_INCOMPLETE', `client: 101 ${seen}, reset`,
];

export const TABLE: Readonly<Record<string, Row>> = {
  'refuses': madeUpFor('CONNECT_REFUSED'),
  'is a black hole': madeUpFor('CONNECT_TIMEOUT'),
  'closes as soon as it has accepted': died,
  'resets as soon as it has accepted': died,
  'half-closes as soon as it has accepted': died,
  'closes in the middle of an upload': died,
  'resets in the middle of an upload': died,
  'half-closes in the middle of an upload': died,
  'closes without an answer': died,
  'resets without an answer': died,
  'half-closes without an answer': died,
  'closes in the head': incomplete,
  'resets in the head': incomplete,
  'half-closes in the head': incomplete,
  'closes in the body': [cut('RESPONSE_INCOMPLETE'), tunnelled('hello')],
  'resets in the body': [cut('RESPONSE_INCOMPLETE'), broken("'hello'")],
  'half-closes in the body': [cut('RESPONSE_INCOMPLETE'), tunnelled('hello')],
  'closes in a body in chunks': cut('RESPONSE_INCOMPLETE'),
  'resets in a body in chunks': cut('RESPONSE_INCOMPLETE'),
  'half-closes in a body in chunks': cut('RESPONSE_INCOMPLETE'),
  // A body until close has no other sign of its end.
  'closes in a body until close': got('hello'),
  'resets in a body until close': cut('RESPONSE_INCOMPLETE'),
  'half-closes in a body until close': got('hello'),
  'closes after its answer': served,
  'resets after its answer': [served, broken('whole')],
  'half-closes after its answer': served,
  'trickles': served,
  'stalls before it answers': late,
  'stalls in the head': late,
  // It is unknown which side of a tunnel keeps the other waiting.
  'stalls in the body': [
    cut('RESPONSE_TIMEOUT'), () => ['A ok 101 DOWNSTREAM_STALLED', "client: 101 'hello', reset"],
  ],
  'answers early': served,
  'answers early and closes': served,
  'answers early and resets': [served, broken('whole')],
  'answers before it is asked': served,
  'sends garbage for a head': malformed,
  'sends garbage in chunks': cut('RESPONSE_MALFORMED'),
  'sends garbage after its answer': () => ['A ok 200', 'client: 200 whole'],
  'announces more than it sends': cut('RESPONSE_INCOMPLETE'),
  'announces less than it sends': got('hello'),
  'announces two lengths': malformed,
  'announces a length and chunks': malformed,
  'sends an oversized head': refused('RESPONSE_HEAD_TOO_LARGE', '502 http_response_header_section_size'),
  'floods with interim responses': malformed,
  'switches protocols without a name': [
    refused('UPGRADE_UNASKED', '502 http_upgrade_failed'), refused('UPGRADE_INVALID', '502 http_upgrade_failed'),
  ],
  'closes an idle connection exactly as it is reused': [stale, staleLost, stale],
  'resets an idle connection exactly as it is reused': [stale, staleLost, stale],
  'closes a reused connection without an answer': [stale, staleLost, stale],
  'closes a reused connection in the head': incomplete,
};

/** The expected events of a fault for a request of this kind. */
export function expected(fault: string, kind: Kind): readonly string[] {
  const row = TABLE[fault];
  if (row === undefined) throw new Error(`no row for an upstream that ${fault}`);
  if (typeof row === 'function') return row(kind);
  const [get, second, third] = row;
  if (kind === 'GET') return get(kind);
  if (kind === 'upgrade') return (third ?? second)(kind);
  return (third === undefined ? get : second)(kind);
}
