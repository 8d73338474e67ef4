/**
 * Quirks of the responses of Node's servers, and of middleware that replaces their methods: where they encode, buffer,
 * count or lose data in ways of their own.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { type Framing, LENGTH } from '../http1/framing.ts';
import { isEnding } from '../streams/end-or-reset.ts';

/** Whether the sending methods are the server's own. Middleware may not expect latin1 text, and gets buffers. */
export function isPlain(response: ServerResponse): boolean {
  return response.write === OWN.write && response.end === OWN.end && response.writeHead === OWN.writeHead;
}

/** Whether middleware has replaced `write`. It must then see all data there, including the last. */
export function replacesWrite(response: ServerResponse, http2: boolean): boolean {
  return http2 ? Object.hasOwn(response, 'write') : response.write !== OWN.write;
}

/** Whether 'drain' will follow. For a `write` that did not return a boolean. */
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
  // Libraries that make requests may supply a socket that is not a stream.
  (response.socket as Partial<Socket> | null)?.uncork?.();
  response.end();
}

/**
 * Makes compressing middleware send what it has gathered: a body of unknown length may consist of events, which must
 * not wait. Returns what its `flush` returned.
 */
export function flushGathered(response: ServerResponse, framing: Framing): unknown {
  const { flush } = response as { readonly flush?: (this: ServerResponse) => unknown };
  return framing !== LENGTH && typeof flush === 'function' ? flush.call(response) : undefined;
}

/**
 * Sends the head alone, as latin1: node:http would encode it as UTF-8 and turn octets above 0x7f into two. Returns
 * false if the response is queued behind another and has no socket yet.
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

/** Cuts a response, by a reset if `reset`. */
export function destroy(request: IncomingMessage, response: ServerResponse, reset: boolean): void {
  // Some libraries supply little more than an emitter as the socket.
  const { socket } = request as { readonly socket?: Partial<Pick<Socket, 'uncork' | 'resetAndDestroy'>> };
  // node:http corks data until the next tick (in the socket, since Node 26 in the response); send it before the cut.
  (response as Partial<Pick<ServerResponse, 'uncork'>>).uncork?.();
  socket?.uncork?.();
  if (reset && !(socket instanceof Socket && isEnding(socket))) socket?.resetAndDestroy?.();
  response.destroy();
}

/**
 * Cuts an HTTP/2 response: without an error code, the stream would look complete (RFC 9113 §8.1). For a `tunnel` it is
 * the code that stands for the reset of a connection (RFC 8441 §5).
 */
export function resetStream(response: ServerResponse, tunnel: boolean): void {
  const { stream } = response as { readonly stream?: { close(code: number): void } };
  stream?.close(tunnel ? CANCEL : INTERNAL_ERROR);
}

/**
 * Prepares for another response after a head that could not be sent. Methods that middleware has replaced are restored,
 * as they may be what failed. Returns false if something was sent, or if this fails too.
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

/** The methods of node:http, unless they were replaced for all responses. */
const OWN = ServerResponse.prototype;
const REPLACEABLE = ['writeHead', 'write', 'end'] as const;
/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;
const CANCEL = 8;
