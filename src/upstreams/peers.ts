/**
 * What balancers with the same upstreams tell each other: which ones they ejected and readmitted, and how much they
 * have in flight. Each acts on it as if it had seen it itself.
 */
import type { Channel, ChannelMember, ChannelSeat } from '../channel.ts';
import { isRecord } from '../options/checks.ts';
import type { TimeSource } from '../loop/time-source.ts';
import { BalancerError } from '../errors.ts';
import { guarded, guardedValue, faultText, type OnFault } from '../guard.ts';
import type { Events } from '../events.ts';
import type { Upstream } from '../strategy.ts';
import type { UpstreamSet } from './upstream-set.ts';

/** One message. Upstreams are identified by their origins. */
interface PeerNews {
  /** Sent by a balancer that has just joined: the others reply with what it missed. */
  readonly hello?: true;
  /** For how many milliseconds each was ejected; null: until a probe succeeds. */
  readonly ejected?: Record<string, number | null>;
  readonly readmitted?: readonly string[];
  /** All that are ejected now, for newcomers. */
  readonly out?: Record<string, number | null>;
  /** How much the sender has in flight, where that differs from the number it sent last. */
  readonly inFlight?: Record<string, number>;
}

/** What it needs from the balancer. */
export interface PeersWorld {
  readonly upstreams: UpstreamSet;
  readonly events: Events;
  readonly time: TimeSource;
  /** Receives the faults of the channel. */
  readonly report: (error: BalancerError) => void;
  /** Called with whether this balancer is the one that probes. */
  readonly onLead: (leading: boolean) => void;
}

/** A seat as it is called: against the contract, it may return a promise. */
interface ForeignSeat {
  send(message: unknown, sent?: () => void): unknown;
  leave(): unknown;
}

export class Peers implements ChannelMember {
  readonly #world: PeersWorld;
  readonly #seat: ForeignSeat;
  readonly #stop: () => void;
  /** What each of the others has in flight, and the sum. */
  readonly #counts = new Map<number, Map<string, number>>();
  readonly #sums = new Map<string, number>();
  /** Origins whose displayed count still moves towards the sum. */
  readonly #moving = new Set<string>();
  /** Those that have sent what they knew when this one joined. */
  readonly #met = new Set<number>();
  /** What this one last sent of its own counts. */
  #told = new Map<string, number>();
  #newcomers = false;
  /** Whether it missed messages, and no other has sent yet what is ejected. */
  #behind = false;
  /** Whether the previous message has not been sent yet. */
  #sending = false;
  readonly #ejected = new Map<string, number | null>();
  readonly #readmitted = new Set<string>();
  /** Whether a message of another is being applied: what that causes is not sent again. */
  #obeying = false;

  /** Throws OPTIONS_INVALID if the channel cannot be joined. */
  constructor(channel: Channel, world: PeersWorld) {
    this.#world = world;
    const { events, time } = world;
    this.#stop = time.every(PERIOD_MS, () => {
      this.#approach();
      this.#tellCounts();
    });
    try {
      this.#seat = seatOf(channel, this);
    } catch (cause) {
      this.#stop();
      throw cause;
    }
    events.on('ejected', this.#onEjected);
    events.on('readmitted', this.#onReadmitted);
    this.#send({ hello: true });
  }

  /** Leaves the channel. */
  stop(): void {
    const { events } = this.#world;
    this.#stop();
    events.off('ejected', this.#onEjected);
    events.off('readmitted', this.#onReadmitted);
    guarded(() => this.#seat.leave(), this.#faultIn('leave'));
  }

  leads(leading: boolean): void {
    this.#world.onLead(leading);
  }

  left(from: number): void {
    for (const origin of this.#counts.get(from)?.keys() ?? []) this.#count(from, origin, 0);
    this.#counts.delete(from);
    this.#met.delete(from);
  }

  /**
   * Messages of the others were dropped: it starts over, like one that has just joined, and sends all it knows to those
   * that may have joined meanwhile. The others send what they hold ejected; the rest is then readmitted.
   */
  missed(): void {
    for (const [from, counts] of this.#counts) for (const origin of counts.keys()) this.#count(from, origin, 0);
    this.#counts.clear();
    this.#met.clear();
    this.#newcomers = true;
    this.#behind = true;
    this.#send({ hello: true });
  }

  /** Takes a message. It may come from another version of this program: what is not understood is ignored. */
  heard(message: unknown, from: number): void {
    if (!isRecord(message)) return;
    const { hello, ejected, readmitted, out, inFlight } = message;
    if (hello === true) {
      this.#newcomers = true;
      this.#met.delete(from);
    }
    this.#obeying = true;
    try {
      if (isRecord(ejected)) this.#eject(ejected);
      if (Array.isArray(readmitted)) this.#readmit(readmitted);
      if (isRecord(out) && !this.#met.has(from)) {
        this.#met.add(from);
        if (this.#behind) this.#readmit(this.#ejectedBut(out));
        this.#behind = false;
        this.#eject(out);
      }
    } finally {
      this.#obeying = false;
    }
    if (!isRecord(inFlight)) return;
    for (const [origin, count] of Object.entries(inFlight)) {
      if (typeof count === 'number' && count >= 0 && count < Infinity) this.#count(from, origin, count);
    }
  }

  #eject(all: Record<string, unknown>): void {
    const { upstreams, time } = this.#world;
    for (const [origin, forMs] of Object.entries(all)) {
      if (forMs === null) upstreams.ejectedByPeer(origin, Infinity, time.now());
      else if (typeof forMs === 'number' && forMs > 0) upstreams.ejectedByPeer(origin, forMs, time.now());
    }
  }

  /** What is ejected here but not in `out`. */
  #ejectedBut(out: Record<string, unknown>): string[] {
    return [...this.#world.upstreams.active]
      .filter(({ origin, health }) => health.standing === 'ejected' && !Object.hasOwn(out, origin))
      .map(({ origin }) => origin);
  }

  #readmit(origins: readonly unknown[]): void {
    const { upstreams, time } = this.#world;
    for (const origin of origins) {
      if (typeof origin === 'string') upstreams.readmittedByPeer(origin, time.now());
    }
  }

  #count(from: number, origin: string, count: number): void {
    let counts = this.#counts.get(from);
    if (counts === undefined) this.#counts.set(from, counts = new Map<string, number>());
    const sum = (this.#sums.get(origin) ?? 0) + count - (counts.get(origin) ?? 0);
    if (count === 0) counts.delete(origin);
    else counts.set(origin, count);
    this.#sums.set(origin, sum);
    this.#moving.add(origin);
  }

  /**
   * Takes a step towards what the others have in flight. A count that is a tenth of a second old says little about
   * shorter requests: workers that relied on it would all avoid the same upstream at once, and then all crowd it at
   * once. So each uses the moving average, in which lasting load shows soon enough.
   */
  #approach(): void {
    const { upstreams } = this.#world;
    for (const origin of this.#moving) {
      const sum = this.#sums.get(origin) ?? 0;
      const before = upstreams.countedElsewhere(origin);
      const next = before + (sum - before) * STEP;
      const there = Math.abs(sum - next) < CLOSE;
      upstreams.countElsewhere(origin, there ? sum : next);
      if (!there) continue;
      this.#moving.delete(origin);
      if (sum === 0) this.#sums.delete(origin);
    }
  }

  readonly #onEjected = ({ upstream, forMs }: { readonly upstream: Upstream; readonly forMs: number }): void => {
    if (this.#obeying || !this.#world.upstreams.owns(upstream)) return;
    this.#soon();
    this.#ejected.set(upstream.origin, forMs === Infinity ? null : forMs);
    this.#readmitted.delete(upstream.origin);
  };

  readonly #onReadmitted = ({ upstream }: { readonly upstream: Upstream }): void => {
    if (this.#obeying || !this.#world.upstreams.owns(upstream)) return;
    this.#soon();
    this.#readmitted.add(upstream.origin);
    this.#ejected.delete(upstream.origin);
  };

  /** Sends changes at once: all that have one cause, in one message. */
  #soon(): void {
    if (this.#readmitted.size + this.#ejected.size > 0) return;
    queueMicrotask(() => {
      const news = { ejected: Object.fromEntries(this.#ejected), readmitted: [...this.#readmitted] };
      // Cleared first, so that a channel that throws does not stop later messages.
      this.#ejected.clear();
      this.#readmitted.clear();
      this.#send(news);
    });
  }

  /** Sends the counts that have changed, or everything if there are newcomers. */
  #tellCounts(): void {
    if (this.#sending) return;
    const { upstreams, time } = this.#world;
    const newcomers = this.#newcomers;
    const now = new Map<string, number>();
    for (const { origin, inFlightHere } of upstreams.all) {
      // An origin may occur twice: draining, and added again.
      if (inFlightHere > 0) now.set(origin, (now.get(origin) ?? 0) + inFlightHere);
    }
    const changed = [...now].filter(([origin, count]) => newcomers || this.#told.get(origin) !== count);
    for (const origin of this.#told.keys()) if (!now.has(origin)) changed.push([origin, 0]);
    this.#told = now;
    this.#newcomers = false;
    if (changed.length === 0 && !newcomers) return;
    const out = newcomers ? Object.fromEntries([...upstreams.active]
      .filter(({ health }) => health.standing === 'ejected')
      .map(({ origin, health }) => [origin, health.down ? null : health.leftMs(time.now())])) : undefined;
    this.#sending = true;
    this.#send({ inFlight: Object.fromEntries(changed), ...(out === undefined ? {} : { out }) }, () => {
      this.#sending = false;
    });
  }

  /** `sent` is also called if the channel, which is foreign code, fails. */
  #send(news: PeerNews, sent?: () => void): void {
    guarded(() => this.#seat.send(news, sent), (what, cause) => {
      this.#faultIn('send')(what, cause);
      sent?.();
    });
  }

  #faultIn(method: string): OnFault {
    return (what, cause) => {
      this.#world.report(new BalancerError('HOOK_FAILED', `the channel in \`peers\` ${what} in ${method}`, { cause }));
    };
  }
}

/** Joins a channel, which is foreign code. Throws OPTIONS_INVALID. */
function seatOf(channel: Channel, member: ChannelMember): ChannelSeat {
  let problem = 'must return an object with the methods send and leave';
  const seat: unknown = guardedValue(() => channel.join(member), (what, cause) => {
    problem = faultText(what, cause);
  });
  const usable = guardedValue(() => {
    return isRecord(seat) && typeof seat['send'] === 'function' && typeof seat['leave'] === 'function';
  }, () => undefined);
  if (usable === true) return seat as ChannelSeat;
  throw new BalancerError('OPTIONS_INVALID', `invalid options: peers.join: ${problem}`);
}

/** Ten messages with counts per second. */
const PERIOD_MS = 100;
/**
 * The fraction of the distance that one step covers: 90% takes a second. Of the values tried in a simulation (two to
 * eight workers, requests of 10 ms to 10 s) it spreads short requests best, and long ones hardly worse than 0.5.
 */
const STEP = 0.2;
const CLOSE = 0.05;
