/**
 * Writes messages in as few writes as they need: text and small data gather in one latin1 string, large data goes out
 * uncopied beside it, corked.
 */
import type { Writable } from 'node:stream';
import type { Sender, Turn } from '../loop/turn.ts';
import { CHUNKED, type Framing, LENGTH, NONE } from './framing.ts';

/** Who waits for a flush that returned false. */
export interface Flusher {
  /** What was held back has gone out. */
  drained(): void;
  /**
   * The sink, which may be somebody else's, threw: nothing more is written to it. Told once, when whatever made the
   * writer write has run to its end.
   */
  sinkFailed(cause: unknown): void;
}

/**
 * The sending half of one connection, message after message. Data given to {@link MessageWriter.data} may lie in a
 * buffer that the caller reuses: once {@link MessageWriter.flush} has returned true, or its flusher was told that it
 * has drained, the buffer is free. With nothing left to flush it leaves nothing behind on its sink.
 */
export class MessageWriter implements Sender {
  readonly #sink: Writable;
  readonly #flusher: Flusher;
  /** Made at first need, as is the listener for 'drain': most writers never have any. */
  #sent: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #framing: Framing = NONE;
  #owed = 0;
  #text = '';
  #corked = false;
  /** Whether the text is to be sent when the turn ends. */
  #deferred = false;
  #unsent = false;
  /** What a flush waits for: large parts still in use, or room in the sink. */
  #awaitsParts = false;
  #awaitsRoom = false;
  /** Writes of large parts whose buffers are still in use. */
  #parts = 0;
  #failed = false;

  constructor(sink: Writable, flusher: Flusher) {
    this.#sink = sink;
    this.#flusher = flusher;
  }

  /** Starts a message: its head, and how its body is framed; `length` is the one announced, for {@link LENGTH}. */
  begin(head: string, framing: Framing, length = 0): void {
    this.#text += head;
    this.#unsent = head !== '';
    this.#framing = framing;
    this.#owed = framing === LENGTH ? length : 0;
  }

  /** Whether the announced length was not written: whatever followed would be taken for the rest of this message. */
  get owes(): boolean {
    return this.#owed !== 0;
  }

  /** Whether nothing has been sent of the message that was begun last. */
  get unsent(): boolean {
    return this.#unsent;
  }

  /** Whether the sink threw. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Adds an interim head, or bytes that belong to no message. */
  text(text: string): void {
    this.#text += text;
  }

  /** Adds body data: `bytes` from `from` to `to`. `text` is the same as latin1 where that is at hand, else `''`. */
  data(bytes: Buffer, from: number, to: number, text = ''): void {
    const length = to - from;
    if (length === 0) return;
    if (this.#framing === LENGTH) this.#owed -= length;
    else if (this.#framing === CHUNKED) this.#text += `${length.toString(16)}\r\n`;
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
    if (this.#framing === CHUNKED) this.#text += '\r\n';
  }

  /** Ends the message. `trailers` are whole field lines; only a chunked message can carry them. */
  end(trailers: string): void {
    if (this.#framing === CHUNKED) this.#text += `0\r\n${trailers}\r\n`;
    this.#framing = NONE;
  }

  /**
   * Sends what has gathered; with a `turn`, little of it may wait for the end of that. Returns whether the sink can
   * take more; if not, the flusher will be told when.
   */
  flush(turn?: Turn): boolean {
    if (turn !== undefined && this.#mayWait) {
      this.#deferred ||= this.#text !== '' && turn.defers(this);
      if (this.#deferred) return true;
    }
    const room = this.#send();
    if (this.#failed) return true;
    if (this.#corked) {
      // A large part that is not wholly with the kernel still points into the caller's buffer.
      if (this.#uncork() && this.#sink.writableLength > 0) this.#awaitsParts = true;
    } else if (!room && this.#sink.writableLength > 0) this.#awaitDrain();
    return !this.#awaitsParts && !this.#awaitsRoom;
  }

  /** Sends what has gathered now, unless the sink is gone: for the turn, when it is over. */
  send(): void {
    this.#deferred = false;
    if (this.#sink.destroyed) this.#text = '';
    else this.flush();
  }

  /** Whether what has gathered is little, and nothing keeps it back already. */
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
    try {
      return this.#sink.write(text, 'latin1');
    } catch (cause) {
      this.#fail(cause);
      return true;
    }
  }

  #writePart(part: Buffer, sent: () => void): void {
    if (this.#failed) return;
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

  /** Returns false where the sink threw. */
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

  /** Later: who writes is in the middle of something, and would find the connection gone from under it. */
  #fail(cause: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#corked = false;
    queueMicrotask(() => {
      this.#flusher.sinkFailed(cause);
    });
  }
}

/** Below this a copy into the text is cheaper than a second buffer in the write. */
const MAX_GATHERED_BYTES = 8192;
/** Beyond this a write is worth its own call, and the sink's word on whether it can take more. */
const MAX_DEFERRED_BYTES = 16_384;
