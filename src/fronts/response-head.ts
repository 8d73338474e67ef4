/**
 * Hands response heads and trailers to Node's servers, whose methods middleware may have replaced.
 */
import { ServerResponse } from 'node:http';
import { fieldPairs, filterFields, withoutNominated } from '../http1/fields.ts';
import { CHUNKED, type Framing } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { upgradeOffer } from '../http1/serialise.ts';
import { isKeyField } from './connect-handshake.ts';
import { http2Fields, isConnectionSpecific } from './http2-fields.ts';
import { type Field, fieldsByName, flatFields } from './response-fields.ts';

/** A head that waits to be sent together with the first data. */
export interface WaitingHead {
  readonly status: number;
  readonly reason: string;
  /** Whole field lines. */
  readonly fields: string;
}

/**
 * The fields of an HTTP/1.1 response with this framing. `closing` is true if the connection closes after it.
 */
export function http1Fields(head: ResponseHead, framing: Framing, closing: boolean, response: ServerResponse): string {
  let { fields } = head;
  // With a Connection field of ours node:http does not choose itself whether to close, so the field says what it would.
  if (head.status === 426 && head.upgrade !== '') fields += upgradeOffer(head, !closing && persists(response));
  else if (closing) fields += 'Connection: close\r\n';
  // node:http refuses a Trailer field unless the response is chunked.
  const idle = framing !== CHUNKED && /^trailer:/im.test(fields);
  return idle ? withoutNominated(fields, 'trailer') : fields;
}

/** The fields of a 101 as HTTP/2 says that the tunnel is open: without what only HTTP/1.1 has, and without a length. */
export function tunnelFields(fields: string): string {
  return filterFields(fields, (name) => name !== 'content-length' && !isKeyField(name));
}

/** Hands a head to the server. Returns what `writeHead` returned, which from middleware may be anything. */
export function writeHead(response: ServerResponse, head: WaitingHead, framing: Framing, http2: boolean): unknown {
  const { status, reason, fields } = head;
  if (response.writeHead === OWN.writeHead && response.getHeaderNames().length === 0) {
    return response.writeHead(status, reason, flatFields(fields));
  }
  response.statusCode = status;
  for (const name of response.getHeaderNames()) if (overrules(name, framing, http2)) response.removeHeader(name);
  for (const [name, field] of http2 ? http2Fields(fields) : fieldsByName(fields)) {
    // node:http2 ends a 205 with its head, even if the upstream sent a body.
    if (http2 && status === 205 && name === 'content-length') continue;
    const values = name === 'set-cookie' ? withPreset(response, field) : field.values;
    response.setHeader(field.name, values.length === 1 ? values[0] ?? '' : values);
  }
  // Middleware that replaces writeHead may not expect a reason or fields. Pass the status alone, as node:http does when
  // it calls writeHead by itself.
  if (http2) return response.writeHead(status);
  response.statusMessage = reason;
  // Given no reason, node:http would fill in the usual one.
  return reason === '' ? response.writeHead(status, '') : response.writeHead(status);
}

/** Adds trailers, given as whole field lines. */
export function addTrailers(response: ServerResponse, block: string, http2: boolean): void {
  if (http2) {
    const trailers = [...http2Fields(block)].map(([name, { values }]) => [name, values] as const);
    // Node.js accepts several values for one trailer, though its types do not say so.
    response.addTrailers(Object.fromEntries(trailers) as unknown as Record<string, string>);
    return;
  }
  const flat = fieldPairs(block);
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] ?? '', flat[i + 1] ?? '']);
  response.addTrailers(pairs);
}

/** Whether Node.js itself refused a head, for a status or field that it does not accept. */
export function isRefusal(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && /^ERR_(?:HTTP|INVALID)/.test(String(cause.code));
}

/** Whether node:http would keep the connection after this response. */
function persists(response: ServerResponse): boolean {
  const { maxRequestsOnConnectionReached } = response as { readonly maxRequestsOnConnectionReached?: boolean };
  return response.shouldKeepAlive && maxRequestsOnConnectionReached !== true;
}

/** Whether to remove a field that middleware has set: the upstream's response decides the framing. */
function overrules(name: string, framing: Framing, http2: boolean): boolean {
  if (name === 'content-length') return true;
  return http2 ? isConnectionSpecific(name) : name === 'transfer-encoding' && framing !== CHUNKED;
}

/** The values that middleware has set for a field, followed by the upstream's. */
function withPreset(response: ServerResponse, { name, values }: Field): readonly string[] {
  return [...[response.getHeader(name) ?? []].flat().map(String), ...values];
}

const OWN = ServerResponse.prototype;
