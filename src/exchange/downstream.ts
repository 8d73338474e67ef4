/**
 * What an exchange needs of the client's side. Two fronts give it: a socket, and a node:http request.
 */
import type { Hop } from '../http1/forwarding.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { DownstreamSocket } from './affinity.ts';

/** The client's side of one exchange. Nothing is sent before {@link Downstream.flush}. */
export interface Downstream {
  /** Who is on the other end. */
  readonly hop: Hop;
  /**
   * Its connection, to which an upstream connection may belong: one exchange after the other comes over it. Undefined
   * where many share it (HTTP/2).
   */
  readonly socket: DownstreamSocket | undefined;
  /** What `handle` was given as `state`, for hooks. */
  readonly state?: unknown;
  /** The whole request body, where `handle` was given it: it stays, so it can be sent again whatever its size. */
  readonly wholeBody?: Buffer | undefined;
  /** The request body is wanted: from now on it comes by the exchange's `requestData` and `requestEnd`. */
  readBody(): void;
  /** The request body may flow again, after `flushRequest` returned false. */
  resumeBody(): void;
  /** Sends an interim response (1xx, but for 101). */
  interim(head: ResponseHead): void;
  /** Starts the response. `keepAlive` is false where the connection cannot serve another request after it. */
  respond(head: ResponseHead, keepAlive: boolean): void;
  /** Answers 101; both bodies are raw from now on, each until its side closes. */
  tunnel(head: ResponseHead): void;
  /**
   * Response data. The buffer is the caller's again when `flush` has returned true, or `drained` was called. `text` is
   * the same as latin1 where that is at hand, else `''`.
   */
  data(bytes: Buffer, from: number, to: number, text: string): void;
  /** The response is complete. */
  end(trailers: string): void;
  /** Sends what has gathered. If it returns false, the exchange's `drained` will be called. */
  flush(): boolean;
  /** Breaks the response off, so that the client can tell: the only honest failure after its first byte. */
  cut(): void;
  /** The exchange is over: its response is sent, or was cut. */
  settled(): void;
}

/** The downstream of an exchange that serves no request: nothing is ever sent there. */
export const NOWHERE: Downstream = {
  hop: { address: '', proto: 'http', trusted: false },
  socket: undefined,
  readBody: ignore,
  resumeBody: ignore,
  interim: ignore,
  respond: ignore,
  tunnel: ignore,
  data: ignore,
  end: ignore,
  flush: () => true,
  cut: ignore,
  settled: ignore,
};

function ignore(): void {
  // There is no downstream.
}
