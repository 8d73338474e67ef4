/**
 * Unix sockets that a crash left behind. Their file stays, and nobody can listen there until it is removed.
 */
import { lstat } from 'node:fs/promises';
import { lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';

/** What is at a path: nothing, a socket that nobody listens on, or something to leave alone (`why` says what). */
type Found =
  | { readonly kind: 'nothing' | 'stale' }
  | { readonly kind: 'taken'; readonly why: string };

/**
 * Runs `listen`, which listens on the Unix socket at `path`. If that fails with EADDRINUSE and nobody listens there,
 * removes the socket and runs `listen` once more. A socket that is in use, and anything that is not a socket, stays:
 * then this rejects with EADDRINUSE, and the message says what is there.
 */
export async function listenOnPath<T>(path: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    if (!isInUse(error)) throw error;
  }
  const found = await removeStaleSocket(path);
  try {
    // Even if it is taken: a worker of this cluster may have begun to listen there, and its socket is shared.
    return await listen();
  } catch (error) {
    if (found.kind === 'taken' && isInUse(error)) throw inUse(path, found.why, error);
    throw error;
  }
}

/** Removes the socket at `path` if nobody listens on it. Resolves with what was there. */
export async function removeStaleSocket(path: string): Promise<Found> {
  try {
    if (path.startsWith('\0')) {
      // An abstract name has no file, and goes with the process that listens on it.
      const answer = await connectTo(path);
      return answer === 'ENOENT' || answer === 'ECONNREFUSED' ? { kind: 'nothing' } : { kind: 'taken', why: answer };
    }
    const before = await lstat(path);
    if (!before.isSocket()) return { kind: 'taken', why: 'it is not a socket; remove it, or choose another path' };
    const answer = await connectTo(path);
    if (answer === 'ENOENT') return { kind: 'nothing' };
    if (answer !== 'ECONNREFUSED') return { kind: 'taken', why: answer };
    // Another process may have done the same meanwhile, and listen there now. No await from here to the removal.
    const now = lstatSync(path);
    if (now.ino !== before.ino || now.ctimeMs !== before.ctimeMs) return { kind: 'nothing' };
    unlinkSync(path);
    return { kind: 'stale' };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? { kind: 'nothing' } : { kind: 'taken', why: `it cannot be removed: ${message}` };
  }
}

/** The path of the Unix socket that could not be listened on because something is there, if this is such an error. */
export function pathInUse(error: unknown): string | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < MAX_CAUSES; cause = cause.cause, depth++) {
    const { address, port } = cause as { readonly address?: unknown; readonly port?: unknown };
    // Node gives errors of paths the port -1.
    if (isInUse(cause) && typeof address === 'string' && !(typeof port === 'number' && port >= 0)) return address;
  }
  return undefined;
}

function isInUse(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

/** Resolves with ENOENT or ECONNREFUSED, or with words that say why the socket is taken. */
function connectTo(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      resolve('another process listens on it');
      socket.destroy();
    });
    socket.once('error', ({ code = '', message }: NodeJS.ErrnoException) => {
      resolve(code === 'ENOENT' || code === 'ECONNREFUSED' ? code : `cannot tell whether it is in use: ${message}`);
    });
  });
}

function inUse(path: string, why: string, cause: NodeJS.ErrnoException): Error {
  const { code, errno, syscall } = cause;
  const address = path;
  return Object.assign(new Error(`listen EADDRINUSE: ${path} is in use: ${why}`, { cause }),
    { code, errno, syscall, address });
}

/** How deep an error may be wrapped in others. */
const MAX_CAUSES = 8;
