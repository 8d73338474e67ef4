/**
 * How processes that run side by side, such as the workers of a launch, exchange messages: types only. The launcher
 * makes channels and a balancer joins one; neither knows the other. To reach further, to other hosts for example, make
 * a channel of your own.
 */

/** A channel. Each member receives what all others send, in the order in which each sent it. */
export interface Channel<M = unknown> {
  /** Joins the channel. Calls to `member` follow, never from within a call to the channel. */
  join(member: ChannelMember<M>): ChannelSeat<M>;
}

/** A member of a channel. */
export interface ChannelMember<M = unknown> {
  /** Another member has sent a message. `from` identifies it, and is never reused while the channel exists. */
  heard(message: M, from: number): void;
  /** Another member has left or died. */
  left(from: number): void;
  /** Whether this member leads. At most one does at any time; work that must be done once is for the leader. */
  leads(leading: boolean): void;
  /**
   * Messages to this member were dropped, because it did not read for too long (its process was stopped, or its event
   * loop was blocked). What it knows of the others may be wrong, even which of them exist.
   */
  missed?(): void;
  /** The member is the only one, and earlier ones have kept a value: called once, right after it joined. */
  kept?(value: M): void;
}

/** A member's place on a channel. */
export interface ChannelSeat<M = unknown> {
  /**
   * Sends to all others. A message is anything that JSON can carry. `sent` is called when the message has left, or can
   * no longer be sent. A frequent sender waits for it, so that messages do not pile up for a slow reader.
   */
  send(message: M, sent?: () => void): void;
  /**
   * Keeps a value beyond the lives of all members, in place of the one kept before: the next member that joins an empty
   * channel gets it. Not every channel can.
   */
  keep?(value: M): void;
  leave(): void;
}
