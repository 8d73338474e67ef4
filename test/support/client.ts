/**
 * A downstream that sends raw bytes and reads what comes back.
 */
import net, { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { type Body, Head, Inbox, NO_BODY, readBody } from './message.ts';
import { atEnd } from './scope.ts';

/** A whole response. */
export interface Response extends Body {
  readonly status: number;
  readonly head: Head;
  /** The body as latin1 text. */
  readonly text: string;
  /** The interim responses before it. */
  readonly interims: readonly Head[];
}

export class Client {
  readonly inbox: Inbox;
  readonly socket: Duplex;

  constructor(socket: Duplex) {
    this.socket = socket;
    this.inbox = new Inbox(socket);
  }

  /** Sends bytes; text as latin1. */
  send(bytes: string | Buffer): this {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1');
    else this.socket.write(bytes);
    return this;
  }

  /** Sends a request and reads the whole response. */
  exchange(request: string | Buffer): Promise<Response> {
    return this.send(request).response(String(request).startsWith('HEAD ') ? 'HEAD' : 'GET');
  }

  /** Reads one head, interim or final. */
  async head(): Promise<Head> {
    return new Head(await this.inbox.until('\r\n\r\n'));
  }

  /** Reads one whole response. Fails with `Broken` if the connection ends in the middle of it. */
  async response(method = 'GET'): Promise<Response> {
    const interims: Head[] = [];
    for (;;) {
      const head = await this.head();
      const status = Number(head.line.split(' ')[1]);
      if (status < 200 && status !== 101) {
        interims.push(head);
        continue;
      }
      const bodiless = method === 'HEAD' || status === 101 || status === 204 || status === 304;
      const body = bodiless ? NO_BODY : await readBody(this.inbox, head, true);
      return { ...body, status, head, interims, text: body.bytes.toString('latin1') };
    }
  }

  /** Discards everything that arrives until the connection is over: `end` for an orderly close, `reset` for a reset. */
  over(): Promise<'end' | 'reset'> {
    return this.inbox.over();
  }

  /** Closes its sending side. */
  end(): void {
    this.socket.end();
  }

  /** Closes at once. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Resets the connection. */
  reset(): void {
    if (this.socket instanceof Socket) this.socket.resetAndDestroy();
    else this.socket.destroy(new Error('reset'));
  }
}

/** Connects to a port of this machine, or a Unix socket. The connection ends with the test. */
export async function connectTo(t: TestContext, where: number | string): Promise<Client> {
  const address = typeof where === 'number' ? { host: '127.0.0.1', port: where } : { path: where };
  const socket = net.connect({ ...address, allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  return adopt(t, socket);
}

/** Makes a client from a stream that is already connected. */
export function adopt(t: TestContext, socket: Duplex): Client {
  atEnd(t, () => {
    socket.destroy();
  });
  return new Client(socket);
}

/** A request head in HTTP/1.1 with a Host. `fields` are whole lines. */
export function get(target = '/', fields = '', method = 'GET'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: example.test\r\n${fields}\r\n`;
}

/** A request with a body of known length. */
export function post(target: string, body: string | Buffer, fields = '', method = 'POST'): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  const head = get(target, `Content-Length: ${bytes.length}\r\n${fields}`, method);
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}
