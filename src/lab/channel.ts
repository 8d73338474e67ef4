/**
 * The channel between simulated balancers: messages arrive after a delay.
 */
import type { Channel, ChannelMember } from '../channel.ts';
import type { Due, Timeline } from './timeline.ts';

/** Creates a channel whose messages take `delayMs`. The first member leads. */
export function delayedChannel(timeline: Timeline, delayMs: number): Channel {
  const members = new Map<number, ChannelMember>();
  let joined = 0;
  const after = (ms: number, then: () => void): void => {
    timeline.schedule(new Later(then), timeline.now() + ms);
  };
  return {
    join(member) {
      const seat = joined++;
      members.set(seat, member);
      if (seat === 0) after(0, () => {
        member.leads(true);
      });
      return {
        send(message, sent) {
          // What is sent must not change on its way.
          const copy: unknown = JSON.parse(JSON.stringify(message));
          after(delayMs, () => {
            for (const [other, hearer] of members) if (other !== seat) hearer.heard(copy, seat);
          });
          if (sent !== undefined) after(0, sent);
        },
        leave() {
          members.delete(seat);
        },
      };
    },
  };
}

class Later implements Due {
  at = 0;
  turn = 0;
  place = -1;
  readonly #then: () => void;

  constructor(then: () => void) {
    this.#then = then;
  }

  happen(): void {
    this.#then();
  }
}
