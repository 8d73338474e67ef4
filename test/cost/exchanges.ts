/**
 * A fixed run of exchanges: on one connection, one after the other, with the same octets. Its cost does not depend on
 * how fast it runs.
 */
import net, { type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { atEnd } from '../support/scope.ts';

const REQUEST = 'GET /some/path?query=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: cost\r\nAccept: */*\r\n'
  + 'Accept-Encoding: gzip, br\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\n\r\n';
const BODY = 'x'.repeat(100);
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n'
  + `Cache-Control: public, max-age=60\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

/** Starts an upstream that gives each request the same answer. Returns its origin. */
export async function startUpstream(t: TestContext): Promise<string> {
  const sockets = new Set<Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    let got = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      got += text;
      if (!got.endsWith('\r\n\r\n')) return;
      got = '';
      socket.write(ANSWER);
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  atEnd(t, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A downstream connection. */
export class Client {
  readonly #socket: Socket;
  #got = '';
  #answered: () => void = () => undefined;
  #failed: (error: Error) => void = () => undefined;

  constructor(t: TestContext, port: number) {
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
    this.#socket.on('data', (text: string) => {
      this.#got += text;
      if (!this.#got.endsWith(BODY)) return;
      const got = this.#got;
      this.#got = '';
      if (got.startsWith('HTTP/1.1 200 OK\r\n')) this.#answered();
      else this.#failed(new Error(`answered with ${got}`));
    });
    this.#socket.on('error', (error) => {
      this.#failed(error);
    });
    this.#socket.on('close', () => {
      this.#failed(new Error(`the connection closed after: ${this.#got}`));
    });
    atEnd(t, () => this.#socket.destroy());
  }

  /** Sends `count` requests, each after the previous answer. */
  async exchange(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await new Promise<void>((resolve, reject) => {
        this.#answered = resolve;
        this.#failed = reject;
        this.#socket.write(REQUEST);
      });
    }
  }
}
