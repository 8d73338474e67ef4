/**
 * A client that writes HTTP/2 frames as a test says, right or wrong, and reads what comes back. It keeps no rules of
 * the protocol and grants no window.
 */
import net, { type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { atEnd } from './scope.ts';
import { Signal } from './wait.ts';

/** Types of frames (RFC 9113 §6). */
export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

/** Flags. */
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

/** Error codes (RFC 9113 §7). */
export const PROTOCOL_ERROR = 1;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const ENHANCE_YOUR_CALM = 11;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Names and values as HPACK literals that are not indexed and not compressed (RFC 7541 §6.2.2). */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** The pseudo-header fields of a request. */
export function pseudo(method: string, path: string, authority = 'example.com'): (readonly [string, string])[] {
  return [[':method', method], [':scheme', 'http'], [':authority', authority], [':path', path]];
}

/** The HEADERS frame of a GET without a body. */
export function get(stream: number, path = '/', ...more: (readonly [string, string])[]): Buffer {
  return frame(HEADERS, END_STREAM | END_HEADERS, stream, block([...pseudo('GET', path), ...more]));
}

/** The HEADERS frame of a POST whose body follows. */
export function post(stream: number, path = '/', ...more: (readonly [string, string])[]): Buffer {
  return frame(HEADERS, END_HEADERS, stream, block([...pseudo('POST', path), ...more]));
}

export function settings(...values: readonly (readonly [id: number, value: number])[]): Buffer {
  return frame(SETTINGS, 0, 0, Buffer.concat(values.map(([id, value]) => {
    return Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)]);
  })));
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class FrameClient {
  readonly frames: Frame[] = [];
  closed = false;
  readonly socket: Socket;
  #held = Buffer.alloc(0);
  #acknowledged = false;
  readonly #signal = new Signal();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#read(bytes);
      this.#signal.raise();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#signal.raise();
    });
  }

  send(...frames: readonly Buffer[]): this {
    this.socket.write(Buffer.concat(frames));
    return this;
  }

  /** Resolves with the first frame of this type, of this stream if it matters. Fails if the connection closes first. */
  async frame(type: number, stream?: number): Promise<Frame> {
    const find = (): Frame | undefined => this.frames.find((one) => {
      return one.type === type && (stream === undefined || one.stream === stream);
    });
    const done = (): boolean => find() !== undefined || this.closed;
    await this.#signal.until(done, () => `a frame of type ${type}; ${this.#shown}`);
    const found = find();
    if (found === undefined) throw new Error(`closed without a frame of type ${type}; ${this.#shown}`);
    return found;
  }

  /** Resolves with the status of a stream: it must be the first response of its connection with that status. */
  async status(stream: number): Promise<number> {
    return statusOf((await this.frame(HEADERS, stream)).payload);
  }

  /** Resolves with how a stream ended: `RST 1`, `200`; or, with the whole connection, `GOAWAY 1`. */
  async ending(stream: number): Promise<string> {
    const how = (): string | undefined => {
      for (const { type, stream: of, payload } of this.frames) {
        if (type === RST_STREAM && of === stream) return `RST ${payload.readUInt32BE()}`;
        if (type === HEADERS && of === stream) return String(statusOf(payload));
        if (type === GOAWAY && payload.readUInt32BE(4) !== 0) return `GOAWAY ${payload.readUInt32BE(4)}`;
      }
      return this.closed ? 'closed' : undefined;
    };
    await this.#signal.until(() => how() !== undefined, () => `the end of stream ${stream}; ${this.#shown}`);
    return how() ?? '';
  }

  /** Resolves with the codes of all GOAWAY frames once the connection is closed. */
  async over(): Promise<number[]> {
    await this.#signal.until(() => this.closed, () => `the connection to close; ${this.#shown}`);
    return this.frames.filter(({ type }) => type === GOAWAY).map(({ payload }) => payload.readUInt32BE(4));
  }

  /** Resolves with the code of the GOAWAY that ends the connection by an error; 0 if it is closed without one. */
  async failure(): Promise<number> {
    const code = (): number | undefined => this.frames.filter(({ type }) => type === GOAWAY)
      .map(({ payload }) => payload.readUInt32BE(4)).find((one) => one !== 0);
    const done = (): boolean => code() !== undefined || this.closed;
    await this.#signal.until(done, () => `a GOAWAY with an error; ${this.#shown}`);
    return code() ?? 0;
  }

  /** Resolves when a PING that is sent now is answered: everything before it was read. */
  async ping(): Promise<void> {
    const count = this.frames.length;
    this.send(frame(PING, 0, 0, 'pingpong'));
    const answered = (): boolean => this.frames.slice(count).some(({ type, flags }) => type === PING && flags === ACK);
    await this.#signal.until(() => answered() || this.closed, () => `the answer to a PING; ${this.#shown}`);
  }

  get #shown(): string {
    return `got [${this.frames.slice(-20).map(({ type, flags, stream }) => `${type}/${flags}@${stream}`).join(', ')}]`
      + `, ${this.closed ? 'closed' : 'open'}`;
  }

  #read(bytes: Buffer): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 9) {
      const length = this.#held.readUIntBE(0, 3);
      if (this.#held.length < 9 + length) return;
      const type = this.#held[3] ?? 0;
      const flags = this.#held[4] ?? 0;
      const stream = this.#held.readUInt32BE(5) & 0x7f_ff_ff_ff;
      this.frames.push({ type, flags, stream, payload: Buffer.from(this.#held.subarray(9, 9 + length)) });
      this.#held = this.#held.subarray(9 + length);
      if (type === SETTINGS && flags === 0 && !this.#acknowledged) {
        this.#acknowledged = true;
        this.send(frame(SETTINGS, ACK, 0));
      }
    }
  }
}

/** The status of a header block that begins with it. */
function statusOf(payload: Buffer): number {
  let at = 0;
  // An update of the size of the dynamic table may come first (RFC 7541 §6.3).
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at++;
  const first = payload[at] ?? 0;
  const known = [200, 204, 206, 304, 400, 404, 500][(first & 0x7f) - 8];
  if ((first & 0x80) !== 0) return known ?? NaN;
  // A literal with the name of entry 8. Its digits are compressed (RFC 7541, appendix B), unless the server does not.
  const size = payload[at + 1] ?? 0;
  const value = payload.subarray(at + 2, at + 2 + (size & 0x7f));
  if ((size & 0x80) === 0) return Number(value.toString());
  const bits = [...value].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  let digits = '';
  for (let bit = 0; digits.length < 3 && bit < bits.length;) {
    const short = Number.parseInt(bits.slice(bit, bit + 5), 2);
    // 0, 1 and 2 have five bits, the others six.
    const isShort = short <= 2;
    digits += String(isShort ? short : Number.parseInt(bits.slice(bit, bit + 6), 2) - 0x16);
    bit += isShort ? 5 : 6;
  }
  return Number(digits);
}

/** Connects and sends the preface and SETTINGS. It is closed with the test. */
export async function connectFrames(
  t: TestContext, port: number, ...values: readonly (readonly [id: number, value: number])[]
): Promise<FrameClient> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const client = new FrameClient(socket);
  atEnd(t, () => {
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  client.send(PREFACE, settings(...values));
  await client.frame(SETTINGS);
  return client;
}
