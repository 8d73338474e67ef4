/**
 * Responses as the balancer passes them on: the whole data path, from the bytes of an upstream to what a downstream
 * decodes, without a network.
 */
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { type DecodedResponse, decodeResponse } from '../support/wire-decoder.ts';
import { doorOf, type Front } from './front.ts';
import { Line, turned } from './line.ts';

/** The request that is answered, and the bytes that answer it. */
export interface Answered {
  readonly pieces: readonly string[];
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** Of the downstream's HTTP/1. */
  readonly minor: 0 | 1;
  /** Whether the request asks to switch protocols, and whether it asks for a 100. */
  readonly upgrade: boolean;
  readonly expect: boolean;
  /** Whether the upstream ends its connection by a reset. */
  readonly reset?: boolean;
}

/** What the downstream had received at some time. */
export interface Passed {
  readonly interims: readonly DecodedResponse[];
  /** The response, including 101, as far as it came; our own refusal does not count. */
  readonly response: DecodedResponse | undefined;
  /** Whether it was refused, or cut. */
  readonly refused: boolean;
}

export interface Relayed {
  /** Once all bytes had come, and once the upstream had ended its side as well. */
  readonly before: Passed;
  readonly after: Passed;
  /** Whether the upstream's connection was kept for another request, before it ended. */
  readonly kept: boolean;
  readonly faults: readonly string[];
}

export class ResponsesOurs {
  readonly #balancer: Balancer;
  readonly #open: (line: Line) => void;
  readonly #time = new VirtualTime();
  #upstreams: Line[] = [];
  #faults: string[] = [];

  constructor(front: Front = 'socket') {
    this.#balancer = createBalancer({
      upstreams: ['http://upstream.example:8080'],
      connect: () => {
        const line = new Line();
        this.#upstreams.push(line);
        return line;
      },
      time: this.#time,
      onReport: ({ error }) => {
        if (error.source === 'internal') this.#faults.push(`reported ${error.code}`);
      },
    });
    this.#open = doorOf(front, this.#balancer);
  }

  async run(answered: Answered): Promise<Relayed> {
    this.#upstreams = [];
    this.#faults = [];
    const downstream = new Line();
    this.#open(downstream);
    await turned();
    downstream.bring(requestFor(answered));
    await turned();
    const [upstream] = this.#upstreams;
    if (upstream === undefined) throw new Error('the request was not forwarded');
    upstream.emit('connect');
    await turned();
    for (const piece of answered.pieces) upstream.bring(piece);
    await turned();
    const before = this.#passed(downstream, answered);
    const kept = !upstream.destroyed && before.response?.whole === true && before.response.status !== 101;
    if (answered.reset === true) upstream.reset();
    else upstream.finish();
    await turned();
    const after = this.#passed(downstream, answered);
    if (downstream.ended === 'open' && !after.refused && after.response?.whole !== true) {
      this.#faults.push('neither passed on nor refused, though the upstream has ended');
    }
    downstream.destroy();
    await turned();
    if (this.#upstreams.length > 1) this.#faults.push('sent twice');
    if (this.#upstreams.some(({ destroyed }) => !destroyed)) this.#faults.push('an ended connection was kept');
    for (const line of this.#upstreams) line.destroy();
    return { before, after, kept, faults: this.#faults };
  }

  close(): Promise<unknown> {
    const closed = this.#balancer.close({ timeoutMs: 0 });
    this.#time.advance(1);
    return closed;
  }

  /** What has come to the downstream, decoded. */
  #passed({ written, ended }: Line, { method, minor, upgrade }: Answered): Passed {
    const interims: DecodedResponse[] = [];
    let refused = ended === 'cut';
    try {
      for (let at = 0; ;) {
        const response = decodeResponse(written, at, method, ended === 'end');
        if (response === undefined) {
          if (at < written.length) throw new Error('part of a head');
          return { interims, response, refused };
        }
        if (response.fields.get('proxy-status')?.[0]?.startsWith('equipoise;') === true) {
          if (!response.whole) throw new Error('part of a refusal');
          refused = true;
          return { interims, response: undefined, refused };
        }
        at = response.next;
        if (response.status < 200 && response.status !== 101) {
          interims.push(response);
          continue;
        }
        if (response.status === 101) {
          if (!upgrade) throw new Error('a tunnel that it did not ask for');
          return { interims, response: tunnelled(response, written, ended), refused };
        }
        this.#check(response, written, ended, minor);
        return { interims, response, refused: refused && !response.whole };
      }
    } catch (fault) {
      this.#faults.push(`the downstream got ${fault instanceof Error ? fault.message : String(fault)}`);
      return { interims, response: undefined, refused };
    }
  }

  /** What must hold for any response, whatever the upstream sent. */
  #check(response: DecodedResponse, written: string, ended: Line['ended'], minor: number): void {
    const { fields, whole, next } = response;
    if (whole && next < written.length) throw new Error('bytes behind the response');
    if (minor === 0 && fields.has('transfer-encoding')) throw new Error('a coding that HTTP/1.0 does not know');
    const closes = fields.get('connection')?.join().toLowerCase().includes('close') === true;
    if (whole && closes !== (ended === 'end')) throw new Error(`Connection: close is ${closes}, but it is ${ended}`);
  }
}

/** The request to the balancer that these bytes answer. */
export function requestFor({ method, minor, upgrade, expect }: Answered): string {
  let head = `${method} / HTTP/1.${minor}\r\nHost: a.example\r\n`;
  if (minor === 0) head += 'Connection: keep-alive\r\n';
  if (upgrade) head += 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  if (method === 'POST') head += 'Content-Length: 4\r\n';
  if (expect) head += 'Expect: 100-continue\r\n';
  return `${head}\r\n${method === 'POST' ? 'body' : ''}`;
}

/** A 101, with everything after it as its body. */
function tunnelled(response: DecodedResponse, written: string, ended: Line['ended']): DecodedResponse {
  return { ...response, body: written.slice(response.next), next: written.length, whole: ended === 'end' };
}
