/**
 * Responses as a client of node:http reads them.
 */
import http, { type IncomingMessage } from 'node:http';
import { Line, settle, ticked } from './line.ts';
import type { Answered } from './responses-ours.ts';

/** A response head, as Node read it. */
export interface ReadHead {
  readonly status: number;
  readonly reason: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
}

/** The response, including 101, as far as Node read it. */
export interface ReadResponse extends ReadHead {
  readonly body: string;
  readonly rawTrailers: readonly string[];
  readonly whole: boolean;
}

export interface ResponseReading {
  readonly interims: readonly ReadHead[];
  /** Once all bytes had come, and once the connection had ended as well. */
  readonly before: ReadResponse | undefined;
  readonly after: ReadResponse | undefined;
  /** Whether the connection could be reused, according to the response. */
  readonly keepAlive: boolean;
  readonly error: string | undefined;
}

export class ResponsesOracle {
  async run({ pieces, method, upgrade, reset = false }: Answered): Promise<ResponseReading> {
    const line = new Line();
    const reader = new Reader();
    const request = http.request({
      method,
      createConnection: () => line,
      headers: upgrade ? { Connection: 'Upgrade', Upgrade: 'websocket' } : { Connection: 'keep-alive' },
    });
    reader.listen(request);
    request.end(method === 'POST' ? 'body' : undefined);
    // It takes its connection on the next tick, and reads from it on the one after.
    await settle();
    for (const piece of pieces) line.bring(piece);
    await settle();
    const before = reader.read();
    const errorBefore = reader.error;
    if (reset) line.reset();
    else line.finish();
    await settle();
    const after = reader.read();
    // Our own reset is not reported.
    const error = reset ? errorBefore : reader.error;
    const { interims } = reader;
    const reading = { interims, before, after, keepAlive: request.shouldKeepAlive, error };
    line.destroy();
    await ticked();
    return reading;
  }
}

class Reader {
  readonly interims: ReadHead[] = [];
  error: string | undefined;
  #response: IncomingMessage | undefined;
  #body = '';
  #whole = false;

  listen(request: http.ClientRequest): void {
    request.on('information', ({ statusCode, statusMessage, rawHeaders }) => {
      this.interims.push({ status: statusCode, reason: statusMessage, rawHeaders });
    });
    request.on('response', (response) => {
      this.#response = response;
      // Hooks in where the parser hands over the body: no stream in between holds anything back.
      response.push = (data: Buffer | null): boolean => {
        if (data !== null) this.#body += data.toString('latin1');
        // An end that the connection brought about leaves the response incomplete.
        else if (response.complete) this.#whole = true;
        return true;
      };
    });
    request.on('upgrade', (response, socket, head) => {
      // A 101 after the response, in the same read, is reported as well.
      if (this.#response !== undefined) return;
      this.#response = response;
      this.#body = head.toString('latin1');
      socket.on('data', (data: Buffer) => {
        this.#body += data.toString('latin1');
      });
      // Nothing else reports the reset of a tunnel.
      socket.on('error', () => undefined);
      socket.on('end', () => {
        this.#whole = true;
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      this.error ??= error.code ?? error.message;
    });
  }

  read(): ReadResponse | undefined {
    if (this.#response === undefined) return undefined;
    const { statusCode = 0, statusMessage = '', rawHeaders, rawTrailers } = this.#response;
    return {
      status: statusCode, reason: statusMessage, rawHeaders, rawTrailers, body: this.#body, whole: this.#whole,
    };
  }
}
