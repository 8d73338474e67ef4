/**
 * Response heads and trailers as the servers of Node.js take them, and middleware in the place of their methods.
 */
import { ServerResponse } from 'node:http';
import { fieldPairs, withoutNominated } from '../http1/fields.ts';
import { CHUNKED, type Framing } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { upgradeOffer } from '../http1/serialise.ts';
import { http2Fields, isConnectionSpecific } from './http2-fields.ts';
import { type Field, fieldsByName, flatFields } from './response-fields.ts';

/** A head that waits for the data that may go out with it. */
export interface WaitingHead {
  readonly status: number;
  readonly reason: string;
  /** Whole field lines. */
  readonly fields: string;
}

/**
 * The fields of a response over HTTP/1.1 that is framed as `framing`. `closing` is true where its connection is to be
 * closed after it.
 */
export function http1Fields(head: ResponseHead, framing: Framing, closing: boolean, response: ServerResponse): string {
  let { fields } = head;
  // A Connection field of ours takes from node:http the decision whether to close: it has to say what that would be.
  if (head.status === 426 && head.upgrade !== '') fields += upgradeOffer(head, !closing && persists(response));
  else if (closing) fields += 'Connection: close\r\n';
  // node:http refuses to announce trailers where none can follow.
  const idle = framing !== CHUNKED && /^trailer:/im.test(fields);
  return idle ? withoutNominated(fields, 'trailer') : fields;
}

/** Hands a head to the server. Returns what its `writeHead` does: of middleware, it may be anything. */
export function writeHead(response: ServerResponse, head: WaitingHead, framing: Framing, http2: boolean): unknown {
  const { status, reason, fields } = head;
  if (response.writeHead === OWN.writeHead && response.getHeaderNames().length === 0) {
    return response.writeHead(status, reason, flatFields(fields));
  }
  response.statusCode = status;
  for (const name of response.getHeaderNames()) if (overrules(name, framing, http2)) response.removeHeader(name);
  for (const [name, field] of http2 ? http2Fields(fields) : fieldsByName(fields)) {
    // node:http2 ends a response of this status with its head, whatever body the upstream has sent with it.
    if (http2 && status === 205 && name === 'content-length') continue;
    const values = name === 'set-cookie' ? withPreset(response, field) : field.values;
    response.setHeader(field.name, values.length === 1 ? values[0] ?? '' : values);
  }
  // Middleware in the place of writeHead may expect an object of fields, or none, and a reason, or none. So it gets the
  // status alone, as it does from node:http where nobody calls writeHead.
  if (http2) return response.writeHead(status);
  response.statusMessage = reason;
  // node:http would put the usual reason in the place of none.
  return reason === '' ? response.writeHead(status, '') : response.writeHead(status);
}

/** Adds trailers, given as whole field lines. */
export function addTrailers(response: ServerResponse, block: string, http2: boolean): void {
  if (http2) {
    const trailers = [...http2Fields(block)].map(([name, { values }]) => [name, values] as const);
    // Node.js takes several values of one trailer, though its types do not say so.
    response.addTrailers(Object.fromEntries(trailers) as unknown as Record<string, string>);
    return;
  }
  const flat = fieldPairs(block);
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] ?? '', flat[i + 1] ?? '']);
  response.addTrailers(pairs);
}

/** Whether Node.js itself has refused a head: a status or field that it does not take. */
export function isRefusal(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && /^ERR_(?:HTTP|INVALID)/.test(String(cause.code));
}

/** Whether node:http would keep the connection after this response. */
function persists(response: ServerResponse): boolean {
  const { maxRequestsOnConnectionReached } = response as { readonly maxRequestsOnConnectionReached?: boolean };
  return response.shouldKeepAlive && maxRequestsOnConnectionReached !== true;
}

/** Whether a field that middleware has set goes: how a body is framed follows from what the upstream has sent. */
function overrules(name: string, framing: Framing, http2: boolean): boolean {
  if (name === 'content-length') return true;
  return http2 ? isConnectionSpecific(name) : name === 'transfer-encoding' && framing !== CHUNKED;
}

/** The values of a field behind those that middleware has set. */
function withPreset(response: ServerResponse, { name, values }: Field): readonly string[] {
  return [...[response.getHeader(name) ?? []].flat().map(String), ...values];
}

const OWN = ServerResponse.prototype;
