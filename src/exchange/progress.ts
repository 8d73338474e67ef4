/**
 * How far an exchange has come, and which side keeps the other waiting.
 */
import type { Ending } from '../errors.ts';
import { NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request.ts';

export class Progress {
  phase: Phase = IDLE;
  requestDone = true;
  responseDone = false;
  /** Whether the front was asked for the request body, by this attempt or an earlier one. */
  bodyAsked = false;
  /** Whether an upstream asked for the body with a 100 (Continue). */
  continued = false;
  /** Whether the final response came in place of the 100 that would have asked for the body: we don't wait for it. */
  bodyless = false;
  /** The upstream takes no more of the request for now. */
  uploadBlocked = false;
  /** The downstream takes no more of the response for now. */
  downloadBlocked = false;
  readonly #head: RequestHead;

  /** `head` is the head of each request in turn. */
  constructor(head: RequestHead) {
    this.#head = head;
  }

  /** Starts with the request in the head. */
  start(): void {
    this.requestDone = this.#head.framing === NONE;
    this.responseDone = this.bodyAsked = this.continued = this.bodyless = false;
    this.uploadBlocked = this.downloadBlocked = false;
  }

  /** Whether the downstream still waits to be asked for its body. */
  get unasked(): boolean {
    return this.#head.expectContinue && !this.continued && !this.requestDone;
  }

  /** Whether both bodies are complete, as far as we wait for them. */
  get complete(): boolean {
    return this.responseDone && (this.requestDone || this.bodyless);
  }

  /** Whether some of the final response may have gone downstream. */
  get responding(): boolean {
    return this.phase === RELAYING || this.phase === TUNNEL;
  }

  /** Whether the request body has nowhere to go yet. */
  get unconnected(): boolean {
    return this.phase >= PREPARING && this.phase <= CONNECTING;
  }

  /** Whether a hook is under way. */
  get hooking(): boolean {
    return this.phase === PREPARING || this.phase === REVISING || this.phase === FAILING;
  }

  /**
   * Whether the downstream is the side that keeps a body waiting. Once the response has begun, an upload beside it may
   * be one half of a conversation, which has its pauses.
   */
  get awaitsDownstream(): boolean {
    if (this.downloadBlocked) return this.phase === RELAYING;
    const uploading = !this.requestDone && !this.uploadBlocked && !this.unasked;
    return uploading && (this.phase === WAITING || (this.phase === RELAYING && this.responseDone));
  }

  /** The stage of the attempt, whose response has the status `status` if there is one. */
  stage(status: number | undefined): Ending['stage'] {
    if (this.phase === CONNECTING) return 'connect';
    return status === undefined ? 'head' : 'body';
  }
}

/** In the order in which an exchange passes through them; but for FAILING it may skip some. */
export type Phase =
  | typeof IDLE | typeof PREPARING | typeof QUEUED | typeof CONNECTING | typeof WAITING | typeof REVISING
  | typeof FAILING | typeof RELAYING | typeof TUNNEL;
export const IDLE = 0;
/** `onRequest` is under way. */
export const PREPARING = 1;
/** All upstreams are at their limits. */
export const QUEUED = 2;
export const CONNECTING = 3;
/** The request is being sent, or was sent; there is no final response head yet. */
export const WAITING = 4;
/** `onResponse` is under way. */
export const REVISING = 5;
/** `onError` is under way: there is no attempt, and none follows. */
export const FAILING = 6;
export const RELAYING = 7;
export const TUNNEL = 8;
