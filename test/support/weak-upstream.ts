/**
 * An upstream that is lax in chosen ways: it answers each request that it reads with its target, and closes the
 * connection at bytes that even it cannot read as a request.
 */
import assert from 'node:assert/strict';
import net, { type AddressInfo, type Socket } from 'node:net';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { FrontDoor, FrontKind } from './fronts.ts';
import type { Attempt } from './smuggling.ts';
import { decode, type Laxity } from './weak-decoder.ts';
import { exchange, type WireExchange } from './wire-client.ts';
import type { RecordedMessage } from './wire-decoder.ts';
import type { RecordingUpstream } from './wire-upstream.ts';

export interface WeakUpstream extends RecordingUpstream {
  /** The bytes of each connection between the last two calls of `take`. */
  readonly taken: readonly string[];
}

export async function startWeakUpstream(...lax: readonly Laxity[]): Promise<WeakUpstream> {
  let decoded: RecordedMessage[] = [];
  let faults: string[] = [];
  let taken: readonly string[] = [];
  const came = new Map<Socket, string>();
  const server = net.createServer((socket) => {
    let held = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {
      // The balancer may reset what it cannot finish.
    });
    socket.on('data', (text: string) => {
      came.set(socket, (came.get(socket) ?? '') + text);
      held += text;
      const { messages, fault, end } = decode(held, ...lax);
      held = held.slice(end);
      for (const message of messages) {
        const { method, target } = message;
        decoded.push(message);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${method === 'HEAD' ? '' : target}`);
      }
      if (fault === undefined) return;
      faults.push(fault);
      socket.destroy();
    });
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const sockets = new Set<Socket>();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get taken() {
      return taken;
    },
    take: () => {
      const all = { decoded, faults };
      taken = [...came.values()];
      came.clear();
      decoded = [];
      faults = [];
      return all;
    },
    close: () => new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
      for (const socket of sockets) socket.destroy();
    }),
  };
}

/** A balancer with one weak upstream behind it. */
export class BeforeWeakUpstream {
  readonly #front: FrontKind;
  readonly #lax: readonly Laxity[];
  #upstream: WeakUpstream | undefined;
  #balancer: Balancer | undefined;
  #door: FrontDoor | undefined;

  constructor(front: FrontKind, ...lax: readonly Laxity[]) {
    this.#front = front;
    this.#lax = lax;
  }

  /** The bytes of the last attempt, one entry per connection. */
  get taken(): readonly string[] {
    return this.#upstream?.taken ?? [];
  }

  async start(): Promise<void> {
    this.#upstream = await startWeakUpstream(...this.#lax);
    this.#balancer = createBalancer({ upstreams: [this.#upstream.origin], onReport: () => undefined });
    this.#door = await this.#front.open(this.#balancer);
  }

  /** Sends an attempt, and waits until it can have no further effect. */
  send({ name, raw }: Attempt): Promise<WireExchange> {
    assert.ok(this.#door !== undefined && this.#upstream !== undefined);
    const { messages, end } = decode(raw);
    const whole = end === raw.length;
    const wire = { id: name, group: '', raw, expect: whole ? 'forward' : 'reject', messages, why: '' } as const;
    return exchange(wire, this.#door.port, this.#upstream);
  }

  async end(): Promise<void> {
    await this.#balancer?.close({ timeoutMs: 0 });
    await this.#door?.close();
    await this.#upstream?.close();
  }
}
