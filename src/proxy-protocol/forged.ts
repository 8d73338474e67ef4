/**
 * Notices a PROXY header from a peer that is not trusted. It is never believed: over HTTP and TLS it is nonsense, which
 * is refused anyway. But a raw connection would carry it on to an upstream, and an operator wants to know.
 */
import type { Socket } from 'node:net';
import { V2_SIGNATURE } from './v2.ts';

/**
 * Calls `onForged`, which must destroy the socket, if the first octets are those of a PROXY header. Nothing waits for
 * them: data enters a stream by its `push`, which is looked at until it is clear what comes, and then left alone.
 */
export function watchForForgery(socket: Socket, onForged: () => void): void {
  let beginnings = BEGINNINGS;
  let seen = 0;
  const own = socket as { push: Push };
  const push = own.push;
  own.push = function look(this: Socket, bytes, ...rest): boolean {
    if (bytes !== null) {
      beginnings = beginnings.filter((beginning) => {
        const size = Math.min(bytes.length, beginning.length - seen);
        return bytes.compare(beginning, seen, seen + size, 0, size) === 0;
      });
      seen += bytes.length;
    }
    const forged = bytes !== null && beginnings.some(({ length }) => length <= seen);
    // Not deleted: that would make the socket a slow object in V8.
    if (forged || bytes === null || beginnings.length === 0) own.push = push;
    if (!forged) return push.call(this, bytes, ...rest);
    onForged();
    return false;
  };
}

type Push = (this: Socket, bytes: Buffer | null, ...rest: readonly unknown[]) => boolean;

/** No request line begins like the first ones: a target begins with a slash, an asterisk or a scheme. */
const BEGINNINGS: readonly Buffer[] = [
  ...['PROXY TCP4 ', 'PROXY TCP6 ', 'PROXY UNKNOWN'].map((text) => Buffer.from(text, 'latin1')), V2_SIGNATURE,
];
