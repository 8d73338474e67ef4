/**
 * How those who run side by side, such as the workers of a launch, tell each other things: types only. The launcher
 * makes channels, a balancer joins one; neither knows the other. Whoever wants to reach further, another host say,
 * makes a channel of their own.
 */

/** A channel, on which everybody hears what everybody else sends, in the order of each sender. */
export interface Channel<M = unknown> {
  /** Joins it. From then on `member` is told what happens there, never from within a call to the channel. */
  join(member: ChannelMember<M>): ChannelSeat<M>;
}

/** Who has joined a channel. */
export interface ChannelMember<M = unknown> {
  /** Hears what another one has sent. `from` names that one, and no other for as long as the channel exists. */
  heard(message: M, from: number): void;
  /** Another one has left, or is no more. */
  left(from: number): void;
  /** Is told whether it leads: at any time one at most does, and what is to be done once is for that one to do. */
  leads(leading: boolean): void;
  /**
   * Is told that some of what was sent will not come: this one did not read for so long (its process was stopped, its
   * event loop blocked) that it was dropped. What it knows of the others may be wrong, down to who is there.
   */
  missed?(): void;
}

/** A member's place on a channel. */
export interface ChannelSeat<M = unknown> {
  /**
   * Tells all others. A message is what JSON can carry. `sent` is called when it is on its way, or can't be any more:
   * whoever sends often waits for that, so that nothing heaps up before a slow reader.
   */
  send(message: M, sent?: () => void): void;
  leave(): void;
}
