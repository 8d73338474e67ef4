/**
 * Requests on kept connections, to servers that drain.
 */
import http, { type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** How long a draining server keeps a connection that is idle; that of `drainServer` is longer. */
export const GRACE_MS = 200;
/** When the last request was sent on each connection. */
const sentAt = new WeakMap<Socket, number>();

/**
 * Sends a GET, and resolves with the head of the response. A server that drains closes a connection that has been idle
 * for its grace; if this process stalls for so long, its next request comes too late, and it sends it again. On a
 * connection that cannot have been idle for so long, a lost request is a failure.
 */
export async function getKept(options: http.RequestOptions): Promise<IncomingMessage> {
  for (;;) {
    const request = http.get(options);
    let sinceLastMs = 0;
    request.once('socket', (socket) => {
      const now = performance.now();
      sinceLastMs = now - (sentAt.get(socket) ?? now);
      sentAt.set(socket, now);
    });
    try {
      return await new Promise((resolve, reject) => {
        request.on('response', resolve).on('error', reject);
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const gone = code === 'ECONNRESET' || code === 'EPIPE';
      if (!gone || !request.reusedSocket || sinceLastMs < GRACE_MS) throw error;
    }
  }
}
