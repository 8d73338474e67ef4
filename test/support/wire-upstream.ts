/**
 * An upstream that writes down every message it can decode, by the letter of RFC 9112, and what it cannot. It answers
 * each with 200.
 */
import net, { type AddressInfo, type Socket } from 'node:net';

export interface DecodedMessage {
  readonly method: string;
  readonly target: string;
  /** Values by lower-case name, in order. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

export interface RecordingUpstream {
  readonly origin: string;
  /** Takes out what was written down since the last call. */
  take(): { decoded: DecodedMessage[]; faults: string[] };
  close(): Promise<void>;
}

export async function startRecordingUpstream(): Promise<RecordingUpstream> {
  let decoded: DecodedMessage[] = [];
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

function serve(socket: Socket, onMessage: (message: DecodedMessage) => void, onFault: (fault: string) => void): void {
  let held = '';
  let continued = false;
  socket.setEncoding('latin1');
  socket.on('error', () => {
    // The balancer may break off what it cannot finish.
  });
  socket.on('data', (text: string) => {
    held += text;
    try {
      for (;;) {
        const head = readHead(held);
        if (head === undefined) return;
        if (!continued && head.fields.get('expect')?.join() === '100-continue') {
          continued = true;
          socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        }
        const whole = readBody(held, head.end, head.fields);
        if (whole === undefined) return;
        held = held.slice(whole.end);
        continued = false;
        onMessage({ method: head.method, target: head.target, fields: head.fields, body: whole.body });
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${head.method === 'HEAD' ? '' : 'ok'}`);
      }
    } catch (fault) {
      onFault(fault instanceof Error ? fault.message : String(fault));
      socket.destroy();
    }
  });
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([^\\s\\0]+) HTTP/1\\.[01]$`);
const FIELD_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([^\\r\\n\\0]*?)[ \\t]*$`);
const CHUNK_SIZE = /^([0-9a-fA-F]{1,12})(?:;[^\r\n\0]*)?$/;

interface DecodedHead extends Omit<DecodedMessage, 'body'> {
  /** Where the body starts. */
  readonly end: number;
}

/** The head at the start of `text`, or undefined where more must come. Throws what is wrong with it. */
function readHead(text: string): DecodedHead | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [line = '', ...lines] = text.slice(0, end).split('\r\n');
  const request = REQUEST_LINE.exec(line);
  if (request === null) throw new Error(`the request line ${JSON.stringify(line.slice(0, 80))}`);
  const fields = new Map<string, string[]>();
  for (const each of lines) {
    const field = FIELD_LINE.exec(each);
    if (field === null) throw new Error(`the field line ${JSON.stringify(each.slice(0, 80))}`);
    const [, name = '', value = ''] = field;
    fields.set(name.toLowerCase(), [...(fields.get(name.toLowerCase()) ?? []), value]);
  }
  const [, method = '', target = ''] = request;
  return { method, target, fields, end: end + 4 };
}

/** The body that starts at `at`, or undefined where more must come. Throws what is wrong with it. */
function readBody(
  text: string, at: number, fields: DecodedMessage['fields'],
): { body: string; end: number } | undefined {
  const lengths = fields.get('content-length');
  const codings = fields.get('transfer-encoding');
  if (lengths !== undefined && codings !== undefined) throw new Error('both a length and a coding');
  if (codings !== undefined) {
    if (codings.join().toLowerCase() !== 'chunked') throw new Error(`the transfer coding ${codings.join()}`);
    return readChunks(text, at);
  }
  if (lengths === undefined) return { body: '', end: at };
  if (!/^\d+$/.test(lengths.join())) throw new Error(`the length ${lengths.join()}`);
  const end = at + Number(lengths.join());
  return end > text.length ? undefined : { body: text.slice(at, end), end };
}

function readChunks(text: string, start: number): { body: string; end: number } | undefined {
  let body = '';
  for (let at = start, last = false; ;) {
    const end = text.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = text.slice(at, end);
    at = end + 2;
    if (last) {
      if (line === '') return { body, end: at };
      if (!FIELD_LINE.test(line)) throw new Error(`the trailer ${JSON.stringify(line.slice(0, 80))}`);
      continue;
    }
    const size = CHUNK_SIZE.exec(line)?.[1];
    if (size === undefined) throw new Error(`the chunk size ${JSON.stringify(line.slice(0, 80))}`);
    const length = parseInt(size, 16);
    last = length === 0;
    if (last) continue;
    if (text.length < at + length + 2) return undefined;
    body += text.slice(at, at + length);
    at += length + 2;
    if (text.slice(at - 2, at) !== '\r\n') throw new Error('data longer than its chunk');
  }
}
