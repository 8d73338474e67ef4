/**
 * Requests as the balancer forwards them: the whole data path, from the bytes of a downstream to what an upstream
 * decodes, without a network.
 */
import { STATUS_CODES } from 'node:http';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { type DecodedMessage, type DecodedResponse, decodeResponse, RequestDecoder } from '../support/wire-decoder.ts';
import { doorOf, type Front, TUNNELLED } from './front.ts';
import { Line, turned } from './line.ts';

/** A request as it came to the upstream. */
export interface Arrived {
  readonly message: DecodedMessage;
  /** Whether it was complete, or only partial when there was nothing more to read. */
  readonly whole: boolean;
  /** The upstream's mark on its response; -1 if it gave none. */
  readonly mark: number;
}

/** A response that the downstream got. Interim ones are not counted. */
export interface Answer {
  readonly status: number;
  /**
   * Its source: the upstream, the balancer as the last hop (see {@link endsHere}) or with a refusal, or node:http by
   * itself before the balancer was called. `parser` is the bare status that node:http sends ahead of responses that
   * are due when its parser stops.
   */
  readonly by: 'upstream' | 'last hop' | 'refusal' | 'node:http' | 'parser';
  /** Of the upstream: the mark on it. */
  readonly mark: number;
  /** Of the last hop: whether it says that it closes the connection. */
  readonly closes: boolean;
}

/** The result of the bytes of one downstream. */
export interface Forwarded {
  /** The requests that came to the upstream, in the order in which they were sent to it. */
  readonly arrived: readonly Arrived[];
  /** The complete ones. */
  readonly messages: readonly DecodedMessage[];
  /** The partial one. */
  readonly partial: DecodedMessage | undefined;
  readonly answers: readonly Answer[];
  /** The status that refused the rest, if any. */
  readonly refused: number | undefined;
  /** What the downstream got when it had ended its side. */
  readonly atEnd: string;
  /** How the balancer ended the connection, before the downstream did. */
  readonly ended: Line['ended'];
  /** What must never happen, whatever came. */
  readonly faults: readonly string[];
}

/** How the bytes come. */
export interface Delivery {
  readonly pieces: readonly string[];
  /** Whether the upstream answers between two pieces, or only when all have come: then requests wait in line. */
  readonly eager: boolean;
}

/** Changes what the downstream gets: the change must be noticed. */
export type Tamper = (written: string) => string;

interface Peer {
  readonly line: Line;
  readonly decoder: RequestDecoder;
  connected: boolean;
  /** The complete requests on it in this case. */
  readonly arrived: Arrived[];
}

export class RequestsOurs {
  readonly #balancer: Balancer;
  readonly #front: Front;
  readonly #open: (line: Line) => void;
  readonly #tamper: Tamper | undefined;
  readonly #time = new VirtualTime();
  /** The upstream's connections. One stays for the next case, if it was left clean. */
  #peers: Peer[] = [];
  #marks = 0;
  #faults: string[] = [];

  constructor(front: Front = 'socket', tamper?: Tamper) {
    this.#front = front;
    this.#tamper = tamper;
    this.#balancer = createBalancer({
      upstreams: [UPSTREAM],
      connect: () => this.#connect(),
      time: this.#time,
      upgradeProtocols: TUNNELLED,
      // A node:http server hands over requests while an earlier one is still unanswered. With a new connection for
      // each, the order of connections is that of the requests.
      ...(front === 'socket' ? {} : { maxIdlePerUpstream: 0 }),
      onReport: ({ error }) => {
        if (error.source === 'internal') this.#faults.push(`reported ${error.code}`);
      },
    });
    this.#open = doorOf(front, this.#balancer);
  }

  async run({ pieces, eager }: Delivery): Promise<Forwarded> {
    for (const { arrived } of this.#peers) arrived.length = 0;
    this.#marks = 0;
    this.#faults = [];
    const downstream = new Line();
    this.#open(downstream);
    await turned();
    for (const piece of pieces) {
      downstream.bring(piece);
      if (eager) await this.#serve();
    }
    await this.#serve();
    await turned();
    const arrived = this.#arrived();
    const { ended, written } = downstream;
    const before = this.#marks;
    downstream.finish();
    await turned();
    await this.#serve();
    if (this.#marks > before) this.#faults.push('a request became whole by the end of the connection');
    const atEnd = downstream.written.slice(written.length);
    const answers = this.#answers(this.#tamper === undefined ? written : this.#tamper(written), arrived);
    const refused = answers.find(({ by, status }) => refuses(by, status))?.status;
    if (refused !== undefined && ended === 'open') this.#faults.push(`open after a refusal with ${refused}`);
    downstream.destroy();
    await turned();
    if (this.#front === 'node:http') {
      // node:http does not notify a response that waits behind another one when its socket closes.
      this.#time.advance(1_000);
      await turned();
    }
    this.#clean();
    return {
      arrived,
      messages: arrived.filter(({ whole }) => whole).map(({ message }) => message),
      partial: arrived.find(({ whole }) => !whole)?.message,
      answers, refused, atEnd, ended, faults: this.#faults,
    };
  }

  close(): Promise<unknown> {
    const closed = this.#balancer.close({ timeoutMs: 0 });
    this.#time.advance(1);
    return closed;
  }

  #connect(): Line {
    const line = new Line();
    this.#peers.push({ line, decoder: new RequestDecoder(), connected: false, arrived: [] });
    return line;
  }

  /** Lets the upstream read and answer until it has nothing left to do. */
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

  #read({ line, decoder, arrived }: Peer): void {
    decoder.add(line.written);
    line.written = '';
    try {
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        const mark = this.#marks++;
        arrived.push({ message, whole: true, mark });
        const head = `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Mark: ${mark}\r\n\r\n`;
        line.bring(message.method === 'HEAD' ? head : `${head}ok`);
      }
    } catch (fault) {
      this.#faults.push(`the upstream cannot decode ${fault instanceof Error ? fault.message : String(fault)}`);
      line.destroy();
    }
    const { partial } = decoder;
    if (partial?.body === '' && partial.fields.has('expect')) line.bring('HTTP/1.1 100 Continue\r\n\r\n');
  }

  /** Everything that came. A refused body came on a connection that was destroyed for it. */
  #arrived(): Arrived[] {
    const all: Arrived[] = [];
    for (const { arrived, decoder } of this.#peers) {
      all.push(...arrived);
      if (decoder.partial === undefined) continue;
      all.push({ message: decoder.partial, whole: false, mark: -1 });
    }
    return all;
  }

  /** What the downstream was answered. */
  #answers(written: string, arrived: readonly Arrived[]): Answer[] {
    const answers: Answer[] = [];
    try {
      let served = 0;
      for (let at = 0; at < written.length;) {
        if (answers.some(({ by, status }) => refuses(by, status))) throw new Error('a response behind a refusal');
        const bare = this.#front === 'node:http' ? bareStatus(written, at) : undefined;
        if (bare !== undefined) {
          answers.push({ status: bare, by: 'parser', mark: -1, closes: false });
          break;
        }
        const { response, by } = this.#answer(written, at, arrived[served]?.message.method ?? 'GET');
        at = response.next;
        if (response.status < 200) continue;
        if (by === 'upstream') served++;
        const { status, fields } = response;
        const closes = by === 'last hop' && fields.get('connection')?.[0] === 'close';
        answers.push({ status, by, mark: Number(fields.get('x-mark')?.[0] ?? -1), closes });
      }
    } catch (fault) {
      this.#faults.push(`the downstream got ${fault instanceof Error ? fault.message : String(fault)}`);
    }
    for (const { status, by } of answers) {
      if (by === 'upstream' && status !== 200) this.#faults.push(`answered ${status}, not as the upstream did`);
      if (by === 'refusal' && (status < 400 || status === 502)) this.#faults.push(`refused with ${status}`);
    }
    return answers;
  }

  /** The response at `at`; `method` is that of the next request which the upstream has answered. */
  #answer(written: string, at: number, method: string): { response: DecodedResponse; by: Answer['by'] } {
    let response = decodeResponse(written, at, method, true);
    let by: Answer['by'] = 'upstream';
    if (response !== undefined && response.status >= 200 && !response.fields.has('x-mark')) {
      by = response.fields.has('proxy-status') ? 'refusal' : 'last hop';
      if (by === 'last hop' && this.#front === 'node:http' && NODE_REFUSES.has(response.status)) by = 'node:http';
      if (endsHere(response)) by = 'last hop';
      // An unseen request may have been a HEAD, but not one that the last hop answers.
      response = decodeResponse(written, at, 'GET', true);
      const bodiless = response?.whole !== true || !isFramed(response);
      if (by !== 'last hop' && bodiless) response = decodeResponse(written, at, 'HEAD', true);
    }
    if (response?.whole !== true) throw new Error('a response that is not whole');
    return { response, by };
  }

  /** A case may leave only a connection with nothing on it to the next. */
  #clean(): void {
    this.#peers = this.#peers.filter(({ line }) => !line.destroyed);
    for (const { line, decoder } of this.#peers) {
      if (decoder.idle && line.written === '') continue;
      this.#faults.push('a connection was kept with part of a request on it');
      line.destroy();
    }
    const kept = this.#peers.length;
    if (kept > (this.#front === 'socket' ? 1 : 0)) this.#faults.push(`${kept} upstream connections kept`);
  }
}

/** Whether nothing may follow this answer. node:http goes on after its own 417. */
function refuses(by: Answer['by'], status: number): boolean {
  return by === 'refusal' || by === 'parser' || (by === 'node:http' && status !== 417);
}

/**
 * Whether it is the balancer's answer to OPTIONS and TRACE that must go no further, or whose Max-Forwards is
 * malformed (RFC 9110 §7.6.2): the one refusal of ours that keeps the connection.
 */
function endsHere({ status, fields }: DecodedResponse): boolean {
  return status === 200 || (status === 400 && fields.get('connection')?.[0] !== 'close');
}

function isFramed({ fields }: DecodedResponse): boolean {
  return fields.has('content-length') || fields.has('transfer-encoding');
}

/** What node:http writes to the socket, before anything else, when its parser stops. */
export function bare(status: number): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n\r\n`;
}

/** The status of the bare answer that starts at `at` and is all that is left, if that is what node:http sent. */
function bareStatus(written: string, at: number): number | undefined {
  return BARE.get(written.slice(at));
}

/** What node:http answers itself: a request without a Host, and an unknown expectation. */
const NODE_REFUSES: ReadonlySet<number> = new Set([400, 417]);
const BARE: ReadonlyMap<string, number> = new Map([400, 413, 431].map((status) => [bare(status), status]));

/** What the balancer sends to. HTTP/1.0 requests without a Host get its authority. */
export const UPSTREAM = 'http://upstream.example:8080';
