/**
 * Writes HTTP/1.1 messages to a stream, in as few writes as they need: text and small data are gathered in one latin1
 * string; large data is written without a copy, corked together with the text around it.
 */
import type { Writable } from 'node:stream';
import { BodyFramer } from '../http1/framer.ts';
import type { Framing } from '../http1/framing.ts';
import type { Sender, Turn } from '../loop/turn.ts';

/** The owner of a writer. */
export interface Flusher {
  /** The stream has room again, after a flush that returned false. */
  drained(): void;
  /**
   * The stream, which may be the embedder's, threw: nothing more is written to it. Called once, in a microtask, so that
   * the code that was writing finishes first.
   */
  sinkFailed(cause: unknown): void;
}

/** Octets that were written, all messages and connections together. */
export interface Outgoing {
  sent: number;
}

/**
 * The sending half of one connection, message after message. Data given to {@link MessageWriter.data} may lie in a
 * buffer that the caller reuses: it is free once {@link MessageWriter.flush} has returned true or the flusher's
 * `drained` was called. When everything is flushed, no listener is left on the stream.
 */
export class MessageWriter implements Sender {
  readonly #sink: Writable;
  readonly #flusher: Flusher;
  readonly #framer = new BodyFramer();
  readonly #outgoing: Outgoing | undefined;
  /** Callbacks made when first needed, which most writers never do. */
  #sent: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #text = '';
  #corked = false;
  /** Whether the text waits for the end of the turn. */
  #deferred = false;
  #unsent = false;
  /** What a flush waits for: buffers of large parts that are still in use, or room in the stream. */
  #awaitsParts = false;
  #awaitsRoom = false;
  /** Writes of large parts whose buffers are still in use. */
  #parts = 0;
  #failed = false;

  /** What is written is added to `outgoing`. */
  constructor(sink: Writable, flusher: Flusher, outgoing?: Outgoing) {
    this.#sink = sink;
    this.#flusher = flusher;
    this.#outgoing = outgoing;
  }

  /** Starts a message: its head, and the framing of its body. `length` is the announced one, if any. */
  begin(head: string, framing: Framing, length = 0): void {
    this.#text += head;
    this.#unsent = head !== '';
    this.#framer.start(framing, length);
  }

  /** Whether less or more than the announced length was written: the connection cannot carry another message. */
  get owes(): boolean {
    return this.#framer.owes;
  }

  /** Whether nothing of the current message has been sent yet. */
  get unsent(): boolean {
    return this.#unsent;
  }

  /** Whether the stream threw. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Adds an interim head, or bytes outside any message. */
  text(text: string): void {
    this.#text += text;
  }

  /** Adds body data: `bytes` from `from` to `to`. `text` is the same data as latin1 if the caller has it, else `''`. */
  data(bytes: Buffer, from: number, to: number, text = ''): void {
    const length = to - from;
    if (length === 0) return;
    this.#text += this.#framer.before(length);
    if (text !== '') this.#text += text;
    else if (length <= MAX_GATHERED_BYTES) this.#text += bytes.toString('latin1', from, to);
    else {
      this.#cork();
      this.#send();
      this.#parts++;
      this.#sent ??= () => {
        this.#parts--;
        if (this.#parts > 0 || !this.#awaitsParts) return;
        this.#awaitsParts = false;
        this.#unblocked();
      };
      this.#writePart(bytes.subarray(from, to), this.#sent);
    }
    this.#text += this.#framer.after();
  }

  /** Ends the message. `trailers` are whole field lines; they are dropped unless the message is chunked. */
  end(trailers: string): void {
    this.#text += this.#framer.end(trailers);
  }

  /**
   * Sends what was gathered; with a `turn`, a small amount may wait until that turn ends. Returns whether the stream
   * can take more; if not, the flusher's `drained` is called when it can.
   */
  flush(turn?: Turn): boolean {
    if (turn !== undefined && this.#mayWait) {
      this.#deferred ||= this.#text !== '' && turn.defers(this);
      if (this.#deferred) return true;
    }
    const room = this.#send();
    if (this.#failed) return true;
    if (this.#corked) {
      // Until the kernel has taken all of a large part, the stream still refers to the caller's buffer.
      if (this.#uncork() && this.#sink.writableLength > 0) this.#awaitsParts = true;
    } else if (!room && this.#sink.writableLength > 0) this.#awaitDrain();
    return !this.#awaitsParts && !this.#awaitsRoom;
  }

  /** Sends what was gathered, unless the stream is destroyed. The turn calls it when it ends. */
  send(): void {
    this.#deferred = false;
    if (this.#sink.destroyed) this.#text = '';
    else this.flush();
  }

  /** Whether what was gathered is small, and nothing holds it back already. */
  get #mayWait(): boolean {
    return !this.#corked && !this.#awaitsParts && !this.#awaitsRoom && this.#text.length <= MAX_DEFERRED_BYTES;
  }

  #awaitDrain(): void {
    if (this.#awaitsRoom) return;
    this.#awaitsRoom = true;
    this.#drained ??= () => {
      this.#awaitsRoom = false;
      this.#unblocked();
    };
    this.#sink.once('drain', this.#drained);
  }

  #unblocked(): void {
    if (!this.#awaitsParts && !this.#awaitsRoom && !this.#sink.destroyed) this.#flusher.drained();
  }

  #send(): boolean {
    const text = this.#text;
    if (text === '') return true;
    this.#text = '';
    this.#unsent = false;
    if (this.#failed) return true;
    if (this.#outgoing !== undefined) this.#outgoing.sent += text.length;
    try {
      return this.#sink.write(text, 'latin1');
    } catch (cause) {
      this.#fail(cause);
      return true;
    }
  }

  #writePart(part: Buffer, sent: () => void): void {
    if (this.#failed) return;
    if (this.#outgoing !== undefined) this.#outgoing.sent += part.length;
    try {
      this.#sink.write(part, sent);
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #cork(): void {
    if (this.#corked || this.#failed) return;
    this.#corked = true;
    try {
      this.#sink.cork();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Returns false if the stream threw. */
  #uncork(): boolean {
    this.#corked = false;
    try {
      this.#sink.uncork();
      return true;
    } catch (cause) {
      this.#fail(cause);
      return false;
    }
  }

  /** The flusher is told later: the code that is writing now would find its connection gone halfway through. */
  #fail(cause: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#corked = false;
    queueMicrotask(() => {
      this.#flusher.sinkFailed(cause);
    });
  }
}

/** Up to this size, copying into the text is cheaper than a second buffer in the write. */
const MAX_GATHERED_BYTES = 8192;
/** Above this size a write is worth a call of its own, and an answer from the stream whether it can take more. */
const MAX_DEFERRED_BYTES = 16_384;
