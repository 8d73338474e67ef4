/**
 * The body of a request that an embedder's parser has read, as `handle` is given it: octets, text, or a stream.
 */
import { BalancerError } from '../errors.ts';
import { type BodySource, BodyPull, sourceOf } from '../exchange/hooks/body-pull.ts';
import { messageOf } from '../guard.ts';
import { shown } from '../options/checks.ts';
import type { BodyTaker } from './request-body.ts';

/** A body that was given, checked. */
export interface GivenBody {
  /** All of it; undefined for a stream. */
  readonly bytes: Buffer | undefined;
  /** The stream, which is locked for us: it must be read to its end or cancelled. */
  readonly source: BodySource | undefined;
}

/**
 * Checks a body. `taken` holds the streams that were given before. Throws OPTIONS_INVALID for what cannot be a body,
 * and BODY_CONSUMED for a stream that was read or given already.
 */
export function givenBody(body: unknown, taken: WeakSet<object>): GivenBody {
  if (typeof body === 'string') return { bytes: Buffer.from(body), source: undefined };
  if (body instanceof Uint8Array) {
    return { bytes: Buffer.from(body.buffer, body.byteOffset, body.byteLength), source: undefined };
  }
  if (typeof body !== 'object' || body === null) throw unusable(shown(body));
  const stream = body as Partial<AnyStream>;
  const isWeb = typeof stream.getReader === 'function';
  if (!isWeb && typeof stream[Symbol.asyncIterator] !== 'function') throw unusable(shown(body));
  if (typeof stream.destroyed === 'boolean' && (stream.destroyed || stream.readableDidRead === true)) throw consumed();
  if (taken.has(body) || stream.locked === true) throw consumed();
  taken.add(body);
  try {
    return { bytes: undefined, source: isWeb ? sourceOf(body, 'body') : iterated(stream as AnyStream) };
  } catch (cause) {
    throw new BalancerError('OPTIONS_INVALID', `balancer.handle: body cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** Hands a given body over, with the back-pressure of the exchange. */
export class GivenBodyReader {
  /** Whether all of it was handed over. */
  done = false;
  readonly #taker: BodyTaker;
  readonly #pull: BodyPull | undefined;
  /** The octets that were not handed over yet. */
  #bytes: Buffer | undefined;
  #read = false;

  constructor({ bytes, source }: GivenBody, taker: BodyTaker) {
    this.#taker = taker;
    this.#bytes = bytes;
    this.#pull = source && new BodyPull(source, {
      data: (piece) => {
        if (taker.takesBody && !taker.bodyData(piece)) this.#pull?.pause();
      },
      end: () => {
        this.#end();
      },
      failed: (cause) => {
        const what = 'balancer.handle: the stream that was given as body failed';
        const error = new BalancerError('HOOK_FAILED', `${what}: ${messageOf(cause)}`, { cause });
        if (taker.takesBody) taker.bodyRefused('HOOK_FAILED', error);
      },
    });
  }

  /** Starts to hand it over. */
  read(): void {
    this.#read = true;
    this.resume();
  }

  /** Goes on after `bodyData` returned false. */
  resume(): void {
    if (!this.#read || this.done) return;
    if (this.#pull !== undefined) {
      this.#pull.resume();
      return;
    }
    const bytes = this.#bytes;
    this.#bytes = undefined;
    if (bytes !== undefined && bytes.length > 0 && !this.#taker.bodyData(bytes)) return;
    this.#end();
  }

  /** The exchange is over: what was not read of a stream is not wanted. */
  cancel(): void {
    this.#bytes = undefined;
    this.#pull?.cancel(new Error('the exchange is over'));
  }

  #end(): void {
    this.done = true;
    if (this.#taker.takesBody) this.#taker.bodyEnd('');
  }
}

/** What is used of a Node stream, another async iterable, or a web stream. */
interface AnyStream extends AsyncIterable<unknown> {
  readonly getReader?: unknown;
  readonly locked?: unknown;
  readonly destroyed?: unknown;
  readonly readableDidRead?: unknown;
  on?(event: 'error', listener: () => void): unknown;
  destroy?(): unknown;
}

/** Reads a Node stream, or another async iterable. Text is sent as UTF-8. */
function iterated(stream: AnyStream): BodySource {
  const iterator = stream[Symbol.asyncIterator]();
  // Before its first read nothing else listens, and an 'error' without a listener would end the process. An iterator
  // that was made before the error throws it.
  if (typeof stream.on === 'function') stream.on('error', () => undefined);
  return {
    read: async () => {
      const { done, value } = await iterator.next() as { readonly done?: boolean; readonly value: unknown };
      return { done: done === true, value: typeof value === 'string' ? Buffer.from(value) : value };
    },
    // An iterator returns only after its pending read, which may never come.
    cancel: () => (typeof stream.destroy === 'function' ? stream.destroy() : iterator.return?.()),
  };
}

function unusable(got: string): BalancerError {
  const must = 'must be a Buffer, a Uint8Array, a string or a stream of them';
  const hint = 'encode it first, for example with JSON.stringify(request.body)';
  return new BalancerError('OPTIONS_INVALID', `balancer.handle: body ${must} (got ${got}); ${hint}`);
}

function consumed(): BalancerError {
  return new BalancerError('BODY_CONSUMED',
    'balancer.handle: the stream that was given as body was read, closed or given before; give each request its own');
}
