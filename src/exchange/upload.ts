/**
 * The request on its way upstream: its head, sent anew by each attempt, and its body, as fast as the upstream takes it.
 * What comes of the body before there is a connection waits here, and what another attempt may need is kept.
 *
 * A hook may take the body instead (a detour), and the copies of the request get it piece by piece.
 */
import type { ErrorCode } from '../errors.ts';
import { NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';
import type { UpstreamConnection } from '../upstreams/connection.ts';
import type { Attempt } from './attempt.ts';
import type { Deadlines } from './deadlines.ts';
import type { Downstream } from './downstream.ts';
import type { Copies } from './hooks/copies.ts';
import type { Detour } from './hooks/detour.ts';
import { CONNECTING, FAILING, type Progress, TUNNEL, WAITING } from './progress.ts';
import { Replay } from './replay.ts';
import type { ExchangeServices } from './services.ts';

/** The exchange whose request it is. */
export interface Uploading {
  readonly head: RequestHead;
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly attempt: Attempt;
  readonly downstream: Downstream;
  /** The lines to send that tell of earlier hops. */
  readonly forwarding: string;
  /** What its hooks make of the body; undefined without hooks. */
  readonly hooking: {
    /** Where the body goes if a hook transforms or reads it. */
    readonly requestDetour: Detour | undefined;
    readonly copies: Copies | undefined;
  } | undefined;
  refuse(code: ErrorCode): void;
  finish(): void;
}

/** The upload of one exchange at a time. It is used again for the next one. */
export class Upload {
  /** Octets of request body so far. */
  received = 0;
  /** What has come of the body, as far as it may have to be sent again. */
  readonly replay = new Replay();
  readonly #services: ExchangeServices;
  readonly #exchange: Uploading;
  #trailers = '';

  constructor(services: ExchangeServices, exchange: Uploading) {
    this.#services = services;
    this.#exchange = exchange;
  }

  // --- what the front tells

  /** Request data, once the front was asked to read the body. */
  data(bytes: Buffer, from: number, to: number): void {
    const { progress, deadlines, hooking } = this.#exchange;
    // While the hook for a failure is under way, or its answer is sent, the rest of the request is dropped.
    if (progress.requestDone || progress.phase === FAILING) return;
    this.received += to - from;
    deadlines.bytes(to - from);
    if (this.received > this.#services.rules.maxBodyBytes && progress.phase !== TUNNEL) {
      this.#exchange.refuse('REQUEST_BODY_TOO_LARGE');
      return;
    }
    const detour = hooking?.requestDetour;
    if (detour === undefined) this.forward(bytes, from, to);
    else {
      progress.uploadBlocked = !detour.write(bytes, from, to);
      deadlines.moved();
    }
  }

  /** The request body is complete. In a tunnel: the downstream has ended its side. */
  end(trailers: string): void {
    const detour = this.#exchange.hooking?.requestDetour;
    if (detour === undefined) this.forwardEnd(trailers);
    else detour.end(trailers);
  }

  /** Sends what the front has handed over. Returns false to hold the body until the downstream's `resumeBody`. */
  flush(): boolean {
    const { progress, attempt, hooking } = this.#exchange;
    if (hooking?.requestDetour !== undefined) return !progress.uploadBlocked;
    // A body that was asked for must not pile up while another attempt connects, or waits to.
    if (progress.unconnected) return !progress.bodyAsked;
    const { connection } = attempt;
    if (connection?.ready !== true) return true;
    progress.uploadBlocked = !connection.writer.flush(this.#services.turn);
    return !progress.uploadBlocked;
  }

  // --- on to the upstream

  /** Sends the head on the connection of the attempt, and what has come of the body; then has more of it come. */
  send(): void {
    const { head, progress, deadlines, attempt, downstream, hooking } = this.#exchange;
    const { connection } = attempt;
    if (connection === undefined) return;
    connection.writer.begin(attempt.requestHead(head, this.#exchange.forwarding), head.framing, head.contentLength);
    progress.phase = WAITING;
    deadlines.moved();
    if (head.framing === NONE) connection.writer.end('');
    else if (progress.bodyAsked) this.#sendAgain(connection);
    else {
      progress.bodyAsked = true;
      downstream.readBody();
      hooking?.requestDetour?.resume();
    }
  }

  /** Passes on request data, which may have come out of a hook's transform. */
  forward(bytes: Buffer, from: number, to: number): void {
    const { progress: { phase, unconnected }, deadlines, attempt, hooking } = this.#exchange;
    hooking?.copies?.data(bytes, from, to);
    if (unconnected) {
      this.replay.hold(bytes, from, to);
      return;
    }
    if (phase === WAITING) this.replay.keep(bytes, from, to);
    attempt.connection?.writer.data(bytes, from, to);
    deadlines.moved();
  }

  /** Passes on the end of the request body. */
  forwardEnd(trailers: string): void {
    const { progress, deadlines, attempt, hooking } = this.#exchange;
    progress.requestDone = true;
    this.#trailers = trailers;
    hooking?.copies?.end(trailers);
    const { connection } = attempt;
    // An attempt that is still connecting sends what has come once it can.
    if (connection === undefined || progress.phase === CONNECTING) return;
    connection.writer.end(trailers);
    if (progress.phase === TUNNEL) {
      connection.writer.flush();
      connection.end();
    }
    deadlines.moved();
    if (!progress.responseDone) return;
    // The connection becomes idle: nothing would flush it before its next request.
    connection.writer.flush();
    this.#exchange.finish();
  }

  /** The upstream connection has taken everything. */
  flushed(): void {
    const { progress, deadlines, downstream, hooking } = this.#exchange;
    deadlines.moved();
    const detour = hooking?.requestDetour;
    if (detour !== undefined) {
      detour.resume();
      return;
    }
    progress.uploadBlocked = false;
    if (progress.phase === TUNNEL && progress.requestDone && progress.responseDone) this.#exchange.finish();
    else downstream.resumeBody();
  }

  /** Sends what has come of the body already, then has the rest come. */
  #sendAgain({ writer }: UpstreamConnection): void {
    const { progress, downstream, hooking } = this.#exchange;
    this.replay.writeTo(writer);
    if (progress.requestDone) writer.end(this.#trailers);
    else if (hooking?.requestDetour !== undefined) hooking.requestDetour.resume();
    else downstream.resumeBody();
  }
}
