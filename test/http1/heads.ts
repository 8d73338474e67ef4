/**
 * How heads are read in these tests: whole, and split at every offset.
 */
import assert from 'node:assert/strict';
import type { ErrorCode } from '../../src/errors.ts';
import type { BodyLimits, HeadLimits } from '../../src/http1/grammar.ts';
import type { RequestHead } from '../../src/http1/request.ts';
import type { ResponseHead } from '../../src/http1/response.ts';

/** The balancer's defaults. */
export const LIMITS: HeadLimits & BodyLimits = {
  maxHeadBytes: 16_384, maxRequestLineBytes: 8_192, maxFields: 100,
  maxChunkLineBytes: 1_024, maxChunkExtensionBytes: 16_384, maxTrailerBytes: 16_384,
};

/** The result of a read: the head, why it was refused, or that more must come. */
export type Reading =
  | { readonly length: number; readonly head: Readonly<Record<string, unknown>> }
  | { readonly refused: ErrorCode }
  | 'more';

/** What `head` holds after a parse that returned `length`. */
export function readingOf(head: RequestHead | ResponseHead, length: number): Reading {
  if (length === 0) return 'more';
  if (length < 0) return { refused: head.error };
  return { length, head: Object.fromEntries(Object.entries(head).filter(([name]) => name !== 'error')) };
}

/**
 * Reads `text` and checks that its prefixes, from nothing to the whole, agree: `more` up to the end of a
 * head and then the head, or `more` up to the fault and then the refusal. `read` starts afresh at each call.
 */
export function readAtEverySplit(text: string, read: (text: string) => Reading): Reading {
  const whole = read(text);
  let refused = false;
  for (let length = 0; length < text.length; length++) {
    const part = read(text.slice(0, length));
    const at = `the first ${length} of ${text.length} octets: ${JSON.stringify(text.slice(0, length).slice(-40))}`;
    if (whole !== 'more' && 'refused' in whole) {
      if (part !== 'more' || refused) assert.deepEqual(part, whole, at);
      refused ||= part !== 'more';
    } else if (whole !== 'more' && length >= whole.length) assert.deepEqual(part, whole, at);
    else assert.equal(part, 'more', at);
  }
  return whole;
}

/** One of `items`. */
export function oneOf<T>(items: readonly T[], rng: () => number): T {
  const item = items[Math.floor(rng() * items.length)];
  assert.ok(item !== undefined, 'a choice of nothing');
  return item;
}
