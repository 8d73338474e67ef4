/**
 * An upgrade as HTTP/2 asks for it: by an extended CONNECT (RFC 8441). Upstreams get it as HTTP/1.1 would ask, so the
 * key of a WebSocket handshake (RFC 6455 §4.1), which HTTP/2 has none of, is made up and its answer checked here.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { valueIn } from '../http1/fields.ts';
import type { ResponseHead } from '../http1/response.ts';

export class ConnectHandshake {
  /** The field lines that ask an upstream for the upgrade. */
  readonly lines: string;
  /** What the upstream must answer; undefined if the protocol has no keys. */
  readonly #accept: string | undefined;

  private constructor(protocol: string) {
    this.lines = `Connection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
    if (protocol !== WEBSOCKET) return;
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES))).toString('base64');
    this.lines += `Sec-WebSocket-Key: ${key}\r\n`;
    this.#accept = createHash('sha1').update(key + GUID).digest('base64');
  }

  /**
   * The handshake that an extended CONNECT asks for. Undefined unless it is for WebSocket, or for one of the protocols
   * that the embedder `named`, in lower case.
   */
  static of(request: IncomingMessage, named: ReadonlySet<string>): ConnectHandshake | undefined {
    const { ':protocol': asked } = request.headers as { readonly ':protocol'?: string };
    const protocol = asked?.toLowerCase();
    if (request.method !== 'CONNECT' || protocol === undefined) return undefined;
    return protocol === WEBSOCKET || named.has(protocol) ? new ConnectHandshake(protocol) : undefined;
  }

  /** Whether a 101 is the answer to this handshake. */
  accepts({ fields }: ResponseHead): boolean {
    return this.#accept === undefined || valueIn(fields, 'sec-websocket-accept') === this.#accept;
  }
}

/** Whether this header belongs to the handshake over HTTP/1.1 alone: it passes neither from HTTP/2 nor to it. */
export function isKeyField(name: string): boolean {
  return name === 'sec-websocket-key' || name === 'sec-websocket-accept';
}

const WEBSOCKET = 'websocket';
const KEY_BYTES = 16;
/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
