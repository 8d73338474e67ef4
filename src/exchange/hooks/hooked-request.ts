/**
 * A request as hooks see it.
 */
import type { HookRequest, HookTransform } from '../../hooks.ts';
import { HeaderLines } from './header-lines.ts';
import { NONE } from '../../http1/framing.ts';
import type { RequestHead } from '../../http1/request.ts';
import { requestId } from '../request-id.ts';
import { type BodyReader, HookedBody } from './hooked-body.ts';
import { shown } from '../../options/checks.ts';

export class HookedRequest implements HookRequest {
  // Read by getters: to assign to one, `headers` above all, would change nothing, so it throws.
  readonly #method: string;
  readonly #host: string;
  readonly #protocol: '1.0' | '1.1' | '2.0';
  readonly #headers: HeaderLines;
  readonly #trusted: boolean;
  readonly #hasBody: boolean;
  readonly #reader: BodyReader;
  #content: HookedBody | undefined;
  #target: string;
  #id: string | undefined;
  #controller: AbortController | undefined;
  #aborted = false;
  #sealed: string | undefined;

  /** `trusted` is whether the downstream may say which id the request has. */
  constructor(head: RequestHead, trusted: boolean, reader: BodyReader) {
    this.#hasBody = head.framing !== NONE;
    this.#reader = reader;
    this.#method = head.method;
    this.#host = head.host;
    this.#protocol = head.version;
    this.#headers = new HeaderLines('request', head.lines, head.fields, trusted);
    this.#id = head.id === '' ? undefined : head.id;
    this.#target = head.target;
    this.#trusted = trusted;
  }

  get id(): string {
    return this.#id ??= requestId(this.#trusted ? this.#headers.get('x-request-id') : undefined);
  }

  get method(): string {
    return this.#method;
  }

  get host(): string {
    return this.#host;
  }

  get protocol(): '1.0' | '1.1' | '2.0' {
    return this.#protocol;
  }

  get headers(): HeaderLines {
    return this.#headers;
  }

  get target(): string {
    return this.#target;
  }

  set target(target: string) {
    if (this.#sealed !== undefined) throw new TypeError(`request.target cannot be changed: ${this.#sealed}`);
    if (typeof target !== 'string' || !TARGET.test(target)) {
      throw new TypeError(
        `request.target must be a path such as "/users?page=2", in visible ASCII and without # (got ${shown(target)})`);
    }
    this.#target = target;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#body().stream;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
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
    return this.#content ??= new HookedBody('request', this.#hasBody, this.#reader, this.#sealed);
  }

  /** The downstream has left. @internal */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** origin-form (RFC 9112 §3.2.1), or `*` for OPTIONS. */
const TARGET = /^(?:\/[\x21\x22\x24-\x7e]*|\*)$/;
