/**
 * The end of a turn of the event loop: what many connections have to send leaves together there.
 */

/** Somebody with something to send. */
export interface Sender {
  /** Sends it now: the turn is over. */
  send(): void;
}

/**
 * Gathers those who have something to send until the turn ends. A busy core reads from dozens of connections in one
 * turn. If each read ends in a write, the code that reads and picks and the kernel's code that sends drive each other
 * out of the caches, and whoever waits on the other end is woken for each write anew: if writes go together, a request
 * costs a quarter less CPU. A turn that has little to send gains nothing by it and pays for the call at its end, so
 * its writes go at once, with a look now and then at whether that still holds.
 */
export class Turn {
  #waiting: Sender[] = [];
  /** How many are to send at once before the next look. */
  #atOnce = 0;
  readonly #end = (): void => {
    const senders = this.#waiting;
    this.#waiting = [];
    if (senders.length < FEW) this.#atOnce = LOOK_AFTER;
    let next = 0;
    try {
      while (next < senders.length) senders[next++]?.send();
    } finally {
      // A stream of somebody else's may throw: the others are still to be sent.
      for (const sender of senders.slice(next)) this.#wait(sender);
    }
  };

  /** Whether `sender` may wait: it is told to send when the turn ends. If not, it is to send by itself. */
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

/** Below this the call at the end of the turn costs more than it saves: some 10 µs on a core that has little to do. */
const FEW = 4;
/** One look in so many writes costs an idle core next to nothing, and a busy one is at its pace after a turn or two. */
const LOOK_AFTER = 32;
