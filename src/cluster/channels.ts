/**
 * The worker's side of channels: what this worker has joined. Where nobody has, nothing is sent.
 */
import type { Channel, ChannelMember } from '../channel.ts';
import { BalancerError } from '../errors.ts';

/** What a worker says of a channel. */
export type Said =
  | { readonly type: 'join' | 'leave'; readonly channel: string }
  | { readonly type: 'send'; readonly channel: string; readonly value: unknown };

/** What a worker is told of a channel; `from` is another worker. */
export type Heard =
  | { readonly type: 'heard'; readonly channel: string; readonly from: number; readonly value: unknown }
  | { readonly type: 'left'; readonly channel: string; readonly from: number }
  | { readonly type: 'leads'; readonly channel: string; readonly leading: boolean };

export class Channels {
  readonly #say: (said: Said, sent?: () => void) => void;
  readonly #members = new Map<string, ChannelMember>();

  constructor(say: (said: Said, sent?: () => void) => void) {
    this.#say = say;
  }

  /** The channel of this name. */
  readonly channel = (name: string): Channel => ({
    join: (member) => {
      if (this.#members.has(name)) {
        throw new BalancerError('OPTIONS_INVALID', `channel '${name}' was joined by this worker already: take another`);
      }
      this.#members.set(name, member);
      this.#say({ type: 'join', channel: name });
      return {
        send: (value, sent) => {
          if (this.#members.get(name) === member) this.#say({ type: 'send', channel: name, value }, sent);
          else sent?.();
        },
        leave: () => {
          if (this.#members.get(name) !== member) return;
          this.#members.delete(name);
          this.#say({ type: 'leave', channel: name });
        },
      };
    },
  });

  hear(all: readonly Heard[]): void {
    for (const heard of all) {
      const member = this.#members.get(heard.channel);
      switch (heard.type) {
        case 'heard':
          member?.heard(heard.value, heard.from);
          break;
        case 'left':
          member?.left(heard.from);
          break;
        case 'leads':
          member?.leads(heard.leading);
          break;
      }
    }
  }
}
