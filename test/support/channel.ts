/**
 * A channel between workers without processes: the launcher's own parts, connected by plain calls.
 */
import type { Channel } from '../../src/channel.ts';
import { Channels, type Heard, type Said } from '../../src/cluster/channels/worker-channels.ts';
import { Relay } from '../../src/cluster/channels/relay.ts';

export class FakeWorkers {
  /** What workers have sent, in order. */
  readonly said: [worker: number, said: Said][] = [];
  /** What they have received. */
  readonly told: [worker: number, heard: readonly Heard[]][] = [];
  readonly relay: Relay;
  readonly #workers = new Map<number, Channels>();
  /** Callbacks of messages, while those are held back. */
  #held: (() => void)[] | undefined;
  /** Workers that do not read, and the messages that wait for them. */
  readonly #stopped = new Map<number, (() => void)[]>();
  #soon: (() => void)[] = [];

  constructor() {
    this.relay = new Relay({
      send: (worker, heard, sent) => {
        const message = asJson(heard);
        this.told.push([worker, message]);
        const pass = (): void => {
          this.#workers.get(worker)?.hear(message);
          sent();
        };
        const waiting = this.#stopped.get(worker);
        if (waiting === undefined) pass();
        else waiting.push(pass);
      },
      soon: (then) => {
        this.#soon.push(then);
      },
    });
  }

  /** The channel of this worker. */
  channel(worker: number, name = 'upstreams'): Channel {
    let channels = this.#workers.get(worker);
    if (channels === undefined) {
      channels = new Channels((said, sent) => {
        const message = asJson(said);
        this.said.push([worker, message]);
        this.relay.hear(worker, message);
        if (this.#held === undefined) sent?.();
        else if (sent !== undefined) this.#held.push(sent);
      }, (what, cause) => {
        throw new Error(`a member ${what}`, { cause });
      });
      this.#workers.set(worker, channels);
    }
    return channels.channel(name);
  }

  /** Delivers everything that was sent. */
  deliver(): void {
    while (this.#soon.length > 0) for (const then of this.#soon.splice(0)) then();
  }

  /** Makes a worker stop reading until the returned function is called. */
  stop(worker: number): () => void {
    const waiting: (() => void)[] = [];
    this.#stopped.set(worker, waiting);
    return () => {
      this.#stopped.delete(worker);
      for (const pass of waiting) pass();
    };
  }

  /** Ends a worker's process. */
  end(worker: number): void {
    this.#workers.delete(worker);
    this.relay.gone(worker);
  }

  /** Holds back what workers send until the returned function is called. */
  hold(): () => void {
    this.#held = [];
    return () => {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const sent of held) sent();
    };
  }
}

function asJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
