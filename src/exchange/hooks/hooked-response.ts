/**
 * A response as hooks see it.
 */
import type { ReadableStream } from 'node:stream/web';
import type { HookResponse, HookTransform } from '../../hooks.ts';
import { HeaderLines } from '../../http1/header-lines.ts';
import type { ResponseHead } from '../../http1/response.ts';
import { shown } from '../../options/checks.ts';

export class HookedResponse implements HookResponse {
  readonly headers: HeaderLines;
  #status: number;
  #sealed: string | undefined;

  constructor(head: ResponseHead) {
    this.#status = head.status;
    this.headers = new HeaderLines('response', head.lines, head.fields);
  }

  get status(): number {
    return this.#status;
  }

  set status(status: number) {
    if (this.#sealed !== undefined) throw new TypeError(`response.status cannot be changed: ${this.#sealed}`);
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`response.status must be an integer from 200 to 599 (got ${shown(status)})`);
    }
    this.#status = status;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return null;
  }

  pipeThrough(_transform: HookTransform): void {
    throw new TypeError('not yet');
  }

  /** Has all further changes throw. @internal */
  seal(why: string): void {
    this.#sealed = why;
    this.headers.seal(why);
  }
}
