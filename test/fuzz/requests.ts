/**
 * Cases of requests: drawn, sent both ways, and judged.
 */
import { METHODS } from 'node:http';
import type { DecodedMessage } from '../support/wire-decoder.ts';
import type { Draw } from './draw.ts';
import { mutated } from './mutate.ts';
import { cutAt, cuts } from './pieces.ts';
import { type Expected, expected, judge } from './requests-compare.ts';
import type { Front } from './front.ts';
import { drawRequests } from './requests-grammar.ts';
import { type Reading, RequestsOracle } from './requests-oracle.ts';
import { type Delivery, type Forwarded, RequestsOurs, type Tamper } from './requests-ours.ts';
import type { Fuzz, Judgement } from './session.ts';

export class RequestsFuzz implements Fuzz<Delivery> {
  readonly #front: Front;
  readonly #ours: RequestsOurs;
  readonly #oracle = new RequestsOracle();

  constructor(front: Front = 'socket', tamper?: Tamper) {
    this.#front = front;
    this.#ours = new RequestsOurs(front, tamper);
  }

  draw(draw: Draw): Delivery[] {
    const text = mutated(draw, drawRequests(draw));
    const eager = draw.chance(0.7);
    return cuts(draw, text).map((pieces) => ({ pieces, eager }));
  }

  /** Includes both sides of a case: tests check what was forwarded. */
  async judge(
    delivery: Delivery, oracles = delivery.pieces,
  ): Promise<Judgement & { readonly saw: { readonly ours: Forwarded; readonly node: Reading } }> {
    const ours = await this.#ours.run(delivery);
    const unknown = new Map<number, string>();
    let reading = await this.#expected(oracles, delivery);
    // Through node:http no unknown method arrives.
    for (let pieces: readonly string[] | undefined = oracles; this.#front === 'socket';) {
      const at = reading.requests.length;
      const message = forwarded(ours, at);
      const stopsHere = reading.error !== undefined && reading.requests.every(({ whole }) => whole) && !unknown.has(at);
      if (!stopsHere || message === undefined || KNOWN.has(message.method)) break;
      pieces = withKnown(pieces, message.method, reading.errorAt);
      if (pieces === undefined) break;
      unknown.set(at, message.method);
      reading = await this.#expected(pieces, delivery);
    }
    const judgement = judge(this.#front, ours, reading, unknown);
    const notes = unknown.size > 0 ? ['unknown method' as const] : [];
    return { ...judgement, notes, saw: { ours, node: reading } };
  }

  async #expected(pieces: readonly string[], { eager }: Delivery): Promise<Expected> {
    let reading = await this.#oracle.run(pieces);
    if (this.#front === 'node:http') {
      const at = reading.requests.findIndex(({ upgrade }) => upgrade);
      const plain = at < 0 ? undefined : withoutTabs(pieces, reading);
      const other = plain && await this.#oracle.run(plain);
      // Without the tab it is the same request to upgrade, or Node refuses it.
      if (other !== undefined && (other.requests[at]?.upgrade ?? other.error !== undefined)) reading = other;
    }
    return expected(this.#front, reading, eager);
  }

  close(): Promise<unknown> {
    return this.#ours.close();
  }
}

/**
 * The pieces without tabs behind the framing of requests to upgrade, if there are any. Node's parser does not recognise
 * `chunked`, `close` or `keep-alive` with a tab behind it; but it shows the value without the tab, so that listeners
 * of 'upgrade' cannot tell. By RFC 9110 §5.5 the tab means nothing, and they read it so. What looks like such
 * a line in a body that Node has read stays as it is.
 */
function withoutTabs(pieces: readonly string[], { requests }: Reading): string[] | undefined {
  const text = pieces.join('');
  const cut = (line: string, start: string): string => {
    return requests.some(({ body }) => body.includes(`${line}\r\n`)) ? line : start;
  };
  const plain = text.replace(HEAD, (head) => ASKS.test(head) ? head.replace(TABBED, cut) : head);
  if (plain === text) return undefined;
  // Cut where it was, as far as that goes: which piece brings what matters to what node:http breaks off.
  const removed: number[] = [];
  for (let i = 0, j = 0; i < text.length; i++) if (text[i] === plain[j]) j++; else removed.push(i);
  let offset = 0;
  return cutAt(plain, pieces.map((piece) => {
    offset += piece.length;
    return offset - removed.filter((at) => at < offset).length;
  }));
}

const HEAD = /^[^\r\n]+\r\n(?:[^\r\n]+\r\n)*\r\n/gm;
const ASKS = /^connection:[^\r\n]*upgrade[ ,\t\r]/im;
const TABBED = /^((?:transfer-encoding|(?:proxy-)?connection):[^\r\n]*?)[ \t]*\t[ \t]*(?=\r$)/gim;

const KNOWN: ReadonlySet<string> = new Set(METHODS);
/** Replaces a method that Node does not know: only CONNECT means anything to a parser. */
const STAND_IN = 'POST';

function forwarded({ messages, partial }: Forwarded, at: number): DecodedMessage | undefined {
  return messages[at] ?? (at === messages.length ? partial : undefined);
}

/**
 * The pieces with the method that made Node stop at `errorAt` replaced, so that what follows it is compared too: a
 * token that Node does not know as a method is forwarded unchanged (RFC 9110 §9.1).
 */
function withKnown(pieces: readonly string[], method: string, errorAt: number): string[] | undefined {
  const text = pieces.join('');
  const at = text.lastIndexOf(`${method} `, errorAt);
  if (at < 0) return undefined;
  const offsets: number[] = [];
  let offset = 0;
  for (const piece of pieces) {
    offset += piece.length;
    const inMethod = Math.min(STAND_IN.length, Math.max(0, offset - at));
    const behind = offset >= at + method.length;
    offsets.push(behind ? offset - method.length + STAND_IN.length : Math.min(offset, at) + inMethod);
  }
  return cutAt(text.slice(0, at) + STAND_IN + text.slice(at + method.length), offsets);
}
