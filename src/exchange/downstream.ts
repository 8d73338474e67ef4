/**
 * What an exchange needs from the client's side. Two fronts implement it: a socket, and a node:http request.
 */
import type { BalancerError } from '../errors.ts';
import type { Hop } from '../http1/forwarding.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { DownstreamSocket } from './downstream-socket.ts';

/** The client's side of one exchange. Nothing is sent before {@link Downstream.flush}. */
export interface Downstream {
  /** The other end. */
  readonly hop: Hop;
  /**
   * Its connection, to which an upstream connection may be bound (see `affinity.ts`). Undefined if exchanges share it
   * concurrently (HTTP/2).
   */
  readonly socket: DownstreamSocket | undefined;
  /** What knows the addresses of its connection: a socket, or undefined. */
  readonly peer: object | undefined;
  /** Whether a server of the embedder's read the request, and gave it to `handle`. */
  readonly embedded?: boolean;
  /** What `handle` was given as `state`, for hooks. */
  readonly state?: unknown;
  /** Why the request cannot be served: it is only answered. */
  readonly unfit?: BalancerError | undefined;
  /** The whole request body, where `handle` was given it: it stays, so it can be sent again whatever its size. */
  readonly wholeBody?: Buffer | undefined;
  /** Asks for the request body: pass it to the exchange's upload (`data`, `end`) from now on. */
  readBody(): void;
  /** The request body may flow again, after the upload's `flush` returned false. */
  resumeBody(): void;
  /** Sends an interim response (1xx except 101). */
  interim(head: ResponseHead): void;
  /** Starts the response. `keepAlive` is false if the connection cannot serve another request after it. */
  respond(head: ResponseHead, keepAlive: boolean): void;
  /** Answers 101; both bodies are raw from now on, each until its side closes. */
  tunnel(head: ResponseHead): void;
  /** Whether the request is a CONNECT of HTTP/2: see {@link statusFor}. */
  readonly connects?: boolean;
  /** Whether a 101 completes the handshake that the downstream made up; else the client checks that. */
  accepts?(head: ResponseHead): boolean;
  /**
   * Response data. The caller may reuse the buffer once `flush` has returned true or `drained` was called. `text` is
   * the same data as latin1 if the caller has it, else `''`.
   */
  data(bytes: Buffer, from: number, to: number, text: string): void;
  /** The response is complete. */
  end(trailers: string): void;
  /** Sends what was gathered. If it returns false, the exchange's `drained` will be called. */
  flush(): boolean;
  /** Cuts the response, so that the client notices: after its first byte, no failure can be answered otherwise. */
  cut(): void;
  /** The exchange is over: its response is sent, or was cut. */
  settled(): void;
}

/**
 * The status that a downstream gets. To a CONNECT, any 2xx says that its tunnel is open (RFC 9110 §9.3.6), so that is
 * what 101 becomes (RFC 8441 §5), and no other answer may be one: hooks and routes may answer 200.
 */
export function statusFor({ connects }: Downstream, status: number): number {
  if (connects !== true || status >= 300) return status;
  return status === 101 ? 200 : 502;
}

/** The downstream of an exchange that serves no request. */
export const NOWHERE: Downstream = {
  hop: { address: '', proto: 'http', trusted: false },
  socket: undefined,
  peer: undefined,
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
