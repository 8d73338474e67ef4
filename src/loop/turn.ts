/**
 * The end of a turn of the event loop, where the writes of many connections are sent together.
 */

/** A connection with something to send. */
export interface Sender {
  /** Sends it now: the turn is over. */
  send(): void;
}

/**
 * Gathers writes until the turn ends. A busy core reads from dozens of connections in one turn. If each read ends in a
 * write, our code and the kernel's sending code evict each other from the CPU caches, and the process at the other end
 * is woken for each write. Writes that are sent together cost a quarter less CPU per request. A turn with few writes
 * gains nothing and pays for the callback at its end, so its writes are sent at once, and from time to time one turn is
 * measured again.
 */
export class Turn {
  #waiting: Sender[] = [];
  /** How many writes to send at once before a turn is measured again. */
  #atOnce = 0;
  readonly #end = (): void => {
    const senders = this.#waiting;
    this.#waiting = [];
    if (senders.length < FEW) this.#atOnce = LOOK_AFTER;
    let next = 0;
    try {
      while (next < senders.length) senders[next++]?.send();
    } finally {
      // The embedder's stream may throw: the others must still be sent.
      for (const sender of senders.slice(next)) this.#wait(sender);
    }
  };

  /** Returns true if `sender` will be called when the turn ends; false if it must send by itself now. */
  defers(sender: Sender): boolean {
    if (this.#atOnce > 0) {
      this.#atOnce--;
      return false;
    }
    this.#wait(sender);
    return true;
  }

  #wait(sender: Sender): void {
    if (this.#waiting.push(sender) === 1) setImmediate(this.#end);
  }
}

/** Below this many, the callback at the end of the turn costs more than it saves: some 10 µs on a mostly idle core. */
const FEW = 4;
/** Measuring once in so many writes costs an idle core next to nothing, and a busy one adapts after a turn or two. */
const LOOK_AFTER = 32;
