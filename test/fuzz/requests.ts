/**
 * Cases of requests: drawn, sent both ways, and judged.
 */
import { METHODS } from 'node:http';
import type { DecodedMessage } from '../support/wire-decoder.ts';
import type { Draw } from './draw.ts';
import { mutated } from './mutate.ts';
import { cutAt, cuts } from './pieces.ts';
import { judge, toForward } from './requests-compare.ts';
import { drawRequests } from './requests-grammar.ts';
import { type Reading, RequestsOracle } from './requests-oracle.ts';
import { type Delivery, type Forwarded, RequestsOurs } from './requests-ours.ts';
import type { Fuzz, Judgement } from './session.ts';

export class RequestsFuzz implements Fuzz<Delivery> {
  readonly #ours = new RequestsOurs();
  readonly #oracle = new RequestsOracle();

  draw(draw: Draw): Delivery[] {
    const text = mutated(draw, drawRequests(draw));
    const eager = draw.chance(0.7);
    return cuts(draw, text).map((pieces) => ({ pieces, eager }));
  }

  /** Both sides of a case with it: tests look at what was forwarded. */
  async judge(
    delivery: Delivery, oracles = delivery.pieces,
  ): Promise<Judgement & { readonly saw: { readonly ours: Forwarded; readonly node: Reading } }> {
    const ours = await this.#ours.run(delivery);
    const unknown = new Map<number, string>();
    let reading = toForward(await this.#oracle.run(oracles));
    for (let pieces: readonly string[] | undefined = oracles; ;) {
      const at = reading.requests.length;
      const message = forwarded(ours, at);
      const stopsHere = reading.error !== undefined && reading.requests.every(({ whole }) => whole) && !unknown.has(at);
      if (!stopsHere || message === undefined || KNOWN.has(message.method)) break;
      pieces = withKnown(pieces, message.method, reading.errorAt);
      if (pieces === undefined) break;
      unknown.set(at, message.method);
      reading = toForward(await this.#oracle.run(pieces));
    }
    const judgement = judge(ours, reading, unknown);
    const notes = unknown.size > 0 ? ['unknown method' as const] : [];
    return { ...judgement, notes, saw: { ours, node: reading } };
  }

  close(): Promise<unknown> {
    return this.#ours.close();
  }
}

const KNOWN: ReadonlySet<string> = new Set(METHODS);
/** What stands in for a method that Node does not know: nothing but CONNECT means anything to a parser. */
const STAND_IN = 'POST';

function forwarded({ messages, partial }: Forwarded, at: number): DecodedMessage | undefined {
  return messages[at] ?? (at === messages.length ? partial : undefined);
}

/**
 * The pieces with the method that made Node stop at `errorAt` replaced, so that what follows it is compared too: a
 * token that is no method of Node's is forwarded as it is (RFC 9110 §9.1).
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
