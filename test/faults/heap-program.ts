/**
 * The program of heap.long.test.ts: repeats each fault and prints, a line each, how much memory was in use after each
 * group of repetitions. A separate process, because the hooks of the test runner retain memory.
 *
 *   node --expose-gc --import tsx heap-program.ts <repetitions> <part> <parts>
 */
import net from 'node:net';
import type { TestContext } from 'node:test';
import { createBalancer } from '../../src/balancer.ts';
import { first } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { goodFor, type Kind, UPGRADE } from '../support/fault-row.ts';
import { type Fault, faulty, FAULTS, well } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { play, startUpstream } from '../support/upstream.ts';
import { Signal, turns } from '../support/wait.ts';

const GROUPS = 5;
const AT_ONCE = 40;
/** Longer than any timeout. */
const PATIENCE_MS = 4_000_000;

/** In place of a test's context: its upstreams need an end. */
class Scope {
  #end: () => unknown = () => undefined;

  after(end: () => unknown): void {
    this.#end = end;
  }

  async end(): Promise<void> {
    await this.#end();
  }
}

/** A client that keeps its connection as long as it can: a new one for each request would take most of the time. */
class Client {
  readonly #port: number;
  #socket: net.Socket | undefined;
  #got = '';
  #done: () => void = () => undefined;

  constructor(port: number) {
    this.#port = port;
  }

  /** Sends one request and resolves when its answer is complete, or was cut. */
  ask(kind: Kind): Promise<void> {
    this.#got = '';
    this.#socket ??= this.#connect();
    this.#socket.write(get('/x', kind === 'upgrade' ? UPGRADE : ''));
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  #connect(): net.Socket {
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#got += text;
      // The client ends a tunnel.
      if (this.#got.includes(' 101 ')) {
        if (this.#got.endsWith('world')) socket.end();
      } else if (isWhole(this.#got)) this.#done();
    });
    socket.on('error', () => undefined);
    socket.on('end', () => {
      this.#socket = undefined;
    });
    socket.on('close', () => {
      this.#socket = undefined;
      this.#done();
    });
    return socket;
  }
}

/** Whether a response is complete, by its length or its last chunk. */
function isWhole(text: string): boolean {
  const length = /\r\nContent-Length: (\d+)\r\n/i.exec(text)?.[1];
  if (length === undefined) return text.endsWith('\r\n0\r\n\r\n');
  return text.length - text.lastIndexOf('\r\n\r\n') - 4 >= Number(length);
}

/** The octets in use after each group of repetitions. */
async function repeat(t: TestContext, fault: Fault, kind: Kind): Promise<number[]> {
  const signal = new Signal();
  let stalled = 0;
  const stall = (): void => {
    stalled++;
    signal.raise();
  };
  const script = faulty(fault, { ...goodFor(kind), stalled: stall });
  const a = await startUpstream(t, (peer) => play(peer, script));
  const b = await startUpstream(t, well);
  const time = new VirtualTime();
  const balancer = createBalancer({
    upstreams: [fault.origin ?? a.origin, b.origin],
    strategy: first,
    ejectAfter: 0,
    time,
    onReport: () => undefined,
    connect: ({ origin }) => {
      if (fault.connect === undefined || origin === b.origin) return undefined;
      stall();
      return fault.connect();
    },
  });
  const doors = await Promise.all(FRONTS.map((front) => front.open(balancer)));
  atEnd(t, async () => {
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await closed;
    await Promise.all(doors.map((door) => door.close()));
  });

  const clients = Array.from({ length: AT_ONCE }, (_, at) => new Client(doors[at % doors.length]?.port ?? 0));
  const one = async (client: Client): Promise<void> => {
    if (fault.used) await client.ask('GET');
    await client.ask(kind);
  };
  const sizes: number[] = [];
  for (let group = 0; group < GROUPS; group++) {
    for (let i = 0; i < repetitions / GROUPS; i += AT_ONCE) {
      const all = Promise.all(clients.map(one));
      if (fault.stalls) {
        await signal.until(() => stalled === AT_ONCE, () => 'all to stall');
        stalled = 0;
        await turns(4);
        time.advance(PATIENCE_MS);
      }
      await all;
    }
    // Idle connections are closed, and the upstreams forget them.
    time.advance(PATIENCE_MS);
    for (const { origin, inFlight } of balancer.upstreams) if (inFlight > 0) throw new Error(`in flight at ${origin}`);
    await a.forget();
    await b.forget();
    await turns(4);
    globalThis.gc?.();
    sizes.push(process.memoryUsage().heapUsed);
  }
  for (const client of clients) client.destroy();
  return sizes;
}

/** Each fault by GET, and the resets by an upgrade as well: those crash most proxies. */
const CASES = FAULTS.flatMap((fault) => {
  const kinds: readonly Kind[] = fault.name.startsWith('resets') ? ['GET', 'upgrade'] : ['GET'];
  return kinds.map((kind) => ({ fault, kind }));
});

const [repetitions = 0, part = 0, parts = 1] = process.argv.slice(2).map(Number);
const mine = CASES.filter((_, at) => at % parts === part);
// The first case runs once more, uncounted: what is compiled and cached then is retained.
for (const [at, { fault, kind }] of [...mine.slice(0, 1), ...mine].entries()) {
  const scope = new Scope();
  const sizes = await repeat(scope as unknown as TestContext, fault, kind);
  await scope.end();
  if (at > 0) console.log(JSON.stringify({ name: `${fault.name}: ${kind}`, sizes }));
}
