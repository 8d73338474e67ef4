/**
 * An upstream that records every message it can decode, strictly by RFC 9112, and what it cannot. It answers each with
 * 200.
 */
import net, { type AddressInfo, type Socket } from 'node:net';
import { type RecordedMessage, RequestDecoder } from './wire-decoder.ts';

export interface RecordingUpstream {
  readonly origin: string;
  /** Returns what was recorded since the last call. */
  take(): { decoded: RecordedMessage[]; faults: string[] };
  close(): Promise<void>;
}

export async function startRecordingUpstream(): Promise<RecordingUpstream> {
  let decoded: RecordedMessage[] = [];
  let faults: string[] = [];
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    serve(socket, (message) => decoded.push(message), (fault) => faults.push(fault));
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const taken = { decoded, faults };
      decoded = [];
      faults = [];
      return taken;
    },
    close: () => new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    }),
  };
}

function serve(socket: Socket, onMessage: (message: RecordedMessage) => void, onFault: (fault: string) => void): void {
  const decoder = new RequestDecoder();
  let continued = false;
  socket.setEncoding('latin1');
  socket.on('error', () => {
    // The balancer may reset what it cannot finish.
  });
  socket.on('data', (text: string) => {
    decoder.add(text);
    try {
      for (;;) {
        const message = decoder.next();
        if (message === undefined) {
          if (continued || decoder.partial?.fields.get('expect')?.join() !== '100-continue') return;
          continued = true;
          socket.write('HTTP/1.1 100 Continue\r\n\r\n');
          return;
        }
        continued = false;
        onMessage(message);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${message.method === 'HEAD' ? '' : 'ok'}`);
      }
    } catch (fault) {
      onFault(fault instanceof Error ? fault.message : String(fault));
      socket.destroy();
    }
  });
}
