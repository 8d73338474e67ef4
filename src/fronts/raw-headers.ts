/**
 * Edits of `rawHeaders`. Where middleware has added or removed lines there, and left `headers` as Node made it, the raw
 * lines are what it wants. Its `headers` do not show that; what does is the number of entries that Node made them of.
 */
import type { IncomingMessage } from 'node:http';

/** The lines of a request by their names in lower case. */
export type Came = ReadonlyMap<string, readonly string[]>;

/**
 * Whether all `edits`, the differences between `headers` and the raw lines, come of lines that were added to, or
 * removed from, `rawHeaders` alone. Where anything else differs too, `headers` is what counts.
 */
export function aloneEdited(
  request: IncomingMessage, raw: readonly string[], came: Came, edits: ReadonlyMap<string, readonly string[]>,
): boolean {
  const made = entriesMade(request);
  if (made === 0 || made === raw.length || made === limitOf(request)) return false;
  let added = 0;
  let removed = 0;
  for (const [name, values] of edits) {
    const lines = came.get(name)?.length ?? 0;
    if (lines === 0) removed++;
    else if (values.length === 0) added += lines;
    // A value of its own: no line that came or went explains it.
    else return false;
  }
  const difference = (raw.length - made) / 2;
  return difference > 0 ? added === difference && removed === 0 : added === 0 && removed <= -difference;
}

/** Whether `rawHeaders` has as many entries as a parser has read: others were made up, or edited. */
export function isAsRead(request: IncomingMessage, raw: readonly string[]): boolean {
  return entriesMade(request) === raw.length;
}

/** Whether no parser of Node's has read this request: a library made it up (serverless-http, light-my-request). */
export function isMadeUp(request: IncomingMessage): boolean {
  return entriesMade(request) === 0 && request.httpVersion === '1.1';
}

/**
 * Of how many entries of `rawHeaders` Node made `headers`. It shows that to nobody; the member has had the same name
 * from Node 18 to 26. Where it is not there, this is 0, and
 * only `headers` counts.
 */
function entriesMade(request: IncomingMessage): number {
  const key = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'kHeadersCount');
  const made = key === undefined ? undefined : (request as unknown as Record<symbol, unknown>)[key];
  return typeof made === 'number' ? made : 0;
}

/** The entries that a server makes headers of at most: lines beyond, which no middleware can see, are not passed on. */
function limitOf(request: IncomingMessage): number {
  const { server } = request.socket as { readonly server?: { readonly maxHeadersCount?: number | null } };
  return 2 * (server?.maxHeadersCount ?? DEFAULT_MAX_HEADERS);
}

/** Of node:http, where `maxHeadersCount` is null. */
const DEFAULT_MAX_HEADERS = 1_000;
