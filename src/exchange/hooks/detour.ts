/**
 * Where a body goes in place of its usual way, because a hook wants it: through the hook's transforms and back, or to a
 * ReadableStream that the hook reads.
 */
import { BodyTransform, type Stage } from './body-transform.ts';

/** A body that takes a detour. */
export interface Detour {
  /** Takes a copy of a piece. Returns false where no more should come before {@link DetourEnd.room}. */
  write(bytes: Buffer, from: number, to: number): boolean;
  /** The body is complete. */
  end(trailers: string): void;
  /** The body broke off, or is not wanted any more. */
  abort(reason: unknown): void;
  /** The far end can take more, after {@link DetourEnd.data} returned false; or it begins to. */
  resume(): void;
  /** Whether the hook is the side that keeps the body waiting: it takes no more, or has had everything. */
  readonly stalled: boolean;
  /** Whether everything of the body went in. */
  readonly whole: boolean;
}

/** What a detour does at its ends. */
export interface DetourEnd {
  /** More may come in. */
  room(): void;
  /** A piece has come out. Returns false where no more should. */
  data(bytes: Buffer): boolean;
  /** Everything has come out. */
  end(trailers: string): void;
  /** A transform failed. */
  failed(cause: unknown): void;
}

/** Through transforms: what comes out goes on as the body. */
export class TransformDetour implements Detour {
  readonly #transform: BodyTransform;
  #trailers = '';
  #full = false;
  whole = false;

  constructor(stages: readonly [Stage, ...Stage[]], ends: DetourEnd) {
    this.#transform = new BodyTransform(stages, {
      data: (bytes) => {
        if (!ends.data(bytes)) this.#transform.pause();
      },
      end: () => {
        ends.end(this.#trailers);
      },
      failed: (cause) => {
        ends.failed(cause);
      },
      drained: () => {
        this.#full = false;
        ends.room();
      },
    });
  }

  write(bytes: Buffer, from: number, to: number): boolean {
    this.#full = !this.#transform.write(bytes.subarray(from, to));
    return !this.#full;
  }

  end(trailers: string): void {
    this.whole = true;
    this.#trailers = trailers;
    this.#transform.end();
  }

  abort(reason: unknown): void {
    this.#transform.abort(reason);
  }

  resume(): void {
    this.#transform.resume();
  }

  get stalled(): boolean {
    return this.#full || this.whole;
  }
}

/** To a hook that reads the body itself: nothing comes out. */
export class ReadDetour implements Detour {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #full = false;
  whole = false;

  /** `room` is called when more may come after {@link ReadDetour.write} returned false. */
  constructor(room: () => void) {
    const makeRoom = (): void => {
      if (!this.#full) return;
      this.#full = false;
      room();
    };
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: makeRoom,
      cancel: () => {
        // The rest is dropped as it comes.
        this.#controller = undefined;
        makeRoom();
      },
    });
  }

  write(bytes: Buffer, from: number, to: number): boolean {
    const controller = this.#controller;
    if (controller === undefined) return true;
    if (to > from) controller.enqueue(Uint8Array.prototype.slice.call(bytes, from, to));
    this.#full = (controller.desiredSize ?? 0) <= 0;
    return !this.#full;
  }

  end(): void {
    this.whole = true;
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.close();
  }

  abort(reason: unknown): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.error(reason);
  }

  resume(): void {
    // It is read as the hook likes.
  }

  get stalled(): boolean {
    return this.#full || this.whole;
  }
}
