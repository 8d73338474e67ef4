/**
 * Fields of an HTTP/1.1 response as HTTP/2 can carry them. What node:http2 does not take, it refuses together with the
 * whole head, or throws where nobody can catch it.
 */
import { type Field, fieldsByName } from './response-fields.ts';

/** The fields, or trailers, in a block of lines that may be sent over HTTP/2, by their lower-case names. */
export function http2Fields(block: string): Map<string, Field> {
  const fields = fieldsByName(block);
  for (const [name, { values }] of fields) {
    if (isConnectionSpecific(name)) fields.delete(name);
    else if (values.length > 1 && SINGLE_VALUED.has(name)) {
      fields.set(name, { name, values: [onlyValue(name, values)] });
    }
  }
  return fields;
}

/** Whether HTTP/2 has no place for a field, as it concerns one connection of HTTP/1.1 (RFC 9113 §8.2.2). */
export function isConnectionSpecific(name: string): boolean {
  return CONNECTION_SPECIFIC.has(name);
}

/** Several lines of one field as one: lists are joined, and of anything else the first line counts. */
function onlyValue(name: string, values: readonly string[]): string {
  const [first = ''] = values;
  return LISTS.has(name) && values.some((value) => value !== first) ? values.join(', ') : first;
}

/** TE is among them: only a request may have it. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade',
]);

/** Lists in which several lines mean the same as one with commas (RFC 9110 §5.3). */
const LISTS: ReadonlySet<string> = new Set(['content-encoding', 'content-language', 'if-match', 'if-none-match']);

/** The fields of which node:http2 takes one line only (`kSingleValueFields` in lib/internal/http2/util.js). */
const SINGLE_VALUED: ReadonlySet<string> = new Set([
  'access-control-allow-credentials', 'access-control-max-age', 'access-control-request-method', 'age',
  'authorization', 'content-encoding', 'content-language', 'content-length', 'content-location', 'content-md5',
  'content-range', 'content-type', 'date', 'dnt', 'etag', 'expires', 'from', 'host', 'if-match', 'if-modified-since',
  'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards',
  'proxy-authorization', 'range', 'referer', 'retry-after', 'tk', 'upgrade-insecure-requests', 'user-agent',
  'x-content-type-options',
]);
