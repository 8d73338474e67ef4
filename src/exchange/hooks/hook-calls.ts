/**
 * Calls into hooks, which are foreign code: they may throw, reject, never settle, or return nonsense.
 */
import { BalancerError } from '../../errors.ts';
import { isThenable, messageOf } from '../../guard.ts';
import type { AnsweredExchange, HookError, HookExchange, Hooks } from '../../hooks.ts';
import { readAnswer, type ResponseAnswer } from './response-answer.ts';

/** What a hook came to: a response to answer with, a fault, or neither. */
export type HookOutcome = ResponseAnswer | BalancerError | undefined;

/** Takes the outcome: at once, or when the promise that the hook returned has settled. */
export type OnOutcome = (outcome: HookOutcome) => void;

/** The hooks of a balancer. */
export class HookCalls {
  readonly #hooks: Hooks;

  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  get onResponse(): boolean {
    return this.#hooks.onResponse !== undefined;
  }

  get onError(): boolean {
    return this.#hooks.onError !== undefined;
  }

  request(exchange: HookExchange, done: OnOutcome): void {
    call('onRequest', () => this.#hooks.onRequest?.(exchange), done);
  }

  response(exchange: AnsweredExchange, done: OnOutcome): void {
    call('onResponse', () => this.#hooks.onResponse?.(exchange), done);
  }

  error(exchange: HookExchange, error: HookError, done: OnOutcome): void {
    call('onError', () => this.#hooks.onError?.(exchange, error), done);
  }
}

function call(name: keyof Hooks, hook: () => unknown, done: OnOutcome): void {
  let result: unknown;
  try {
    result = hook();
  } catch (cause) {
    done(faultOf(name, 'threw', cause));
    return;
  }
  if (isThenable(result)) later(name, result, done);
  else done(outcomeOf(name, result));
}

function later(name: keyof Hooks, promise: PromiseLike<unknown>, done: OnOutcome): void {
  // What behaves like a promise without being one may call back twice, or at once.
  new Promise((resolve) => {
    resolve(promise);
  }).then(
    (result) => {
      done(outcomeOf(name, result));
    },
    (cause: unknown) => {
      done(faultOf(name, 'rejected', cause));
    },
  );
}

function outcomeOf(name: keyof Hooks, result: unknown): HookOutcome {
  if (result === undefined) return undefined;
  try {
    return readAnswer(result, name);
  } catch (cause) {
    return new BalancerError('HOOK_FAILED', messageOf(cause), { cause });
  }
}

function faultOf(name: keyof Hooks, what: string, cause: unknown): BalancerError {
  return new BalancerError('HOOK_FAILED', `${name} ${what}: ${messageOf(cause)}`, { cause });
}
