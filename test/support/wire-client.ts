/**
 * Runs one case of the corpus on a raw connection, and records the result on both sides.
 */
import net, { type Socket } from 'node:net';
import { turns, within } from './wait.ts';
import type { WireCase } from './wire-corpus.ts';
import type { RecordedMessage } from './wire-decoder.ts';
import type { RecordingUpstream } from './wire-upstream.ts';

/** A final response, as far as its case is concerned. */
export interface WireResponse {
  readonly status: number;
  /** Its status line and fields. */
  readonly head: string;
}

export interface WireExchange {
  readonly responses: readonly WireResponse[];
  /** Bytes from which no response could be read. */
  readonly broken: string | undefined;
  /** The status of one more plain request on the same connection, sent once all were answered; if that was answered. */
  readonly next: number | undefined;
  /** Whether the balancer closed the connection. */
  readonly closed: boolean;
  /** What the upstream decoded of the case, and what it could not. */
  readonly decoded: readonly RecordedMessage[];
  readonly faults: readonly string[];
}

/**
 * Sends the bytes of a case to the balancer at `port`, in one piece or in `pieces`, and waits until they can have no
 * further effect.
 */
export async function exchange(
  wire: WireCase, port: number, upstream: RecordingUpstream, pieces: readonly string[] = [wire.raw],
): Promise<WireExchange> {
  upstream.take();
  const wanted = wire.messages.length;
  const connection = new Connection(port, wire);
  try {
    for (const piece of pieces) await connection.send(piece);
    // A case that must be rejected gets one answer more than it has messages, or the connection closes.
    const answers = wire.expect === 'reject' ? wanted + 1 : wanted;
    await connection.until(({ responses }) => responses.length >= answers);
    const closing = connection.read().responses.some(({ head }) => /^connection: *close\r?$/im.test(head));
    // What is still on its way comes before the answer to this, or before the end of the connection.
    if (!closing && !connection.closed) await connection.send(`GET ${NEXT} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    await connection.until(({ responses }) => !closing && responses.length > answers);
    await passedThrough(port, wire);
    const { decoded, faults } = upstream.take();
    const { responses, broken } = connection.read();
    return {
      responses: responses.slice(0, answers),
      broken,
      next: responses[answers]?.status,
      closed: connection.closed,
      decoded: decoded.filter(({ target }) => target !== NEXT && target !== LAST),
      faults,
    };
  } finally {
    connection.destroy();
  }
}

/** The targets of requests that do not belong to a case. */
const NEXT = '/next-on-the-same-connection';
const LAST = '/last-on-a-new-connection';

/** Resolves when a request has gone to the upstream and back, so everything sent before it has arrived. */
async function passedThrough(port: number, wire: WireCase): Promise<void> {
  const connection = new Connection(port, { ...wire, messages: [] });
  try {
    await connection.send(`GET ${LAST} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    await connection.until(({ responses }) => responses.length > 0);
    const status = connection.read().responses[0]?.status;
    if (status !== 200) throw new Error(`the balancer answered ${String(status)} after ${wire.id}`);
  } finally {
    connection.destroy();
  }
}

interface Responses {
  readonly responses: readonly WireResponse[];
  readonly broken: string | undefined;
}

class Connection {
  closed = false;
  readonly #socket: Socket;
  readonly #wire: WireCase;
  #text = '';
  #wake: (() => void) | undefined;

  constructor(port: number, wire: WireCase) {
    this.#wire = wire;
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => {
      this.#text += text;
      this.#wake?.();
    });
    this.#socket.on('error', () => {
      // 'close' follows.
    });
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  /** Resolves when the bytes are sent, or cannot be: the connection may close before all of a case is read. */
  async send(text: string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#socket.write(text, 'latin1', () => {
        resolve();
      });
    });
    // The next bytes should arrive in a separate read, if the balancer is quick.
    await turns(1);
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  /** Resolves when `seen` holds for what has arrived, when that is not HTTP, or when the connection is closed. */
  async until(seen: (responses: Responses) => boolean): Promise<void> {
    const { group, id } = this.#wire;
    for (;;) {
      const responses = this.read();
      if (this.closed || responses.broken !== undefined || seen(responses)) return;
      const changed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await within(changed, () => `an end of ${group}/${id}, which got ${JSON.stringify(this.#text.slice(0, 500))}`);
    }
  }

  /** The final responses that have arrived completely. */
  read(): Responses {
    const text = this.#text;
    const responses: WireResponse[] = [];
    for (let at = 0; at < text.length;) {
      const end = text.indexOf('\r\n\r\n', at);
      if (end < 0) break;
      const head = text.slice(at, end);
      const status = Number(/^HTTP\/1\.1 ([1-9]\d\d) /.exec(head)?.[1] ?? NaN);
      if (Number.isNaN(status)) return { responses, broken: head.slice(0, 200) };
      at = end + 4;
      if (status < 200) continue;
      if (this.#wire.messages[responses.length]?.method !== 'HEAD') {
        const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
        if (length !== undefined) at += Number(length);
        else if (/^transfer-encoding: *chunked\r?$/im.test(head)) at = endOfChunks(text, at);
        // It lasts until the connection ends, like Node's own answers.
        else at = this.closed ? text.length : Infinity;
      }
      if (at > text.length) break;
      responses.push({ status, head });
    }
    return { responses, broken: undefined };
  }
}

/** Where chunks without trailers end; beyond the text if more must arrive. */
function endOfChunks(text: string, start: number): number {
  for (let at = start; ;) {
    const end = text.indexOf('\r\n', at);
    if (end < 0) return Infinity;
    const size = parseInt(text.slice(at, end), 16);
    at = end + 2 + size + 2;
    if (size === 0) return at;
  }
}
