/**
 * The id of a request.
 */
import type { RequestHead } from '../http1/request.ts';

/** The id that a trusted downstream gave the request, else a new one. */
export function requestId(head: RequestHead, trusted: boolean): string {
  return givenId(trusted ? head.field('x-request-id') : undefined) ?? crypto.randomUUID();
}

/** What came as X-Request-ID, if it can be an id. */
export function givenId(value: string | null | undefined): string | undefined {
  return typeof value === 'string' && ID.test(value) ? value : undefined;
}

/** What goes into a log line and a header as it is. */
const ID = /^[\w.:/+=-]{1,128}$/;
