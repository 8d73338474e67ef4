/**
 * Whether a stream that says that no more comes has been ended or reset.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Calls `told` once it is known why no more comes over `stream`: with the error where it was reset, perhaps with one of
 * another kind (EPIPE: it ended in order, and only then, having been sent something, the other side reset), else with
 * none. If the stream closes first, it may not be called.
 */
export function endOrReset(stream: Duplex, told: (error?: NodeJS.ErrnoException | null) => void): void {
  // libuv reads no further once it has data and a hang-up in one turn, and calls that an end, be it a reset. Only a
  // write brings to light which it is; one of no octets sends nothing. What waits to be written does as well, but
  // may wait for ever where the other side has stopped reading: the turn is long enough for its error to come.
  if (!(stream instanceof Socket) || !stream.writable) told();
  else if ('encrypted' in stream && hasLostPeer(stream)) told(RESET);
  else if (stream.writableLength > 0) setImmediate(told);
  else stream.write('', told);
}

/**
 * Whether the system knows no peer of a socket any more, as it does from a reset on. The TLS sockets of Node 20 hear of
 * a reset by that write, too, but keep it to themselves. A socket that was asked for its peer before remembers it.
 */
function hasLostPeer({ localAddress, remoteAddress }: Socket): boolean {
  return localAddress !== undefined && remoteAddress === undefined;
}

/** What a write would have failed with. */
const RESET: NodeJS.ErrnoException = Object.assign(new Error('reset by the other side'), { code: 'ECONNRESET' });

/** Whether the connection below a stream is TCP with nothing above it: then a reset tells that it did not end. */
export function isResettable(stream: Duplex): stream is Socket {
  // A Unix socket has no resets; TLS tells by the missing close_notify.
  return stream instanceof Socket && !('encrypted' in stream) && stream.remoteAddress !== undefined;
}
