/**
 * The answer of a hook on its way downstream.
 */
import { BalancerError } from '../../errors.ts';
import { ResponseHead } from '../../http1/response.ts';
import type { Account } from '../account.ts';
import type { Deadlines } from '../deadlines.ts';
import { type Downstream, statusFor } from '../downstream.ts';
import { type Progress, RELAYING } from '../progress.ts';
import type { BodyPull } from './body-pull.ts';
import { answerBody, type ResponseAnswer } from './response-answer.ts';

/** What an exchange does for the answer of a hook. */
export interface AnswerUser {
  readonly progress: Progress;
  readonly deadlines: Deadlines;
  readonly downstream: Downstream;
  readonly account: Account;
  readonly method: string;
  /** The whole answer went downstream. */
  answered(): void;
  /** Its body failed. */
  answerFailed(error: BalancerError): void;
}

export class HookAnswer {
  readonly #user: AnswerUser;
  readonly #body: BodyPull | undefined;

  constructor(answer: ResponseAnswer, user: AnswerUser) {
    this.#user = user;
    this.#body = answerBody(answer, user.method, {
      data: (bytes) => {
        this.#data(bytes);
      },
      end: () => {
        user.answered();
      },
      failed: (cause) => {
        user.answerFailed(new BalancerError('HOOK_FAILED', 'the body of a Response failed', { cause }));
      },
    });
    const { progress, downstream, deadlines, account, method } = user;
    const head = new ResponseHead();
    head.answer(answer, method, this.#body !== undefined);
    progress.phase = RELAYING;
    account.responded(statusFor(downstream, answer.status));
    account.explain(head);
    downstream.respond(head, progress.requestDone);
    // The first piece of the body may be long in coming.
    if (this.#body !== undefined) progress.downloadBlocked = !downstream.flush();
    deadlines.moved();
  }

  /** Starts to send the body, or goes on. */
  resume(): void {
    if (this.#body === undefined) this.#user.answered();
    else this.#body.resume();
  }

  cancel(): void {
    this.#body?.cancel(new Error('the exchange is over'));
  }

  #data(bytes: Buffer): void {
    const { progress, downstream, deadlines, account } = this.#user;
    deadlines.bytes(bytes.length);
    deadlines.moved();
    account.sent += bytes.length;
    downstream.data(bytes, 0, bytes.length, '');
    progress.downloadBlocked = !downstream.flush();
    if (progress.downloadBlocked) this.#body?.pause();
  }
}
