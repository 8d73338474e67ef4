/**
 * Detects edits of `rawHeaders`. If middleware added or removed lines there and left `headers` alone, the raw lines are
 * what it wants sent. `headers` cannot show that; the number of raw entries that Node made it from does.
 */
import type { IncomingMessage } from 'node:http';

/** The values of the received lines, by lower-case name. */
export type Came = ReadonlyMap<string, readonly string[]>;

/**
 * Whether all `edits`, the differences between `headers` and the raw lines, are explained by lines added to or removed
 * from `rawHeaders`. If anything else differs too, `headers` wins.
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
    // The value itself differs: an added or removed line does not explain that.
    else return false;
  }
  const difference = (raw.length - made) / 2;
  return difference > 0 ? added === difference && removed === 0 : added === 0 && removed <= -difference;
}

/**
 * Whether `rawHeaders` has as many entries as the parser read. If not, it was edited, or a library made the request.
 */
export function isAsRead(request: IncomingMessage, raw: readonly string[]): boolean {
  return entriesMade(request) === raw.length;
}

/** Whether a library made this request (serverless-http, light-my-request) instead of Node's parser. */
export function isMadeUp(request: IncomingMessage): boolean {
  return entriesMade(request) === 0 && request.httpVersion === '1.1';
}

/**
 * The number of entries of `rawHeaders` that Node made `headers` from. Node keeps it under a private symbol, whose
 * description has been the same from Node 18 to 26. If the symbol is missing this is 0, and only `headers` counts.
 */
function entriesMade(request: IncomingMessage): number {
  const key = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'kHeadersCount');
  const made = key === undefined ? undefined : (request as unknown as Record<symbol, unknown>)[key];
  return typeof made === 'number' ? made : 0;
}

/** The most entries that a server makes headers from. Lines beyond are invisible to middleware, and not passed on. */
function limitOf(request: IncomingMessage): number {
  const { server } = request.socket as { readonly server?: { readonly maxHeadersCount?: number | null } };
  return 2 * (server?.maxHeadersCount ?? DEFAULT_MAX_HEADERS);
}

/** What node:http uses if `maxHeadersCount` is null. */
const DEFAULT_MAX_HEADERS = 1_000;
