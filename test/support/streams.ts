/**
 * Connections to upstreams that fail, or never come about, in ways that a real network shows only at its leisure: for
 * the option `connect`.
 */
import net from 'node:net';

/** A socket that never connects. */
export function neverConnects(): net.Socket {
  return new net.Socket();
}

/** A socket whose connect fails with this code of the system. */
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
