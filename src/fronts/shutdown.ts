/**
 * How a balancer closes: when it stops accepting, when it cuts what is left, and when it is done.
 */
import type { TimeSource } from '../loop/time-source.ts';

/** The balancer that closes. */
export interface Closing {
  readonly time: TimeSource;
  /** How many downstreams are left. */
  readonly downstreams: { readonly size: number };
  /** Stops accepting; what is left is cut at `cutAt`. Resolves when the servers are closed. */
  stopAccepting(now: number, cutAt: number): Promise<unknown>;
  /** Cuts what is left. Returns how many connections and requests lost something. */
  cut(): number;
  /** Nothing is left downstream: ends the rest. */
  finish(): Promise<void>;
}

export class Shutdown {
  readonly #closing: Closing;
  #stopAt = Infinity;
  #cutAt = Infinity;
  #isStopped = false;
  #closed: Promise<{ cut: number }> | undefined;
  /** Called once, when accepting stops, with a promise that the servers are closed. */
  #onStopped: (servers: Promise<unknown>) => void = () => undefined;
  #onEmpty: (() => void) | undefined;
  #cut = 0;

  constructor(closing: Closing) {
    this.#closing = closing;
  }

  /** Whether `close` was called. */
  get isAsked(): boolean {
    return this.#closed !== undefined;
  }

  /** As `balancer.close`: calling it again can only bring the times forward. */
  async close(timeoutMs: number, delayMs: number): Promise<{ cut: number }> {
    const now = this.#closing.time.now();
    this.#stopAt = Math.min(this.#stopAt, now + delayMs);
    this.#cutAt = Math.min(this.#cutAt, now + delayMs + timeoutMs);
    this.#closed ??= this.#close();
    this.stopWhenDue(now);
    return await this.#closed;
  }

  /** The last downstream is gone. */
  empty(): void {
    this.#onEmpty?.();
  }

  /** Stops accepting once the delay is over. */
  stopWhenDue(now: number): void {
    if (now < this.#stopAt || this.#isStopped) return;
    // First, since a listener that hears of it may close the balancer once more.
    this.#isStopped = true;
    let servers: Promise<unknown>;
    try {
      servers = this.#closing.stopAccepting(now, this.#cutAt);
    } catch (cause) {
      this.#isStopped = false;
      throw cause;
    }
    this.#onStopped(servers);
  }

  /** Cuts what is left once the time is over. */
  cutWhenDue(now: number): void {
    if (now >= this.#cutAt && this.#isStopped) this.#cut += this.#closing.cut();
  }

  async #close(): Promise<{ cut: number }> {
    const servers = await new Promise<{ readonly closed: Promise<unknown> }>((resolve) => {
      this.#onStopped = (closed) => {
        resolve({ closed });
      };
    });
    await servers.closed;
    if (this.#closing.downstreams.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
      this.#onEmpty = undefined;
    }
    await this.#closing.finish();
    return { cut: this.#cut };
  }
}
