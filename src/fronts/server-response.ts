/**
 * What the servers of Node.js make of calls to a response, and middleware in the place of its methods: where they
 * encode, buffer, count or lose what they are given in ways of their own.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Framing, LENGTH } from '../http1/framing.ts';

/** Whether the methods that send a body are the server's own. Middleware may not expect latin1 text: it gets octets. */
export function isPlain(response: ServerResponse): boolean {
  return response.write === OWN.write && response.end === OWN.end && response.writeHead === OWN.writeHead;
}

/** Whether middleware has replaced `write`: then it is to see all data there, the last included. */
export function replacesWrite(response: ServerResponse, http2: boolean): boolean {
  return http2 ? Object.hasOwn(response, 'write') : response.write !== OWN.write;
}

/** Whether 'drain' will follow. Asked where `write` did not return a boolean. */
export function needsDrain(response: ServerResponse, http2: boolean): boolean {
  const { stream } = response as { readonly stream?: { readonly writableNeedDrain: boolean } };
  return (http2 && stream !== undefined ? stream : response).writableNeedDrain;
}

/** Sends the last data of a plain response, and ends it. */
export function sendLast(response: ServerResponse, data: Buffer | string): void {
  if (typeof data !== 'string') {
    response.end(data);
    return;
  }
  response.write(data, 'latin1');
  // At once, as one write: corked with the end of the response it would be a vector of two, one of them empty.
  // Libraries that make requests up may give a socket that is not a stream.
  (response.socket as Partial<Socket> | null)?.uncork?.();
  response.end();
}

/**
 * Has middleware that compresses send what it has gathered. A body of unknown length may consist of events, which must
 * not wait. Returns what its `flush` does.
 */
export function flushGathered(response: ServerResponse, framing: Framing): unknown {
  const { flush } = response as { readonly flush?: (this: ServerResponse) => unknown };
  return framing !== LENGTH && typeof flush === 'function' ? flush.call(response) : undefined;
}

/**
 * Sends the head alone. node:http would encode it as UTF-8: octets above 0x7f would become two. Returns false if the
 * response stands behind another and has no socket yet.
 */
export function flushHead(response: ServerResponse, http2: boolean): boolean {
  const socket = response.socket as Partial<Pick<Socket, 'setDefaultEncoding'>> | null;
  if (socket === null) return false;
  if (http2 || socket.setDefaultEncoding === undefined) {
    response.flushHeaders();
    return true;
  }
  socket.setDefaultEncoding('latin1');
  try {
    response.flushHeaders();
  } finally {
    socket.setDefaultEncoding('utf8');
  }
  return true;
}

/** Breaks a response off, by a reset if `reset`. */
export function destroy(request: IncomingMessage, response: ServerResponse, reset: boolean): void {
  // Some libraries put little more than an emitter in the place of a socket.
  const { socket } = request as { readonly socket?: Partial<Pick<Socket, 'uncork' | 'resetAndDestroy'>> };
  // node:http corks until the next tick what must be seen before the end: in the socket, or since Node 26 in the
  // response.
  (response as Partial<Pick<ServerResponse, 'uncork'>>).uncork?.();
  socket?.uncork?.();
  if (reset) socket?.resetAndDestroy?.();
  response.destroy();
}

/** Breaks a response over HTTP/2 off: without a code, a stream would look ended (RFC 9113 §8.1). */
export function resetStream(response: ServerResponse): void {
  const { stream } = response as { readonly stream?: { close(code: number): void } };
  stream?.close(INTERNAL_ERROR);
}

/**
 * Makes room for another response after a head that could not be sent. The methods that middleware has put in the place
 * of the server's are removed, as they may be what failed. Returns false if something was sent, or if this fails too.
 */
export function startOver(response: ServerResponse): boolean {
  try {
    if (response.headersSent || response.writableEnded) return false;
    for (const name of REPLACEABLE) if (Object.hasOwn(response, name)) Reflect.deleteProperty(response, name);
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    return true;
  } catch {
    return false;
  }
}

/** The methods of node:http itself, unless somebody has replaced them for all responses. */
const OWN = ServerResponse.prototype;
const REPLACEABLE = ['writeHead', 'write', 'end'] as const;
/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;
