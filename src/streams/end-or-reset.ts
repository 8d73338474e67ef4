/**
 * Distinguishes the end of a stream from a reset, and resets streams.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Calls `told` once it is known why `stream` ended: with an ECONNRESET error if it was reset, otherwise with none or
 * another error (EPIPE: it ended in order, and the other side reset only when something was sent to it later). If the
 * stream closes first, `told` may not be called.
 */
export function endOrReset(stream: Duplex, told: (error?: NodeJS.ErrnoException | null) => void): void {
  // If data and a hang-up come in one turn, libuv reads no further and reports an end, even after a reset. Only a write
  // shows which it was; an empty one sends nothing. Pending writes show it too, but may wait forever if the other side
  // has stopped reading; one turn is long enough for their error to arrive.
  if (!(stream instanceof Socket) || !stream.writable) told();
  else if ('encrypted' in stream && hasLostPeer(stream)) told(RESET);
  else if (stream.writableLength > 0) setImmediate(told);
  else stream.write('', told);
}

/**
 * Whether the system no longer knows a socket's peer, which is so after a reset. In Node 20 a TLS socket notices the
 * reset by the empty write but does not pass the error on. Once asked for its peer, a socket caches the answer.
 */
function hasLostPeer({ localAddress, remoteAddress }: Socket): boolean {
  return localAddress !== undefined && remoteAddress === undefined;
}

/** The error that a write would have failed with. */
const RESET: NodeJS.ErrnoException = Object.assign(new Error('reset by the other side'), { code: 'ECONNRESET' });

/** Whether `stream` is plain TCP, where a reset shows the other side that the data did not end in order. */
export function isResettable(stream: Duplex): stream is Socket {
  // Unix sockets have no resets; over TLS the missing close_notify shows it.
  return stream instanceof Socket && !('encrypted' in stream) && stream.remoteAddress !== undefined;
}

/** Destroys a stream, by a reset where that is possible, so that the other side does not take it for an orderly end. */
export function destroyByReset(stream: Duplex): void {
  if (!isEnding(stream) && isResettable(stream)) stream.resetAndDestroy();
  else stream.destroy();
}

/**
 * Whether everything was written and the end is being sent, which is then the truth. Meanwhile libuv cannot reset a
 * socket (EINVAL); Node would never close it: its descriptor would stay open, and the process spin at its exit.
 */
export function isEnding({ writableEnded, writableFinished, writableLength }: Duplex): boolean {
  return writableEnded && !writableFinished && writableLength === 0;
}
