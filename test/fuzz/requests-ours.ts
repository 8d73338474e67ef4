/**
 * Requests as the balancer forwards them: the whole data path, from the bytes of a downstream to what an upstream
 * decodes, without a network.
 */
import type { Socket } from 'node:net';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { type DecodedMessage, type DecodedResponse, decodeResponse, RequestDecoder } from '../support/wire-decoder.ts';
import { Line, turned } from './line.ts';

/** What became of the bytes of one downstream. */
export interface Forwarded {
  /** The requests that came to the upstream whole, in order. */
  readonly messages: readonly DecodedMessage[];
  /** The one that had come to it in part when there was nothing more to read. */
  readonly partial: DecodedMessage | undefined;
  /** The status of our own answer that refused the rest, where there is one. */
  readonly refused: number | undefined;
  /** Whether the balancer closed the connection, by a refusal or because it was not to be kept. */
  readonly closed: boolean;
  /** Requests that the balancer answered itself, as the last hop, without closing: see `endsHere`. */
  readonly answered: number;
  /** What must never be, whatever came. */
  readonly faults: readonly string[];
}

/** How the bytes come. */
export interface Delivery {
  readonly pieces: readonly string[];
  /** Whether the upstream answers between two pieces, or only when all have come: then requests wait in line. */
  readonly eager: boolean;
}

interface Peer {
  readonly line: Line;
  readonly decoder: RequestDecoder;
  connected: boolean;
}

export class RequestsOurs {
  readonly #balancer: Balancer;
  readonly #time = new VirtualTime();
  /** The upstream's connections. One stays for the next case, if it was left clean. */
  #peers: Peer[] = [];
  #messages: DecodedMessage[] = [];
  #faults: string[] = [];
  #answeredHere = 0;

  constructor() {
    this.#balancer = createBalancer({
      upstreams: [UPSTREAM],
      connect: () => this.#connect(),
      time: this.#time,
      onReport: ({ error }) => {
        if (error.source === 'internal') this.#faults.push(`reported ${error.code}`);
      },
    });
  }

  async run({ pieces, eager }: Delivery): Promise<Forwarded> {
    this.#messages = [];
    this.#faults = [];
    this.#answeredHere = 0;
    const downstream = new Line();
    this.#balancer.accept(downstream as unknown as Socket);
    await turned();
    for (const piece of pieces) {
      downstream.bring(piece);
      if (eager) await this.#serve();
    }
    await this.#serve();
    await turned();
    const partial = this.#inPart();
    const messages = this.#messages;
    const before = messages.length;
    const ended = downstream.ended;
    downstream.finish();
    await turned();
    await this.#serve();
    if (messages.length > before) this.#faults.push('a request became whole by the end of the connection');
    const refused = this.#answered(downstream, ended, partial);
    downstream.destroy();
    await turned();
    this.#clean();
    const answered = this.#answeredHere;
    return { messages, partial, refused, closed: ended !== 'open', answered, faults: this.#faults };
  }

  close(): Promise<unknown> {
    const closed = this.#balancer.close({ timeoutMs: 0 });
    this.#time.advance(1);
    return closed;
  }

  #connect(): Line {
    const line = new Line();
    this.#peers.push({ line, decoder: new RequestDecoder(), connected: false });
    return line;
  }

  /** Has the upstream read and answer until it has nothing left to do. */
  async #serve(): Promise<void> {
    for (let moved = true; moved;) {
      await turned();
      moved = false;
      for (const peer of this.#peers) {
        if (!peer.connected) {
          peer.connected = moved = true;
          if (!peer.line.destroyed) peer.line.emit('connect');
        }
        if (peer.line.written === '') continue;
        moved = true;
        this.#read(peer);
      }
    }
  }

  #read({ line, decoder }: Peer): void {
    decoder.add(line.written);
    line.written = '';
    try {
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        this.#messages.push(message);
        line.bring(message.method === 'HEAD' ? ANSWER : `${ANSWER}ok`);
      }
    } catch (fault) {
      this.#faults.push(`the upstream cannot decode ${fault instanceof Error ? fault.message : String(fault)}`);
      line.destroy();
    }
    const { partial } = decoder;
    if (partial?.body === '' && partial.fields.has('expect')) line.bring('HTTP/1.1 100 Continue\r\n\r\n');
  }

  /** The request that came in part. That of a refused body is on a connection that was destroyed for it. */
  #inPart(): DecodedMessage | undefined {
    for (const { decoder } of this.#peers) if (decoder.partial !== undefined) return decoder.partial;
    return undefined;
  }

  /** Checks what the downstream was answered. Returns the status that refused, if any. */
  #answered(downstream: Line, ended: Line['ended'], partial: DecodedMessage | undefined): number | undefined {
    const statuses: number[] = [];
    let own: number | undefined;
    try {
      for (let at = 0; at < downstream.written.length;) {
        const { method } = this.#messages[statuses.length] ?? partial ?? { method: 'GET' };
        let response = decodeResponse(downstream.written, at, method, true);
        // A refused request may have been a HEAD that nobody else got to see.
        if (response?.whole === false && response.fields.has('proxy-status')) {
          response = decodeResponse(downstream.written, at, 'HEAD', true);
        }
        const here = response !== undefined && endsHere(response);
        // What the balancer answers as the last hop is never a HEAD.
        if (here) response = decodeResponse(downstream.written, at, 'OPTIONS', true);
        if (response?.whole !== true) throw new Error('a response that is not whole');
        at = response.next;
        if (response.status < 200) continue;
        if (own !== undefined) throw new Error('a response behind a refusal');
        if (here) this.#answeredHere++;
        else if (response.fields.has('proxy-status')) own = response.status;
        else statuses.push(response.status);
      }
    } catch (fault) {
      this.#faults.push(`the downstream got ${fault instanceof Error ? fault.message : String(fault)}`);
    }
    if (statuses.length !== this.#messages.length || statuses.some((status) => status !== 200)) {
      this.#faults.push(`${this.#messages.length} requests forwarded, answered ${statuses.join(' ')}`);
    }
    if (own !== undefined && (own < 400 || own === 502)) this.#faults.push(`refused with ${own}`);
    if (own !== undefined && ended === 'open') this.#faults.push(`open after a refusal with ${own}`);
    return own;
  }

  /** No case may leave anything to the next but a connection that nothing is on. */
  #clean(): void {
    this.#peers = this.#peers.filter(({ line }) => !line.destroyed);
    for (const { line, decoder } of this.#peers) {
      if (decoder.idle && line.written === '') continue;
      this.#faults.push('a connection was kept with part of a request on it');
      line.destroy();
    }
    if (this.#peers.length > 1) this.#faults.push(`${this.#peers.length} upstream connections kept`);
  }
}

/**
 * Whether it is what the balancer answers OPTIONS and TRACE with that are to go no further, or whose Max-Forwards is
 * malformed (RFC 9110 §7.6.2): the one refusal of ours that keeps the connection.
 */
function endsHere({ status, fields }: DecodedResponse): boolean {
  if (status === 200) return fields.get('content-length')?.[0] !== '2';
  return status === 400 && fields.get('connection')?.[0] !== 'close';
}

/** What the balancer sends to. HTTP/1.0 requests without a Host get its authority. */
export const UPSTREAM = 'http://upstream.example:8080';
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';
