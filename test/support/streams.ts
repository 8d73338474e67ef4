/**
 * For the option `connect`: connections to upstreams that fail, or are never established, in ways that a real network
 * does not produce on demand.
 */
import net from 'node:net';

/** A socket that never connects. */
export function neverConnects(): net.Socket {
  return new net.Socket();
}

/** A socket whose connect fails with this system error code. */
export function failsWith(code: string): net.Socket {
  const socket = new net.Socket();
  queueMicrotask(() => {
    socket.destroy(Object.assign(new Error(`connect ${code} 10.9.8.7:6543`), { code }));
  });
  return socket;
}

/** A socket whose connects to several addresses fail, each with its code. */
export function failsWithAll(codes: readonly string[]): net.Socket {
  const socket = new net.Socket();
  queueMicrotask(() => {
    const errors = codes.map((code) => Object.assign(new Error(`connect ${code}`), { code }));
    socket.destroy(Object.assign(new AggregateError(errors), { code: codes[0] }));
  });
  return socket;
}
