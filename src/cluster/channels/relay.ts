/**
 * The primary's side of channels: passes on what one worker says to the others that have joined, and says who leads.
 * It looks into no message. Pure: sending and the turn of the event loop come in.
 */
import type { Heard, Said } from './channels.ts';

export interface RelayWorld {
  /** Sends; `sent` is to be called when it is on its way, or can't be any more. */
  readonly send: (worker: number, heard: readonly Heard[], sent: () => void) => void;
  /** Calls `then` when what has arrived by now has been read. */
  readonly soon: (then: () => void) => void;
}

export class Relay {
  readonly #world: RelayWorld;
  readonly #channels = new Map<string, Members>();
  /** Workers that drain: they still tell and hear, but do not lead. */
  readonly #draining = new Set<number>();
  readonly #outboxes = new Map<number, Outbox>();
  /** Whether what waits is about to be sent: what comes in one turn goes out in one message. */
  #posting = false;

  constructor(world: RelayWorld) {
    this.#world = world;
  }

  /** A worker says something. */
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

  /** Has one lead: whoever does goes on, as long as it can. */
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
    if (outbox.sending || this.#posting) return;
    this.#posting = true;
    this.#world.soon(() => {
      this.#posting = false;
      for (const [to, waiting] of this.#outboxes) this.#send(to, waiting);
    });
  }

  /** Sends what waits for a worker, once it has taken what was sent before. */
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

/**
 * What one worker is to be told. Where it does not read, a limited number of messages waits for it: beyond that all of
 * them go, and in their place it is told of each channel that it missed something, and whether it leads. A part of them
 * would be worse than none: what is told of changes is wrong for good once one of them is missing.
 */
class Outbox {
  /** Whether a message to the worker is not on its way yet. */
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

  /** Nothing more is to be told of a channel. */
  left(channel: string): void {
    this.#missed.delete(channel);
    this.#waiting = this.#waiting.filter((heard) => heard.channel !== channel);
  }

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

/** Who is on a channel, in the order in which they joined. */
interface Members {
  readonly all: Set<number>;
  leader: number | undefined;
}

/** Some seconds of what balancers tell each other, which is ten messages a second from each. */
const WAITING_PER_MEMBER = 64;
const MIN_WAITING = 256;
