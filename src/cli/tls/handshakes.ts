/**
 * The TLS handshakes under way: how many there are, how long they take, and why they fail. Each costs memory before
 * anything is known about the client, so their number is limited.
 */
import type { Socket } from 'node:net';
import { type Placed, Roster } from '../../loop/roster.ts';
import { andMore, Throttle } from '../../loop/throttle.ts';

interface Handshake extends Placed {
  readonly socket: Socket;
  readonly address: string;
  readonly since: number;
  /** Whether it is known how it ended. */
  over: boolean;
}

export interface HandshakeLimits {
  /** The most at once. */
  readonly maxHandshakes: number;
  readonly handshakeTimeoutMs: number;
}

export class Handshakes {
  limits: HandshakeLimits;
  /** Since the start. */
  readonly counts = { completed: 0, failed: 0, refused: 0 };
  readonly #log: (line: string) => void;
  readonly #now: () => number;
  readonly #throttle: Throttle;
  readonly #open = new Roster<Handshake>();
  readonly #bySocket = new WeakMap<Socket, Handshake>();
  readonly #timer: NodeJS.Timeout;

  /** `now` gives monotonic milliseconds. */
  constructor(limits: HandshakeLimits, log: (line: string) => void, now: () => number) {
    this.limits = limits;
    this.#log = log;
    this.#now = now;
    this.#throttle = new Throttle(now);
    this.#timer = setInterval(() => {
      this.#sweep();
    }, SWEEP_MS).unref();
  }

  /** How many are under way. */
  get open(): number {
    return this.#open.entries.length;
  }

  /** A connection begins its handshake. Returns false if there are too many, and closes it. */
  begin(socket: Socket): boolean {
    const handshake: Handshake = { place: -1, socket, address: addressOf(socket), since: this.#now(), over: false };
    if (this.open >= this.limits.maxHandshakes && !this.#makeRoom()) {
      this.#refuse(handshake);
      return false;
    }
    this.#open.add(handshake);
    this.#bySocket.set(socket, handshake);
    socket.once('close', () => {
      this.#open.remove(handshake);
      // TLS may still tell why.
      setImmediate(() => {
        this.#fail(handshake, GONE);
      });
    });
    return true;
  }

  /** It is complete. */
  complete(socket: Socket): void {
    const handshake = this.#bySocket.get(socket);
    if (handshake === undefined) return;
    handshake.over = true;
    this.counts.completed++;
    this.#open.remove(handshake);
  }

  /** It failed. */
  fail(socket: Socket, why: string): void {
    const handshake = this.#bySocket.get(socket);
    if (handshake !== undefined) this.#fail(handshake, why);
  }

  /** Handshakes are no longer ended for taking too long. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #fail(handshake: Handshake, why: string): void {
    if (handshake.over) return;
    handshake.over = true;
    this.#open.remove(handshake);
    this.counts.failed++;
    // Clients that leave without a word are probes of other programs, and not worth a line.
    if (why === GONE && handshake.socket.bytesRead === 0) return;
    this.#tell(why, `TLS handshake with ${handshake.address} failed: ${why}`);
  }

  /**
   * Closes the handshake that has taken longest, if that is long: clients that stall must not keep others out. A burst
   * of clients that are all quick is another matter: there the latest is refused.
   */
  #makeRoom(): boolean {
    const [first] = this.#open.entries;
    if (first === undefined) return false;
    const oldest = this.#open.entries.reduce((old, each) => (each.since < old.since ? each : old), first);
    if (this.#now() - oldest.since < STALLED_MS) return false;
    this.#refuse(oldest);
    return true;
  }

  #refuse(handshake: Handshake): void {
    handshake.over = true;
    this.counts.refused++;
    this.#open.remove(handshake);
    handshake.socket.destroy();
    const max = this.limits.maxHandshakes;
    this.#tell('refused', `TLS handshake with ${handshake.address} refused: ${max} are under way (tls.maxHandshakes)`);
  }

  #sweep(): void {
    const latest = this.#now() - this.limits.handshakeTimeoutMs;
    for (const handshake of [...this.#open.entries]) {
      if (handshake.since > latest) continue;
      this.#fail(handshake, 'it took too long (tls.handshakeTimeout)');
      handshake.socket.destroy();
    }
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
const SWEEP_MS = 1_000;
