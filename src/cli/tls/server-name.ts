/**
 * Reads the name that a client asks for, before its handshake begins.
 */
import type { Socket } from 'node:net';
import { serverNameIn } from '../../tcp/client-hello.ts';

/**
 * Calls `next` with the name in lower case, or `''` if there is none; never if the connection closes before. All bytes
 * are still to be read then.
 */
export function peekServerName(socket: Socket, next: (name: string) => void): void {
  let bytes: Buffer = EMPTY;
  /** How many octets it takes to tell. Parsed at each of them, a ClientHello that trickles would cost seconds. */
  let needed = 1;
  const onReadable = (): void => {
    for (let part; (part = socket.read() as Buffer | null) !== null;) bytes = Buffer.concat([bytes, part]);
    // A client that leaves in the middle gets no answer.
    if (bytes.length < needed || socket.destroyed) return;
    const name = serverNameIn(bytes);
    if (typeof name === 'number') {
      needed = name;
      return;
    }
    socket.off('readable', onReadable);
    socket.unshift(bytes);
    next(name);
  };
  socket.on('readable', onReadable);
}

const EMPTY: Buffer = Buffer.alloc(0);
