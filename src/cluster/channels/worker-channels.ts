/**
 * The worker's side of channels: the channels that this worker has joined. Without one, nothing is sent.
 */
import type { Channel, ChannelMember } from '../../channel.ts';
import { BalancerError } from '../../errors.ts';
import { guarded } from '../../guard.ts';

/** What a worker says about a channel. */
export type Said =
  | { readonly type: 'join' | 'leave'; readonly channel: string }
  | { readonly type: 'send' | 'keep'; readonly channel: string; readonly value: unknown };

/** What a worker is told about a channel; `from` is another worker. */
export type Heard =
  | { readonly type: 'heard'; readonly channel: string; readonly from: number; readonly value: unknown }
  | { readonly type: 'left'; readonly channel: string; readonly from: number }
  | { readonly type: 'leads'; readonly channel: string; readonly leading: boolean }
  | { readonly type: 'missed'; readonly channel: string }
  | { readonly type: 'kept'; readonly channel: string; readonly value: unknown };

export class Channels {
  readonly #say: (said: Said, sent?: () => void) => void;
  readonly #onFault: (what: string, cause: unknown) => void;
  readonly #members = new Map<string, ChannelMember>();

  /** `onFault` is called when a member throws or rejects. */
  constructor(say: (said: Said, sent?: () => void) => void, onFault: (what: string, cause: unknown) => void) {
    this.#say = say;
    this.#onFault = onFault;
  }

  /** The channel of this name. */
  readonly channel = (name: string): Channel => ({
    join: (member) => {
      if (this.#members.has(name)) {
        throw new BalancerError('OPTIONS_INVALID',
          `channel '${name}': this worker has joined it already; choose another name`);
      }
      this.#members.set(name, member);
      this.#say({ type: 'join', channel: name });
      return {
        send: (value, sent) => {
          if (this.#members.get(name) === member) this.#say({ type: 'send', channel: name, value }, sent);
          else sent?.();
        },
        keep: (value) => {
          if (this.#members.get(name) === member) this.#say({ type: 'keep', channel: name, value });
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
      if (member === undefined) continue;
      guarded(() => tell(member, heard), (what, cause) => {
        this.#onFault(`the member of channel '${heard.channel}' ${what} in ${heard.type}`, cause);
      });
    }
  }
}

/** A member as foreign code: its methods may return promises. */
interface ForeignMember {
  heard(message: unknown, from: number): unknown;
  left(from: number): unknown;
  leads(leading: boolean): unknown;
  missed?(): unknown;
  kept?(value: unknown): unknown;
}

function tell(member: ForeignMember, heard: Heard): unknown {
  switch (heard.type) {
    case 'heard': return member.heard(heard.value, heard.from);
    case 'left': return member.left(heard.from);
    case 'leads': return member.leads(heard.leading);
    case 'missed': return member.missed?.();
    case 'kept': return member.kept?.(heard.value);
  }
}
