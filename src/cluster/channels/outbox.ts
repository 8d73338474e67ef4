/**
 * The messages that wait for one worker, in a bounded number.
 */
import type { Heard } from './worker-channels.ts';

/**
 * If a worker does not read, messages wait for it up to a limit. Beyond that all of them are dropped, and for each
 * channel it is told that it missed some, and whether it leads. Dropping a part would be worse: messages about changes
 * mislead as soon as one of them is missing.
 */
export class Outbox {
  /** Whether the last message to the worker is still being sent. */
  sending = false;
  #waiting: Heard[] = [];
  readonly #missed = new Set<string>();

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#missed.size === 0;
  }

  add(heard: Heard, limit: number): void {
    if (this.#missed.has(heard.channel)) return;
    this.#waiting.push(heard);
    if (this.#waiting.length <= limit) return;
    for (const { channel } of this.#waiting) this.#missed.add(channel);
    this.#waiting = [];
  }

  /** The worker left the channel: drops what waits for it there. */
  left(channel: string): void {
    this.#missed.delete(channel);
    this.#waiting = this.#waiting.filter((heard) => heard.channel !== channel);
  }

  /** Takes all that waits. `leads` says whether the worker leads a channel. */
  take(leads: (channel: string) => boolean): Heard[] {
    const missed = [...this.#missed].flatMap<Heard>((channel) => [
      { type: 'missed', channel }, { type: 'leads', channel, leading: leads(channel) },
    ]);
    const all = [...missed, ...this.#waiting];
    this.#missed.clear();
    this.#waiting = [];
    return all;
  }
}
