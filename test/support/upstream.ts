/**
 * An upstream that follows its script byte for byte, and records what happens to it.
 */
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type Body, Broken, Head, Inbox, NO_BODY, readBody } from './message.ts';
import { atEnd } from './scope.ts';
import { gate, Signal } from './wait.ts';

/** One step on one connection: bytes to send, or something to do. */
export type Step = string | Buffer | ((peer: Peer) => unknown);
/** What happens on one connection. It then stays open until the balancer closes it. */
export type Script = readonly Step[] | ((peer: Peer) => unknown);
/** One function for all connections; or a script for each, where an extra connection fails the test. */
export type Scripts = readonly Script[] | ((peer: Peer) => unknown);

/** A request as it arrived. */
export interface Received {
  readonly head: Head;
  readonly body: Body;
}

/** The upstream's end of one connection. */
export class Peer {
  /** The number of this connection among the upstream's, from 1. */
  readonly number: number;
  readonly socket: Socket;
  readonly inbox: Inbox;
  /** The requests read so far. */
  readonly requests: Received[] = [];
  readonly #note: (event: string | null) => void;

  /** `note` is called with each event, and with null when a request was read. */
  constructor(number: number, socket: Socket, note: (event: string | null) => void) {
    this.number = number;
    this.socket = socket;
    this.inbox = new Inbox(socket);
    this.#note = note;
  }

  async head(): Promise<Head> {
    const head = new Head(await this.inbox.until('\r\n\r\n'));
    this.#note(head.line.replace(/ HTTP\/1\.1$/, ''));
    return head;
  }

  /** Reads the body that `head` announces. */
  async body(head: Head): Promise<Body> {
    const body = await readBody(this.inbox, head, false);
    if (body !== NO_BODY) this.#note(`body ${body.bytes.length}`);
    return body;
  }

  async request(): Promise<Received> {
    const head = await this.head();
    const request = { head, body: await this.body(head) };
    this.requests.push(request);
    this.#note(null);
    return request;
  }

  /** Reads `length` bytes, whatever they are. */
  async bytes(length: number): Promise<string> {
    const text = (await this.inbox.exactly(length)).toString('latin1');
    this.#note(`read ${text}`);
    return text;
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes, 'latin1');
  }

  /** Sends `bytes`; resolves when the kernel has them all, so never if the balancer does not read. */
  async push(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => {
        if (error) reject(new Broken('reset', 'all was sent'));
        else resolve();
      });
    });
  }
}

/** Reads one request, including its body. */
export const request = (peer: Peer): Promise<Received> => peer.request();
/** Reads the head of a request and leaves its body unread. */
export const head = (peer: Peer): Promise<Head> => peer.head();
/** Reads `length` bytes, whatever they are. */
export const bytes = (length: number): Step => (peer) => peer.bytes(length);
/** Closes the sending side and keeps reading. */
export const halfClose = (peer: Peer): void => {
  peer.socket.end();
};
/** Closes both directions, once what was sent before has been written. */
export const close = (peer: Peer): void => {
  peer.socket.end(() => {
    peer.socket.destroy();
  });
};
/** Resets the connection. */
export const reset = (peer: Peer): void => {
  peer.socket.resetAndDestroy();
};
/** Waits until the balancer closes its sending side. */
export const untilEnd = async (peer: Peer): Promise<void> => {
  await peer.inbox.over();
};
/** Waits for `opened` without reading. */
export const when = (opened: Promise<void>): Step => () => opened;

/** A response of known length. `fields` are whole lines. */
export function response(body: string, fields = '', status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body, 'latin1')}\r\n${fields}\r\n${body}`;
}

/** Answers each request on the connection with `answer`. */
export function serve(
  answer: (received: Received, peer: Peer) => string | Buffer,
): (peer: Peer) => Promise<never> {
  return async (peer) => {
    for (;;) peer.send(answer(await peer.request(), peer));
  };
}

/** Answers each request with 200 and its target. */
export const echo = serve(({ head: { line } }) => {
  const [method, target = ''] = line.split(' ');
  return method === 'HEAD' ? `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n` : response(target);
});

export class ScriptedUpstream {
  readonly origin: string;
  readonly port: number;
  /**
   * What happened, each with the number of its connection: `1 open`, `1 GET /path`, `1 body 5`, `1 read abc`, `1 end`
   * (the balancer closed its sending side), `1 reset`.
   */
  readonly events: string[] = [];
  readonly peers: Peer[] = [];
  #accepted = 0;
  readonly #server: Server;
  readonly #signal = new Signal();
  readonly #faults: unknown[] = [];
  /** The running scripts, each with a function that stops waiting for it. */
  readonly #running = new Map<Promise<void>, () => void>();

  constructor(server: Server, scripts: Scripts) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.origin = `http://127.0.0.1:${this.port}`;
    server.on('connection', (socket) => {
      const number = ++this.#accepted;
      const script = typeof scripts === 'function' ? scripts : scripts[number - 1];
      const peer = new Peer(number, socket, (event) => {
        this.#note(number, event);
      });
      this.peers.push(peer);
      this.#note(number, 'open');
      socket.on('end', () => {
        this.#note(number, 'end');
      });
      socket.on('error', () => {
        this.#note(number, 'reset');
      });
      if (script === undefined) this.#faults.push(new Error(`connection ${number} was not expected`));
      // One for each: a promise shared by all of them would retain what each has seen.
      const ended = gate();
      const running = this.#run(peer, script ?? [], ended.opened);
      this.#running.set(running, ended.open);
      void running.then(() => this.#running.delete(running));
    });
  }

  /** The events of all connections without their numbers. */
  get plainEvents(): string[] {
    return this.events.map((event) => event.replace(/^\d+ /, ''));
  }

  /** The requests that were completely read, over all connections. */
  get requests(): Received[] {
    return this.peers.flatMap((peer) => peer.requests);
  }

  /** The last request that was completely read. */
  latest: Received | undefined;

  /** Resolves when an event has happened, `times` times. */
  saw(event: string, times = 1): Promise<void> {
    return this.#signal.until(
      () => this.events.filter((other) => other === event).length >= times,
      () => `${times} x '${event}' at the upstream, which saw [${this.events.join(', ')}]`,
    );
  }

  /** Resolves when an event has happened on any connection. */
  sawAnywhere(event: string): Promise<void> {
    return this.#signal.until(
      () => this.plainEvents.includes(event),
      () => `'${event}' at the upstream, which saw [${this.events.join(', ')}]`,
    );
  }

  /** Resolves when `count` requests were read, over all connections. */
  read(count: number): Promise<void> {
    return this.#signal.until(
      () => this.requests.length >= count,
      () => `${count} requests at the upstream, which saw [${this.events.join(', ')}]`,
    );
  }

  /** Resolves with how the balancer ended connection `number`. Its script must be reading, or have ended. */
  async gone(number: number): Promise<'end' | 'reset'> {
    const how = (): 'end' | 'reset' | undefined => this.#peer(number)?.inbox.ended;
    await this.#signal.until(
      () => how() !== undefined,
      () => `the end of connection ${number} at the upstream, which saw [${this.events.join(', ')}]`,
    );
    return how() ?? 'reset';
  }

  /** Waits until the balancer has ended all connections, then forgets them and their events. */
  async forget(): Promise<void> {
    for (const { number } of this.peers) await this.gone(number);
    this.peers.length = this.events.length = 0;
    this.latest = undefined;
  }

  /** Stops listening: further connections are refused. */
  refuse(): void {
    this.#server.close();
  }

  /** Closes what is open. Fails if a script failed, or if the balancer left a connection open. */
  async end(): Promise<void> {
    this.#server.close();
    for (const end of this.#running.values()) end();
    const left = this.peers.map((peer) => this.gone(peer.number));
    const failures = (await Promise.allSettled(left)).filter((result) => result.status === 'rejected');
    for (const peer of this.peers) peer.socket.destroy();
    await Promise.all(this.#running.keys());
    if (this.#faults.length > 0) throw this.#faults[0];
    if (failures[0] !== undefined) throw failures[0].reason;
  }

  #peer(number: number): Peer | undefined {
    return this.peers.find((peer) => peer.number === number);
  }

  #note(number: number, event: string | null): void {
    if (event === null) this.latest = this.#peer(number)?.requests.at(-1);
    else this.events.push(`${number} ${event}`);
    this.#signal.raise();
  }

  async #run(peer: Peer, script: Script, ended: Promise<void>): Promise<void> {
    try {
      await Promise.race([play(peer, script), ended]);
    } catch (cause) {
      // Most scripts end with their connection; the events show whether it should have ended.
      if (!(cause instanceof Broken)) this.#faults.push(cause);
    }
    await peer.inbox.over();
    this.#signal.raise();
    peer.socket.end();
  }
}

/** Runs a script on one connection. */
export async function play(peer: Peer, script: Script): Promise<void> {
  if (typeof script === 'function') {
    await script(peer);
    return;
  }
  for (const step of script) {
    if (typeof step === 'function') await step(peer);
    else peer.send(step);
  }
}

/** Starts an upstream on a free port. It ends with the test. */
export async function startUpstream(t: TestContext, scripts: Scripts): Promise<ScriptedUpstream> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const upstream = new ScriptedUpstream(server, scripts);
  atEnd(t, () => upstream.end());
  return upstream;
}

/**
 * An origin that refuses connections. Not a port that was free a moment ago, which another test may have taken by now:
 * these ports belong to long-dead services.
 */
export function refusingOrigin(port: 1 | 2 | 3 = 1): string {
  return `http://127.0.0.1:${port}`;
}
