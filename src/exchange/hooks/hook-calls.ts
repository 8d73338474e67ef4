/**
 * Calls into hooks, which are foreign code: they may throw, reject, never settle, or return nonsense.
 */
import { BalancerError } from '../../errors.ts';
import { isThenable, messageOf } from '../../guard.ts';
import type { AnsweredExchange, HookError, HookExchange, Hooks } from '../../hooks.ts';
import { readAnswer, type ResponseAnswer } from './response-answer.ts';

/** What a hook came to: a response to answer with, a fault, or neither. A promise of it never rejects. */
export type HookOutcome = ResponseAnswer | BalancerError | undefined;

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

  request(exchange: HookExchange): HookOutcome | Promise<HookOutcome> {
    try {
      return settling('onRequest', this.#hooks.onRequest?.(exchange));
    } catch (cause) {
      return faultOf('onRequest', 'threw', cause);
    }
  }

  response(exchange: AnsweredExchange): HookOutcome | Promise<HookOutcome> {
    try {
      return settling('onResponse', this.#hooks.onResponse?.(exchange));
    } catch (cause) {
      return faultOf('onResponse', 'threw', cause);
    }
  }

  error(exchange: HookExchange, error: HookError): HookOutcome | Promise<HookOutcome> {
    try {
      return settling('onError', this.#hooks.onError?.(exchange, error));
    } catch (cause) {
      return faultOf('onError', 'threw', cause);
    }
  }
}

/** What the result of a hook comes to: now, or once the promise has settled. */
function settling(name: keyof Hooks, result: unknown): HookOutcome | Promise<HookOutcome> {
  if (result === undefined) return undefined;
  if (!isThenable(result)) return outcomeOf(name, result);
  // What behaves like a promise without being one may call back twice, or at once.
  return new Promise((resolve) => {
    resolve(result);
  }).then((value) => outcomeOf(name, value), (cause: unknown) => faultOf(name, 'rejected', cause));
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
