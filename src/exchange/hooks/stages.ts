/**
 * The hooks of an exchange, each at its place: runs them, keeps what arrives meanwhile, and has the exchange do what
 * they decided. An exchange of a balancer without hooks has none of this.
 */
import { BalancerError, type ErrorCode } from '../../errors.ts';
import type { AnsweredExchange } from '../../hooks.ts';
import type { ResponseHead } from '../../http1/response.ts';
import { FAILING, PREPARING, type Progress, REVISING } from '../progress.ts';
import type { RouteTaken } from '../routing.ts';
import { cancelled } from './body-pull.ts';
import type { ResponseAnswer } from './response-answer.ts';
import type { ReadDetour } from './detour.ts';
import { HeldResponse } from './held-response.ts';
import type { HookCalls, HookOutcome } from './hook-calls.ts';
import type { BodyReader } from './hooked-body.ts';
import { type Behind, HookedExchange } from './hooked-exchange.ts';
import { HookedResponse } from './hooked-response.ts';

/** What hooks can make an exchange do. */
export interface HookedStory {
  /** Goes on with the request as `onRequest` left it. */
  forward(view: HookedExchange): void;
  /** Relays the response as `onResponse` left it, then what was held of its body. */
  relayRevised(head: ResponseHead, view: HookedResponse, held: HeldResponse | undefined): void;
  /** Answers in place of an upstream. */
  answerWith(answer: ResponseAnswer): void;
  /** A hook failed. */
  hookFailed(error: BalancerError): void;
  /** Sends the balancer's own answer for `code`. */
  answerOurselves(code: ErrorCode): void;
  /** Calls hooks the way that tracers ask for; undefined where nobody traces. */
  readonly trace: { within<T>(hook: () => T): T } | undefined;
  /** A hook has failed whose failure changes nothing. */
  report(error: BalancerError): void;
  /** A hook is under way and has not settled yet. */
  awaitHook(): void;
  /** A hook begins to read the response body: see {@link BodyReader}. */
  readResponseBody(read: ReadDetour): () => void;
  /** Something of ours, or the downstream's stream, threw when a hook had settled. */
  downstreamFailed(cause: unknown): void;
}

export class HookStages implements BodyReader {
  readonly #calls: HookCalls;
  readonly #story: HookedStory;
  readonly #progress: Progress;
  #view: HookedExchange | undefined;
  /** The response that `onResponse` is asked about, and what has come of its body meanwhile. */
  #head: ResponseHead | undefined;
  #held: HeldResponse | undefined;
  /** The failure that `onError` is being asked about. */
  #failure: ErrorCode | undefined;

  constructor(calls: HookCalls, story: HookedStory, progress: Progress) {
    this.#calls = calls;
    this.#story = story;
    this.#progress = progress;
  }

  /** Starts with an exchange. */
  begin(behind: Behind): void {
    this.#view = new HookedExchange(behind);
  }

  /** The exchange as its hooks see it. */
  get view(): HookedExchange | undefined {
    return this.#view;
  }

  /** What arrives of a response while `onResponse` is under way. */
  get held(): HeldResponse | undefined {
    return this.#held;
  }

  /** Runs `onRequest`. */
  request(): void {
    const view = this.#view;
    if (view === undefined) return;
    this.#progress.phase = PREPARING;
    const { trace } = this.#story;
    const outcome = trace === undefined ? this.#calls.request(view) : trace.within(() => this.#calls.request(view));
    this.#await(view, PREPARING, outcome);
  }

  /** Runs `onResponse` on a response as its route leaves it. Returns false where there is no such hook. */
  response(head: ResponseHead, route: RouteTaken | undefined): boolean {
    const view = this.#view;
    if (view === undefined || !this.#calls.onResponse) return false;
    this.#head = head;
    const response = new HookedResponse(head, this);
    view.answered(response);
    route?.editSeen(response.headers);
    this.#progress.phase = REVISING;
    const answered = view as AnsweredExchange;
    const { trace } = this.#story;
    const outcome = trace === undefined ? this.#calls.response(answered)
      : trace.within(() => this.#calls.response(answered));
    this.#await(view, REVISING, outcome);
    return true;
  }

  /** Runs `onError`. Returns false where there is none, or where it has had its say already. */
  error(code: ErrorCode, error: BalancerError | undefined): boolean {
    const view = this.#view;
    if (view === undefined || !this.#calls.onError || this.#failure !== undefined) return false;
    this.#failure = code;
    this.#held = undefined;
    view.seal('the exchange has failed');
    this.#progress.phase = FAILING;
    const seen = error ?? new BalancerError(code);
    const { trace } = this.#story;
    const outcome = trace === undefined ? this.#calls.error(view, seen)
      : trace.within(() => this.#calls.error(view, seen));
    this.#await(view, FAILING, outcome);
    return true;
  }

  /** A hook begins to read the response body. */
  readBody(read: ReadDetour): () => void {
    return this.#story.readResponseBody(read);
  }

  /** The hook under way has used up its time. */
  timeOut(timeoutMs: number): void {
    const name = this.#progress.phase === PREPARING ? 'onRequest'
      : this.#progress.phase === REVISING ? 'onResponse' : 'onError';
    const error = new BalancerError('HOOK_FAILED', `${name} took longer than hookTimeoutMs (${timeoutMs} ms)`);
    if (this.#progress.phase !== FAILING) this.#story.hookFailed(error);
    else {
      this.#story.report(error);
      this.#story.answerOurselves(this.#failure ?? 'HOOK_FAILED');
    }
  }

  /** The exchange is over; `aborted`: the downstream has left. */
  finish(aborted: boolean): void {
    const view = this.#view;
    this.#view = this.#head = this.#held = this.#failure = undefined;
    view?.finish(aborted);
  }

  /** Takes what the hook of this stage comes to: now, or when it has settled. */
  #await(view: HookedExchange, phase: HookPhase, outcome: HookOutcome | Promise<HookOutcome>): void {
    if (!(outcome instanceof Promise)) {
      this.#take(view, phase, outcome);
      return;
    }
    void outcome.then((settled) => {
      this.#take(view, phase, settled);
    });
    // The hook itself may have ended the exchange.
    if (!this.#isAt(view, phase)) return;
    this.#story.awaitHook();
    if (phase === REVISING) this.#held = new HeldResponse();
  }

  #take(view: HookedExchange, phase: HookPhase, outcome: HookOutcome): void {
    if (!this.#isAt(view, phase)) {
      discard(outcome);
      return;
    }
    try {
      if (phase === PREPARING) this.#prepared(view, outcome);
      else if (phase === REVISING) this.#revised(view, outcome);
      else this.#errorAnswered(outcome);
    } catch (cause) {
      this.#story.downstreamFailed(cause);
    }
  }

  /** Whether the exchange of `view` is still there, and waits for the hook of this stage. */
  #isAt(view: HookedExchange, phase: HookPhase): boolean {
    return this.#view === view && this.#progress.phase === phase;
  }

  #prepared(view: HookedExchange, outcome: HookOutcome): void {
    if (outcome !== undefined) this.#decide(outcome);
    else if (view.request.content?.isRead === true) this.#story.hookFailed(unanswered('request', 'onRequest'));
    else this.#story.forward(view);
  }

  #revised({ response }: HookedExchange, outcome: HookOutcome): void {
    const head = this.#head;
    const held = this.#held;
    this.#head = this.#held = undefined;
    if (outcome !== undefined) this.#decide(outcome);
    else if (response?.content?.isRead === true) this.#story.hookFailed(unanswered('response', 'onResponse'));
    else if (head !== undefined && response !== undefined) this.#story.relayRevised(head, response, held);
  }

  /** `onError` has said what to answer, or nothing. */
  #errorAnswered(outcome: HookOutcome): void {
    if (outcome instanceof BalancerError) this.#story.report(outcome);
    if (outcome !== undefined && !(outcome instanceof BalancerError)) this.#story.answerWith(outcome);
    else if (this.#failure !== undefined) this.#story.answerOurselves(this.#failure);
  }

  #decide(outcome: Exclude<HookOutcome, undefined>): void {
    if (outcome instanceof BalancerError) this.#story.hookFailed(outcome);
    else this.#story.answerWith(outcome);
  }
}

type HookPhase = typeof PREPARING | typeof REVISING | typeof FAILING;

function unanswered(message: string, hook: string): BalancerError {
  return new BalancerError('HOOK_FAILED', `${hook} read ${message}.body, so it must return a Response`);
}

/** An answer that came too late: its body is not read. */
function discard(outcome: HookOutcome): void {
  if (outcome === undefined || outcome instanceof BalancerError || outcome.body === undefined) return;
  cancelled(outcome.body, new Error('the exchange is over'));
}
