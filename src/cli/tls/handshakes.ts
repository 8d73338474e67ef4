/**
 * The TLS handshakes under way: how many there are, and why they fail. Each costs memory before anything is known about
 * the client, so their number is limited.
 */
import type { Socket } from 'node:net';
import { type Placed, Roster } from '../../loop/roster.ts';
import { andMore, Throttle } from '../../loop/throttle.ts';

interface Handshake extends Placed {
  readonly socket: Socket;
  readonly address: string;
  readonly since: number;
}

export class Handshakes {
  /** The most at once. */
  max: number;
  /** Since the start. */
  readonly counts = { completed: 0, failed: 0, refused: 0 };
  readonly #log: (line: string) => void;
  readonly #now: () => number;
  readonly #throttle: Throttle;
  readonly #open = new Roster<Handshake>();
  readonly #bySocket = new WeakMap<Socket, Handshake>();
  readonly #refused = new WeakSet<Socket>();

  /** `now` gives monotonic milliseconds. */
  constructor(max: number, log: (line: string) => void, now: () => number) {
    this.max = max;
    this.#log = log;
    this.#now = now;
    this.#throttle = new Throttle(now);
  }

  /** How many are under way. */
  get open(): number {
    return this.#open.entries.length;
  }

  /** A connection begins its handshake. Returns false if there are too many, and closes it. */
  begin(socket: Socket): boolean {
    if (this.open >= this.max && !this.#makeRoom()) {
      this.#refuse(socket, addressOf(socket));
      return false;
    }
    const handshake = { place: -1, socket, address: addressOf(socket), since: this.#now() };
    this.#open.add(handshake);
    this.#bySocket.set(socket, handshake);
    socket.once('close', () => {
      this.#open.remove(handshake);
    });
    return true;
  }

  /** It is complete. */
  complete(socket: Socket | undefined): void {
    const handshake = socket && this.#bySocket.get(socket);
    this.counts.completed++;
    if (handshake !== undefined) this.#open.remove(handshake);
  }

  /** It failed. Clients that leave without a word are probes of other programs, and not worth a line. */
  fail(socket: Socket | undefined, why: string): void {
    const handshake = socket && this.#bySocket.get(socket);
    if (handshake !== undefined) this.#open.remove(handshake);
    if (socket !== undefined && this.#refused.has(socket)) return;
    this.counts.failed++;
    if (why === GONE && socket?.bytesRead === 0) return;
    this.#tell(why, `TLS handshake with ${handshake?.address ?? 'a client'} failed: ${why}`);
  }

  /**
   * Closes the handshake that has taken longest, if that is long: clients that stall must not keep others out. A burst
   * of clients that are all quick is another matter: there the latest has to wait its turn.
   */
  #makeRoom(): boolean {
    const [first] = this.#open.entries;
    if (first === undefined) return false;
    const oldest = this.#open.entries.reduce((old, each) => (each.since < old.since ? each : old), first);
    if (this.#now() - oldest.since < STALLED_MS) return false;
    this.#open.remove(oldest);
    this.#refuse(oldest.socket, oldest.address);
    return true;
  }

  #refuse(socket: Socket, address: string): void {
    this.counts.refused++;
    this.#refused.add(socket);
    socket.destroy();
    this.#tell('refused', `TLS handshake with ${address} refused: ${this.max} are under way (tls.maxHandshakes)`);
  }

  #tell(key: string, line: string): void {
    const untold = this.#throttle.pass(key);
    if (untold !== undefined) this.#log(`${line}${andMore(untold)}`);
  }
}

function addressOf({ remoteAddress }: Socket): string {
  return (remoteAddress ?? 'a client').replace(/^::ffff:/, '');
}

/** Why a handshake failed whose client closed the connection. */
export const GONE = 'the client closed the connection';
/** Longer than the handshakes of all but the slowest networks take. */
const STALLED_MS = 2_000;
