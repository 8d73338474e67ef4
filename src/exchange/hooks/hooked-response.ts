/**
 * A response as hooks see it.
 */
import type { HookResponse, HookTransform } from '../../hooks.ts';
import { HeaderLines } from './header-lines.ts';
import { NONE } from '../../http1/framing.ts';
import type { ResponseHead } from '../../http1/response.ts';
import { type BodyReader, HookedBody } from './hooked-body.ts';
import { shown } from '../../options/checks.ts';

export class HookedResponse implements HookResponse {
  readonly #headers: HeaderLines;
  readonly #hasBody: boolean;
  readonly #reader: BodyReader;
  #content: HookedBody | undefined;
  #status: number;
  #sealed: string | undefined;

  constructor(head: ResponseHead, reader: BodyReader) {
    this.#hasBody = head.framing !== NONE;
    this.#reader = reader;
    this.#status = head.status;
    this.#headers = new HeaderLines('response', head.lines, head.fields);
  }

  get headers(): HeaderLines {
    return this.#headers;
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
    return this.#body().stream;
  }

  pipeThrough(transform: HookTransform): void {
    this.#body().pipeThrough(transform);
  }

  /** Has all further changes throw. @internal */
  seal(why: string): void {
    this.#sealed = why;
    this.#headers.seal(why);
    this.#content?.seal(why);
  }

  /** What a hook does to the body, if anything. @internal */
  get content(): HookedBody | undefined {
    return this.#content;
  }

  #body(): HookedBody {
    return this.#content ??= new HookedBody('response', this.#hasBody, this.#reader, this.#sealed);
  }
}
