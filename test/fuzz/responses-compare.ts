/**
 * What the balancer passed on, compared with what Node's client read from the same bytes.
 */
import { type DecodedResponse, decodeResponse } from '../support/wire-decoder.ts';
import {
  differenceOfLines, endToEnd, HOP_BY_HOP, itemsOf, pairs, valuesOf, withoutForbiddenTrailers,
} from './fields.ts';
import type { Front } from './front.ts';
import type { ReadHead, ReadResponse, ResponseReading } from './responses-oracle.ts';
import type { Answered, Passed, Relayed } from './responses-ours.ts';

/** How a case ended that is not a fault. */
export type Verdict = 'accepted' | 'refused' | 'stricter';

/** The fault of a case, or how it ended: `accepted` by both, `refused` by both, or only by us. */
export function judgeResponse(
  front: Front, answered: Answered, ours: Relayed, node: ResponseReading,
): { fault: string } | { verdict: Verdict } {
  // An upgrade is served on its socket.
  const byHandle = front === 'node:http' && !answered.upgrade;
  const fault = ours.faults[0]
    ?? faultOf(answered, ours.before, node, node.before, byHandle)
    ?? faultOf(answered, ours.after, node, node.after, byHandle)
    ?? (ours.kept ? faultOfKept(answered, node) : undefined);
  if (fault !== undefined) return { fault };
  if (ours.after.response?.whole === true) return { verdict: 'accepted' };
  return { verdict: node.after?.whole === true ? 'stricter' : 'refused' };
}

function faultOf(
  answered: Answered, ours: Passed, node: ResponseReading, read: ReadResponse | undefined, byHandle: boolean,
): string | undefined {
  const { response, interims, refused } = ours;
  const wanted = (byHandle ? hintsOf : interimsOf)(answered, node);
  for (const [i, interim] of interims.entries()) {
    for (let difference: string | undefined = ''; difference !== undefined;) {
      const next = wanted.shift();
      if (next === undefined) return 'an interim response was passed on that Node does not see';
      difference = differenceOfHeads(interim, next);
      if (difference !== undefined && !next.mayBeLost) return `interim response ${i + 1}: ${difference}`;
    }
  }
  if (response === undefined) {
    if (refused || read === undefined) return undefined;
    return 'the rest of a head is awaited; for Node it is whole';
  }
  if (read === undefined) return `passed ${response.status} on; Node ${node.error ?? 'sees no response'}`;
  if (!wanted.every(({ mayBeLost }) => mayBeLost)) return 'an interim response was lost';
  const difference = differenceOfHeads(response, byHandle ? announced(read, response) : read);
  if (difference !== undefined) return difference;
  if (response.whole !== read.whole && !refused) {
    return response.whole ? `passed on whole; for Node it is not: ${node.error ?? 'it waits'}`
      : 'the rest of a body is awaited; for Node it is whole';
  }
  const lost = refused || response.status === 101 ? !read.body.startsWith(response.body) : response.body !== read.body;
  if (lost && !response.body.startsWith(read.body)) return `the body is to Node ${JSON.stringify(read.body)}`;
  if (lost && !refused) return `the body is to Node ${JSON.stringify(read.body)}`;
  if (!response.whole || !response.fields.has('transfer-encoding')) return undefined;
  return differenceOfLines(response.trailers, withoutForbiddenTrailers(pairs(read.rawTrailers)));
}

/** An interim response that must be passed on. */
type Interim = ReadHead & { readonly mayBeLost: boolean };

function interimsOf({ minor, expect }: Answered, { interims }: ResponseReading): Interim[] {
  const wanted = interims.filter(({ status }) => minor === 1 && (status !== 100 || expect));
  return wanted.map((interim) => ({ ...interim, mayBeLost: false }));
}

/**
 * node:http sends the 100 by itself, before it hands over the request, and of all others the Links of a 103 alone; not
 * even those where one is more than a plain link.
 */
function hintsOf({ minor, expect }: Answered, { interims }: ResponseReading): Interim[] {
  const hints: Interim[] = expect ? [{ status: 100, reason: 'Continue', rawHeaders: [], mayBeLost: false }] : [];
  for (const { status, rawHeaders } of minor === 1 ? interims : []) {
    const links = status === 103 ? valuesOf(pairs(rawHeaders), 'link') : [];
    if (links.length === 0) continue;
    const mayBeLost = !links.every((link) => PLAIN_LINK.test(link));
    hints.push({ status, reason: 'Early Hints', rawHeaders: ['Link', links.join(', ')], mayBeLost });
  }
  return hints;
}

const PLAIN_LINK = /^<[!-;=?-~]*>(?:; rel=[a-z]+)*$/;

/** What node:http lets a response announce: trailers only where it can send them. */
function announced(read: ReadResponse, { fields }: DecodedResponse): ReadHead {
  if (fields.has('transfer-encoding')) return read;
  return { ...read, rawHeaders: pairs(read.rawHeaders).filter(([name]) => !/^trailer$/i.test(name)).flat() };
}

/** A connection with anything after the response, or that the upstream will not keep, must not be reused. */
function faultOfKept({ pieces, method }: Answered, node: ResponseReading): string | undefined {
  if (!node.keepAlive && !isBareHead(method, node)) return 'kept; for Node the response says close';
  if (node.error !== undefined) return `kept; Node stops: ${node.error}`;
  const text = pieces.join('');
  try {
    let response: DecodedResponse | undefined;
    for (let at = 0; response === undefined || response.status < 200; at = response.next) {
      response = decodeResponse(text, at, method, false);
      if (response === undefined) return 'kept, though no response can be told';
    }
    return response.whole && response.next === text.length ? undefined : 'kept with bytes behind the response';
  } catch (fault) {
    return `kept, though ${fault instanceof Error ? fault.message : String(fault)} cannot be decoded`;
  }
}

/**
 * Before Node's parser is told that no body follows, it takes a response to HEAD without a length for one that the end
 * of the connection ends, and so closes. By RFC 9112 §6.3 it is whole at the end of its head.
 */
function isBareHead(method: string, { after }: ResponseReading): boolean {
  const lines = pairs(after?.rawHeaders ?? []);
  const closes = itemsOf([...valuesOf(lines, 'connection'), ...valuesOf(lines, 'proxy-connection')]).includes('close');
  return method === 'HEAD' && !closes && valuesOf(lines, 'content-length').length === 0;
}

/** Fields of this hop, which the balancer removes and may write itself. */
const OWNED: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'transfer-encoding', 'upgrade']);
const OWNED_AND_LENGTH: ReadonlySet<string> = new Set([...OWNED, 'content-length']);

function differenceOfHeads(ours: DecodedResponse, { status, reason, rawHeaders }: ReadHead): string | undefined {
  if (ours.status !== status) return `${ours.status} is ${status} to Node`;
  if (ours.reason !== reason) return `the reason is ${JSON.stringify(reason)} to Node`;
  const lines = pairs(rawHeaders);
  const connection = itemsOf(valuesOf(lines, 'connection'));
  // RFC 9110 §8.6: neither has a body with a length.
  const owned = status < 200 || status === 204 ? OWNED_AND_LENGTH : OWNED;
  const wanted = endToEnd(lines, connection, owned);
  const sent = endToEnd(ours.lines, [], OWNED);
  // RFC 9110 §6.6.1: a proxy adds a missing Date.
  if (status >= 200 && valuesOf(wanted, 'date').length === 0) wanted.push(['Date', sent.at(-1)?.[1] ?? '']);
  return differenceOfLines(sent, wanted);
}
