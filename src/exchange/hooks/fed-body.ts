/**
 * A body as a ReadableStream for a hook to read, fed by whoever receives its pieces.
 */
import { ReadableStream, type ReadableStreamDefaultController } from 'node:stream/web';

export class FedBody {
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #full = false;

  /** `onRoom` is called when more may come after {@link FedBody.write} returned false; `onCancel` when none is wanted. */
  constructor(onRoom: () => void, onCancel: () => void) {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        if (!this.#full) return;
        this.#full = false;
        onRoom();
      },
      cancel: () => {
        this.#controller = undefined;
        onCancel();
      },
    });
  }

  /** Gives a copy of a piece. Returns false where no more should come before `onRoom`. */
  write(bytes: Buffer, from: number, to: number): boolean {
    const controller = this.#controller;
    if (controller === undefined) return true;
    if (to > from) controller.enqueue(Uint8Array.prototype.slice.call(bytes, from, to));
    this.#full = (controller.desiredSize ?? 0) <= 0;
    return !this.#full;
  }

  end(): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.close();
  }

  /** The body broke off. */
  fail(reason: unknown): void {
    const controller = this.#controller;
    this.#controller = undefined;
    controller?.error(reason);
  }
}
