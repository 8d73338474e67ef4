/**
 * Fields of an HTTP/1.1 response as HTTP/2 can carry them. For a single field that it does not accept, node:http2
 * refuses the whole head, or throws where it cannot be caught.
 */
import { type Field, fieldsByName } from './response-fields.ts';

/** The fields or trailers of a block that may be sent over HTTP/2, by lower-case name. */
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

/** Whether HTTP/2 forbids a field because it concerns an HTTP/1.1 connection (RFC 9113 §8.2.2). */
export function isConnectionSpecific(name: string): boolean {
  return CONNECTION_SPECIFIC.has(name);
}

/** Several lines of one field as a single value: lists are joined; of other fields the first line is kept. */
function onlyValue(name: string, values: readonly string[]): string {
  const [first = ''] = values;
  return LISTS.has(name) && values.some((value) => value !== first) ? values.join(', ') : first;
}

/** Includes TE, which is only allowed in requests. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade',
]);

/** Fields of {@link SINGLE_VALUED} whose lines may be joined with commas (RFC 9110 §5.3). */
const LISTS: ReadonlySet<string> = new Set(['content-encoding', 'content-language', 'if-match', 'if-none-match']);

/** The fields that node:http2 accepts only once (`kSingleValueFields` in lib/internal/http2/util.js). */
const SINGLE_VALUED: ReadonlySet<string> = new Set([
  'access-control-allow-credentials', 'access-control-max-age', 'access-control-request-method', 'age',
  'authorization', 'content-encoding', 'content-language', 'content-length', 'content-location', 'content-md5',
  'content-range', 'content-type', 'date', 'dnt', 'etag', 'expires', 'from', 'host', 'if-match', 'if-modified-since',
  'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards',
  'proxy-authorization', 'range', 'referer', 'retry-after', 'tk', 'upgrade-insecure-requests', 'user-agent',
  'x-content-type-options',
]);
