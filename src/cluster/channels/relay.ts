/**
 * The primary's side of channels: passes what one worker says to the others that have joined, and says which one leads.
 * It does not look into messages. Pure: sending and the turn of the event loop come in.
 */
import { Outbox } from './outbox.ts';
import type { Heard, Said } from './worker-channels.ts';

export interface RelayWorld {
  /** Sends to a worker. Calls `sent` when the messages are on their way, or cannot be sent any more. */
  readonly send: (worker: number, heard: readonly Heard[], sent: () => void) => void;
  /** Calls `then` when what has arrived by now has been read. */
  readonly soon: (then: () => void) => void;
}

export class Relay {
  readonly #world: RelayWorld;
  readonly #channels = new Map<string, Members>();
  /** What members have kept, for the next one to join when all are gone. */
  readonly #kept = new Map<string, unknown>();
  /** Workers that drain: they still send and receive, but do not lead. */
  readonly #draining = new Set<number>();
  readonly #outboxes = new Map<number, Outbox>();
  /** Whether a flush is due: messages of one turn go out as one. */
  #flushing = false;

  constructor(world: RelayWorld) {
    this.#world = world;
  }

  /** Takes what a worker says. */
  hear(worker: number, said: Said): void {
    const { channel } = said;
    const members = this.#channels.get(channel);
    switch (said.type) {
      case 'join':
        this.#join(worker, channel);
        break;
      case 'leave':
        this.#leave(worker, channel);
        break;
      case 'send':
        if (members?.all.has(worker) === true) {
          this.#tellOthers(members, worker, { type: 'heard', channel, from: worker, value: said.value });
        }
        break;
      case 'keep':
        if (members?.all.has(worker) === true) this.#kept.set(channel, said.value);
        break;
    }
  }

  /** A worker drains. */
  drain(worker: number): void {
    this.#draining.add(worker);
    for (const channel of this.#channels.keys()) this.#elect(channel);
  }

  /** A worker's process has ended. */
  gone(worker: number): void {
    for (const channel of this.#channels.keys()) this.#leave(worker, channel);
    this.#draining.delete(worker);
    this.#outboxes.delete(worker);
  }

  #join(worker: number, channel: string): void {
    const members = this.#channels.get(channel) ?? { all: new Set(), leader: undefined };
    this.#channels.set(channel, members);
    if (members.all.size === 0 && this.#kept.has(channel)) {
      this.#tell(worker, { type: 'kept', channel, value: this.#kept.get(channel) });
    }
    members.all.add(worker);
    this.#elect(channel);
  }

  #leave(worker: number, channel: string): void {
    const members = this.#channels.get(channel);
    if (members?.all.delete(worker) !== true) return;
    this.#outboxes.get(worker)?.left(channel);
    if (members.leader === worker) members.leader = undefined;
    this.#tellOthers(members, worker, { type: 'left', channel, from: worker });
    if (members.all.size === 0) this.#channels.delete(channel);
    else this.#elect(channel);
  }

  /** Keeps the leader while it can lead; otherwise the first member that can becomes the leader. */
  #elect(channel: string): void {
    const members = this.#channels.get(channel);
    if (members === undefined) return;
    const able = [...members.all].filter((worker) => !this.#draining.has(worker));
    const { leader } = members;
    if (leader !== undefined && able.includes(leader)) return;
    members.leader = able[0];
    if (leader !== undefined) this.#tell(leader, { type: 'leads', channel, leading: false });
    if (members.leader !== undefined) this.#tell(members.leader, { type: 'leads', channel, leading: true });
  }

  #tellOthers({ all }: Members, worker: number, heard: Heard): void {
    for (const other of all) if (other !== worker) this.#tell(other, heard, all.size);
  }

  #tell(worker: number, heard: Heard, members = 1): void {
    let outbox = this.#outboxes.get(worker);
    if (outbox === undefined) this.#outboxes.set(worker, outbox = new Outbox());
    outbox.add(heard, Math.max(MIN_WAITING, members * WAITING_PER_MEMBER));
    if (outbox.sending || this.#flushing) return;
    this.#flushing = true;
    this.#world.soon(() => {
      this.#flushing = false;
      for (const [to, waiting] of this.#outboxes) this.#send(to, waiting);
    });
  }

  /** Sends what waits for a worker, once what was sent before is on its way. */
  #send(worker: number, outbox: Outbox): void {
    if (outbox.sending || outbox.empty) return;
    outbox.sending = true;
    const leads = (channel: string): boolean => this.#channels.get(channel)?.leader === worker;
    this.#world.send(worker, outbox.take(leads), () => {
      outbox.sending = false;
      if (this.#outboxes.get(worker) === outbox) this.#send(worker, outbox);
    });
  }
}

/** The members of a channel, in the order in which they joined. */
interface Members {
  readonly all: Set<number>;
  leader: number | undefined;
}

/** A few seconds of what balancers tell each other, at ten messages a second from each. */
const WAITING_PER_MEMBER = 64;
const MIN_WAITING = 256;
