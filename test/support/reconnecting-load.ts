/**
 * Load on real servers behind layer 4, by clients that connect again and again.
 */
import { Signal } from './wait.ts';

/** A connection of a client. */
export interface LoadConnection {
  /** The port of its server, once that has said so. */
  readonly server: number | undefined;
  /** Learns which server it has. */
  identify(): Promise<number>;
  /** Does the `i`th piece of work. */
  work(i: number): Promise<void>;
  /** Ends it in order, or at once. */
  end(): void;
  close(): void;
}

interface LostConnection {
  readonly client: number;
  readonly server: number | undefined;
  readonly why: string;
}

/** Clients that connect, work and connect again, until stopped. */
export class ReconnectingLoad {
  readonly failures: LostConnection[] = [];
  /** Pieces of work that were done, by server. */
  readonly answers = new Map<number, number>();
  readonly #connect: (client: number) => LoadConnection;
  readonly #pieces: number;
  readonly #signal = new Signal();
  readonly #clients: Promise<void>[];
  #stopped = false;

  /** Each connection does as many `pieces` of work. */
  constructor(clients: number, pieces: number, connect: (client: number) => LoadConnection) {
    this.#pieces = pieces;
    this.#connect = connect;
    this.#clients = Array.from({ length: clients }, (_, client) => this.#run(client));
  }

  /** Resolves when each of these servers has done so many pieces more. */
  async answered(ports: readonly number[], more: number): Promise<void> {
    const due = ports.map((port) => [port, (this.answers.get(port) ?? 0) + more] as const);
    await this.#signal.until(
      () => due.every(([port, count]) => (this.answers.get(port) ?? 0) >= count),
      () => `answers of ${ports.join(', ')}; so far ${JSON.stringify([...this.answers])}`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  /**
   * The failures that the death of the server at `port` does not explain: each client may lose one connection, that to
   * this server, perhaps before it was told which one it has.
   */
  unexplained(port: number): readonly LostConnection[] {
    const clients = new Set<number>();
    return this.failures.filter(({ client, server }) => {
      const isSecond = clients.has(client);
      clients.add(client);
      return isSecond || (server !== undefined && server !== port);
    });
  }

  async #run(client: number): Promise<void> {
    while (!this.#stopped) {
      const connection = this.#connect(client);
      try {
        const server = await connection.identify();
        for (let i = 0; i < this.#pieces; i++) {
          await connection.work(i);
          this.answers.set(server, (this.answers.get(server) ?? 0) + 1);
          this.#signal.raise();
        }
        connection.end();
      } catch (error) {
        this.failures.push({ client, server: connection.server, why: String(error) });
        connection.close();
      }
    }
  }
}
