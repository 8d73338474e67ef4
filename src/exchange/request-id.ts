/**
 * What identifies a request, in its headers, in events and in reports.
 */

/** `given`, the id from a trusted downstream, if it can be one; else a new UUID. */
export function requestId(given: string | null | undefined): string {
  // Node makes UUIDs from random octets that it fetches for 128 of them at once.
  return typeof given === 'string' && ID.test(given) ? given : crypto.randomUUID();
}

/** The part of an event or a report that names a request; undefined if the request has no id. */
export function named({ id }: { readonly id: string }): { readonly requestId: string } | undefined {
  return id === '' ? undefined : { requestId: id };
}

/** What can be put into a log line and a header as it is. */
const ID = /^[\w.:/+=-]{1,128}$/;
