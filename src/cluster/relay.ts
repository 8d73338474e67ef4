/**
 * The primary's side of channels: passes on what one worker says to the others that have joined, and says who leads.
 * It looks into no message. Pure: sending and the turn of the event loop come in.
 */
import type { Heard, Said } from './channels.ts';

export interface RelayWorld {
  readonly send: (worker: number, heard: readonly Heard[]) => void;
  /** Calls `then` when what has arrived by now has been read. */
  readonly soon: (then: () => void) => void;
}

export class Relay {
  readonly #world: RelayWorld;
  readonly #channels = new Map<string, Members>();
  /** Workers that drain: they still tell and hear, but do not lead. */
  readonly #draining = new Set<number>();
  /** What each worker is to be told: what comes in one turn goes out in one message. */
  #outbox = new Map<number, Heard[]>();

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
    this.#outbox.delete(worker);
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
    for (const other of all) if (other !== worker) this.#tell(other, heard);
  }

  #tell(worker: number, heard: Heard): void {
    if (this.#outbox.size === 0) {
      this.#world.soon(() => {
        const outbox = this.#outbox;
        this.#outbox = new Map();
        for (const [to, all] of outbox) this.#world.send(to, all);
      });
    }
    const waiting = this.#outbox.get(worker);
    if (waiting === undefined) this.#outbox.set(worker, [heard]);
    else waiting.push(heard);
  }
}

/** Who is on a channel, in the order in which they joined. */
interface Members {
  readonly all: Set<number>;
  leader: number | undefined;
}
