/**
 * The hooks of an exchange, each at its place: runs them, keeps what arrives meanwhile, and has the exchange do what
 * they decided. An exchange of a balancer without hooks has none of this.
 */
import { BalancerError, type ErrorCode } from '../../errors.ts';
import type { AnsweredExchange, HookError } from '../../hooks.ts';
import type { ResponseHead } from '../../http1/response.ts';
import { FAILING, PREPARING, type Progress, REVISING } from '../progress.ts';
import type { RouteTaken } from '../routing.ts';
import { cancelled } from './body-pull.ts';
import type { ResponseAnswer } from './response-answer.ts';
import type { ReadDetour } from './detour.ts';
import { HeldResponse } from './held-response.ts';
import type { HookCalls, HookOutcome, OnOutcome } from './hook-calls.ts';
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
  /** A hook has failed whose failure changes nothing. */
  report(error: BalancerError): void;
  /** A hook is under way and has not settled yet. */
  awaitHook(): void;
  /** The hook begins to read the response body: see {@link HookedBody}. */
  readResponse(read: ReadDetour): () => void;
  /** Something of ours, or the downstream's stream, threw when a hook had settled. */
  downstreamFailed(cause: unknown): void;
}

export class HookStages {
  readonly #calls: HookCalls;
  readonly #story: HookedStory;
  readonly #progress: Progress;
  #view: HookedExchange | undefined;
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
    this.#calls.request(view, this.#later(view, PREPARING, (outcome) => {
      if (outcome === undefined && view.request.content.isRead) {
        this.#story.hookFailed(unanswered('request', 'onRequest'));
      } else if (outcome === undefined) this.#story.forward(view);
      else this.#decide(outcome);
    }));
    this.#wait(view, PREPARING);
  }

  /** Runs `onResponse` on a response as its route leaves it. Returns false where there is no such hook. */
  response(head: ResponseHead, route: RouteTaken | undefined): boolean {
    const view = this.#view;
    if (view === undefined || !this.#calls.onResponse) return false;
    const response = view.response = new HookedResponse(head, (read) => this.#story.readResponse(read));
    route?.editSeen(response.headers);
    this.#progress.phase = REVISING;
    this.#calls.response(view as AnsweredExchange, this.#later(view, REVISING, (outcome) => {
      const held = this.#held;
      this.#held = undefined;
      if (outcome === undefined && response.content.isRead) {
        this.#story.hookFailed(unanswered('response', 'onResponse'));
      } else if (outcome === undefined) this.#story.relayRevised(head, response, held);
      else this.#decide(outcome);
    }));
    if (this.#wait(view, REVISING)) this.#held = new HeldResponse();
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
    const told: HookError = error ?? new BalancerError(code);
    this.#calls.error(view, told, this.#later(view, FAILING, (outcome) => {
      if (outcome instanceof BalancerError) this.#story.report(outcome);
      if (outcome === undefined || outcome instanceof BalancerError) this.#story.answerOurselves(code);
      else this.#story.answerWith(outcome);
    }));
    this.#wait(view, FAILING);
    return true;
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
    this.#view = this.#held = this.#failure = undefined;
    view?.finish(aborted);
  }

  #decide(outcome: Exclude<HookOutcome, undefined>): void {
    if (outcome instanceof BalancerError) this.#story.hookFailed(outcome);
    else this.#story.answerWith(outcome);
  }

  /** Tells the exchange to wait, if the hook of `view` has not settled yet. Returns whether it has not. */
  #wait(view: HookedExchange, phase: HookPhase): boolean {
    const waits = this.#view === view && this.#progress.phase === phase;
    if (waits) this.#story.awaitHook();
    return waits;
  }

  /** Takes the outcome of a hook, unless the exchange is over, or past that stage, by then. */
  #later(view: HookedExchange, phase: HookPhase, take: (outcome: HookOutcome) => void): OnOutcome {
    return (outcome) => {
      if (this.#view !== view || this.#progress.phase !== phase) {
        discard(outcome);
        return;
      }
      try {
        take(outcome);
      } catch (cause) {
        this.#story.downstreamFailed(cause);
      }
    };
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
