/**
 * Cases of responses: drawn, sent both ways, and judged.
 */
import type { Draw } from './draw.ts';
import type { Front } from './front.ts';
import { mutated } from './mutate.ts';
import { cuts } from './pieces.ts';
import { judgeResponse } from './responses-compare.ts';
import { drawResponses } from './responses-grammar.ts';
import { type ResponseReading, ResponsesOracle } from './responses-oracle.ts';
import { type Answered, type Relayed, ResponsesOurs } from './responses-ours.ts';
import type { Fuzz, Judgement } from './session.ts';

export class ResponsesFuzz implements Fuzz<Answered> {
  readonly #front: Front;
  readonly #ours: ResponsesOurs;
  readonly #oracle = new ResponsesOracle();

  constructor(front: Front = 'socket') {
    this.#front = front;
    this.#ours = new ResponsesOurs(front);
  }

  draw(draw: Draw): Answered[] {
    const method = draw.one(['GET', 'GET', 'GET', 'HEAD', 'POST'] as const);
    const minor = draw.chance(0.85) ? 1 : 0;
    const upgrade = minor === 1 && method === 'GET' && draw.chance(0.15);
    const expect = minor === 1 && method === 'POST' && draw.chance(0.5);
    const text = mutated(draw, drawResponses(draw, method, upgrade));
    const reset = draw.chance(0.3);
    return cuts(draw, text).map((pieces) => ({ pieces, method, minor, upgrade, expect, reset }));
  }

  /** Includes both sides of a case: tests check what was passed on. */
  async judge(
    answered: Answered, oracles = answered.pieces,
  ): Promise<Judgement & { readonly saw: { readonly ours: Relayed; readonly node: ResponseReading } }> {
    const ours = await this.#ours.run(answered);
    const node = await this.#oracle.run({ ...answered, pieces: oracles });
    const switched = ours.after.response?.status === 101;
    const notes = [...(ours.kept ? ['kept' as const] : []), ...(switched ? ['101' as const] : [])];
    return { ...judgeResponse(this.#front, { ...answered, pieces: oracles }, ours, node), notes, saw: { ours, node } };
  }

  close(): Promise<unknown> {
    return this.#ours.close();
  }
}
