/**
 * A worker's link to its primary: messages both ways, until the primary is gone.
 */
import { faultText, messageOf } from '../../guard.ts';
import { asMessage, type Message, type MessageType } from '../ipc-messages.ts';
import { pathInUse } from '../stale-socket.ts';

export class PrimaryLink {
  /** Resolves the question that waits for an answer; without a message, the primary is gone. */
  #answer: (message?: Message) => void = () => undefined;

  /** Calls `onMessage` for messages that are not answers. Returns how to stop that. */
  listen(onMessage: (message: Message, handle: unknown) => void): () => void {
    const listener = (value: unknown, handle: unknown): void => {
      const message = asMessage(value);
      if (message === undefined) return;
      if (message.equipoise === 'setup' || message.equipoise === 'check') this.#answer(message);
      else onMessage(message, handle);
    };
    process.on('message', listener);
    return () => {
      process.off('message', listener);
    };
  }

  /**
   * Resolves with the primary's answer; undefined if the primary is gone. What this worker asked of it before is
   * settled by then. For example, a server has learned that its port is in use.
   */
  ask(type: 'hello' | 'started'): Promise<Message | undefined> {
    return new Promise((resolve) => {
      this.#answer = resolve;
      if (!this.say(type)) resolve(undefined);
    });
  }

  /** The primary is gone: no answer will come. */
  lost(): void {
    this.#answer();
  }

  /** Tells the primary why this worker fails. Resolves when that is sent. */
  fail(error: unknown): Promise<void> {
    const path = pathInUse(error);
    return new Promise((resolve) => {
      this.post({ equipoise: 'failed', text: messageOf(error), ...(path === undefined ? {} : { path }) }, resolve);
    });
  }

  /** Tells the primary that the program's code failed, and nothing ended. */
  readonly fault = (what: string, cause: unknown): void => {
    this.post({ equipoise: 'fault', text: faultText(what, cause) });
  };

  /** Sends a message without content. Returns whether there is a primary. */
  say(type: MessageType): boolean {
    return this.post({ equipoise: type });
  }

  /** Returns whether there is a primary. `then` is called when the message was sent, or cannot be. */
  post(message: Message, then: () => void = () => undefined): boolean {
    if (!process.connected || process.send === undefined) {
      then();
      return false;
    }
    process.send(message, undefined, undefined, then);
    return true;
  }
}
