/**
 * The key of session tickets. Node keeps one key for each server, so all workers must have the same one for a session
 * to resume in any of them; it is changed from time to time, so that one that leaks opens few sessions.
 */
import { randomBytes } from 'node:crypto';

/** What `setTicketKeys` takes: a name, a key to sign with and one to encrypt with. */
const KEY_OCTETS = 48;

/** Makes a key, and a new one every so often. */
export class TicketKeys {
  #current = randomBytes(KEY_OCTETS);
  #timer: NodeJS.Timeout | undefined;
  #everyMs = 0;

  /** The key in force. */
  get current(): Buffer {
    return this.#current;
  }

  /** Makes a new key every `everyMs`, and calls `changed` with each. */
  rotate(everyMs: number, changed: (key: Buffer) => void): void {
    // Reloads must not put it off again and again.
    if (everyMs === this.#everyMs) return;
    this.#everyMs = everyMs;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      this.#current = randomBytes(KEY_OCTETS);
      changed(this.#current);
    }, everyMs);
    this.#timer.unref();
  }
}

/** A key as text, to be sent from the primary to its workers. */
export function keyText(key: Buffer): string {
  return key.toString('base64');
}

/** A key from its text. */
export function keyOfText(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
