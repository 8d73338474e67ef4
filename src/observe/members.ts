/**
 * How the processes that measure together add up. Each sends what it has counted, numbered, to all others; so all hold
 * the same totals, and what a process has sent stays when it is gone. One that comes later asks the others for their
 * totals. A scrape first asks everybody for what is not sent yet: whichever process it reaches, no counter goes back.
 * It is long because the messages of a member's life, from its joining to its end, change the same state.
 */
import type { Channel, ChannelMember } from '../channel.ts';
import { BalancerError } from '../errors.ts';
import { faultText, guarded, guardedValue, type OnFault } from '../guard.ts';
import type { TimeSource } from '../loop/time-source.ts';
import { isRecord } from '../options/checks.ts';
import { type Gauges } from './families.ts';
import { gaugesIn } from './gauges-in.ts';
import { type Owner, type Row, rowsIn, Totals } from './totals.ts';

/** What a process measures. */
export interface Source {
  /** Hands over what was counted since the last time. */
  take(): Row[];
  gauges(): Promise<Gauges>;
  /** Whether a pool or an upstream is still there. */
  exists(owner: Owner): boolean;
}

/** A change of the totals. Those of one process are numbered from 1. */
interface Change {
  readonly me: string;
  readonly seq: number;
  readonly add: readonly Row[];
  /** Owners that were removed. */
  readonly retire: readonly Owner[];
}

/** One message: what it says about its sender, `me`, and one thing more. */
interface News {
  readonly me: string;
  /** It has just come, and needs the totals: of the leader, or of `anyone` who has them. */
  readonly hello?: 'leader' | 'anyone';
  readonly change?: Omit<Change, 'me'>;
  /** The totals, and the number of the last change of each process in them. */
  readonly state?: { readonly rows: readonly Row[]; readonly seqs: Readonly<Record<string, number>> };
  /** A request for what is not sent yet, and for the gauges; and the answer, which follows it. */
  readonly ask?: number;
  /** Of the process that asks. */
  readonly gauges?: Gauges;
  readonly answer?: { readonly to: string; readonly ask: number; readonly gauges: Gauges };
}

/** Another process. */
interface Peer {
  readonly me: string;
  gauges: Gauges | undefined;
}

/** A scrape that waits for the others. */
interface Asked {
  readonly waitsFor: Set<number>;
  sent: boolean;
  ticks: number;
  readonly done: () => void;
}

/** A seat as it is called: against the contract, it may return a promise. */
interface ForeignSeat {
  send(message: unknown, sent?: () => void): unknown;
  keep?(value: unknown): unknown;
  leave(): unknown;
}

export class Members implements ChannelMember {
  readonly #source: Source;
  readonly #time: TimeSource;
  readonly #totals = new Totals();
  readonly #me: string = crypto.randomUUID();
  readonly #seat: ForeignSeat | undefined;
  #stop: (() => void) | undefined;
  #seq = 0;
  /** Whether the totals have changed since they were kept, and when they were. */
  #unkept = false;
  #keptAt = 0;
  /** The number of the last change of each process in the totals. */
  readonly #seqs = new Map<string, number>();
  /** Changes that have come before the totals did; undefined once those are complete. */
  #early: Change[] | undefined;
  #onComplete: (() => void)[] = [];
  readonly #peers = new Map<number, Peer>();
  /** Processes that are gone, the latest ones: a newcomer may still hold changes of theirs. */
  readonly #gone: string[] = [];
  #leading: boolean;
  /** Whether a newcomer could not be answered yet. */
  #owes = false;
  #sending = 0;
  #ticks = 0;
  #asks = 0;
  /** With how many owners some must be retired at once. */
  #most = 2 * MAX_REMOVED;
  readonly #asked = new Map<number, Asked>();
  #closed = false;
  #faulty = false;

  /** Throws OPTIONS_INVALID if the channel cannot be joined. */
  constructor(source: Source, channel: Channel | undefined, time: TimeSource) {
    this.#source = source;
    this.#time = time;
    this.#leading = channel === undefined;
    if (channel === undefined) return;
    this.#early = [];
    this.#seat = seatOf(channel, this);
    this.#stop = time.every(TICK_MS, () => {
      this.#tick();
    });
    this.#send({ hello: 'leader' });
  }

  /** The totals, and what each process says of itself, this one first. Rejects with CLOSING once it has left. */
  async gather(): Promise<{ readonly totals: Totals; readonly gauges: readonly Gauges[] }> {
    if (this.#early !== undefined) {
      await new Promise<void>((resolve) => {
        this.#onComplete.push(resolve);
      });
    }
    // It hears no more of the others, and would let counters fall.
    if (this.#closed && this.#seat !== undefined) throw new BalancerError('CLOSING');
    this.report();
    if (this.#seat === undefined) this.#retire();
    // The others hear what this process says of itself before the scraper does: some of it is counters.
    const own = await this.#source.gauges();
    await this.#ask(own);
    const others = [...this.#peers.values()].map(({ gauges }) => gauges).filter((gauges) => gauges !== undefined);
    return { totals: this.#totals, gauges: [own, ...others] };
  }

  /** Adds what was counted since the last report, here and everywhere. */
  report(sent?: () => void): void {
    const add = this.#source.take();
    if (add.length > 0) this.#change(add, [], sent);
    else sent?.();
  }

  /** Makes the last report, and leaves. Resolves when it is on its way. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#seat === undefined) {
      this.report();
      return;
    }
    await new Promise<void>((resolve) => {
      const asked = { waitsFor: new Set<number>(), sent: false, ticks: 0, done: resolve };
      this.#asked.set(++this.#asks, asked);
      this.report(() => {
        asked.sent = true;
        this.#settle();
      });
    });
    this.#stop?.();
    this.#complete();
    for (const { done } of this.#asked.values()) done();
    this.#asked.clear();
    guarded(() => this.#seat?.leave(), this.#faultIn('leave'));
  }

  // --- calls from the channel

  heard(message: unknown, from: number): void {
    if (this.#closed || !isRecord(message)) return;
    const { me, hello, change, state, ask, answer } = message;
    if (typeof me !== 'string') return;
    const peer = this.#met(from, me);
    if (hello === 'leader' || hello === 'anyone') this.#greet(hello);
    const changed = changeIn(change, me);
    if (changed !== undefined) this.#apply(changed);
    if (isRecord(state)) this.#adopt(state);
    if (typeof ask === 'number') void this.#answer(me, ask);
    peer.gauges = gaugesIn(message['gauges']) ?? peer.gauges;
    if (!isRecord(answer)) return;
    peer.gauges = gaugesIn(answer['gauges']) ?? peer.gauges;
    if (answer['to'] !== this.#me || typeof answer['ask'] !== 'number') return;
    this.#asked.get(answer['ask'])?.waitsFor.delete(from);
    this.#settle();
  }

  left(from: number): void {
    const peer = this.#peers.get(from);
    this.#peers.delete(from);
    if (peer !== undefined && this.#gone.push(peer.me) > MAX_GONE) this.#seqs.delete(this.#gone.shift() ?? '');
    for (const { waitsFor } of this.#asked.values()) waitsFor.delete(from);
    this.#settle();
  }

  leads(leading: boolean): void {
    this.#leading = leading;
  }

  /** Changes of others were lost: it starts over, like one that has just come. */
  missed(): void {
    if (this.#closed) return;
    this.#early ??= [];
    this.#ticks = this.#keptAt = 0;
    this.#peers.clear();
    this.#send({ hello: 'anyone' });
  }

  /** All others are gone, and this is what they knew. */
  kept(value: unknown): void {
    if (isRecord(value)) this.#adopt(value);
  }

  // --- the totals

  #change(add: readonly Row[], retire: readonly Owner[], sent?: () => void): void {
    const change = { seq: ++this.#seq, add, retire };
    this.#apply({ me: this.#me, ...change });
    if (this.#seat === undefined) sent?.();
    else this.#send({ change }, sent);
  }

  #apply(change: Change): void {
    const { me, seq, add, retire } = change;
    if (this.#early !== undefined) {
      this.#early.push(change);
      return;
    }
    if (seq <= (this.#seqs.get(me) ?? 0)) return;
    this.#seqs.set(me, seq);
    const now = this.#time.now();
    this.#unkept = true;
    this.#totals.retire(retire, now);
    this.#totals.add(add, now);
  }

  /** Takes the totals of another process, and adds the changes that are not in them. */
  #adopt({ rows, seqs }: Record<string, unknown>): void {
    if (this.#early === undefined || !isRecord(seqs)) return;
    this.#totals.replace(rowsIn(rows), this.#time.now());
    this.#seqs.clear();
    for (const [me, seq] of Object.entries(seqs)) if (typeof seq === 'number') this.#seqs.set(me, seq);
    this.#complete();
  }

  /** The totals are complete, but for the changes that have come early. */
  #complete(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const change of early) this.#apply(change);
    for (const done of this.#onComplete.splice(0)) done();
    if (this.#owes && !this.#closed) this.#tellState();
  }

  /** Moves what was counted of pools and upstreams that are long gone, or too many, to one row for all of them. */
  #retire(): void {
    const now = this.#time.now();
    const owners = this.#totals.idle((owner) => this.#source.exists(owner), now - KEEP_MS, MAX_REMOVED);
    if (owners.length > 0) this.#change([], owners);
    this.#most = this.#totals.owners + MAX_REMOVED;
  }

  // --- the others

  #met(from: number, me: string): Peer {
    let peer = this.#peers.get(from);
    if (peer?.me !== me) this.#peers.set(from, peer = { me, gauges: undefined });
    return peer;
  }

  #greet(whom: 'leader' | 'anyone'): void {
    const knows = this.#early === undefined;
    if (!knows) this.#owes = true;
    if (knows && (this.#leading || whom === 'anyone')) this.#tellState();
    else this.#send({});
  }

  #tellState(): void {
    this.#owes = false;
    this.#send({ state: this.#state });
  }

  get #state(): NonNullable<News['state']> {
    return { rows: this.#totals.all(), seqs: Object.fromEntries(this.#seqs) };
  }

  /** Has the channel remember the totals, in case all processes die at once. One of them does, if it is `due`. */
  #keep(due: boolean): void {
    if (!this.#leading || !this.#unkept || this.#early !== undefined || !due) return;
    this.#unkept = false;
    this.#keptAt = this.#ticks;
    guarded(() => this.#seat?.keep?.(this.#state), this.#faultIn('keep'));
  }

  /** Resolves when all others have sent what they had, or some of them take too long. */
  async #ask(gauges: Gauges): Promise<void> {
    if (this.#seat === undefined) return;
    if (this.#closed) throw new BalancerError('CLOSING');
    const ask = ++this.#asks;
    this.#keep(true);
    await new Promise<void>((done) => {
      const asked = { waitsFor: new Set(this.#peers.keys()), sent: false, ticks: 0, done };
      this.#asked.set(ask, asked);
      this.#send({ ask, gauges }, () => {
        // What this process has counted is out of it: it would survive its death.
        asked.sent = true;
        this.#settle();
      });
    });
  }

  async #answer(to: string, ask: number): Promise<void> {
    this.report();
    this.#keep(true);
    const gauges = await this.#source.gauges();
    if (!this.#closed) this.#send({ answer: { to, ask, gauges } });
  }

  /** Ends the scrapes that wait for nothing more. */
  #settle(): void {
    for (const [ask, { sent, waitsFor, ticks, done }] of this.#asked) {
      if ((!sent || waitsFor.size > 0) && ticks < PATIENCE_TICKS) continue;
      this.#asked.delete(ask);
      done();
    }
  }

  #tick(): void {
    this.#ticks++;
    for (const asked of this.#asked.values()) asked.ticks++;
    this.#settle();
    if (this.#closed) return;
    if (this.#sending === 0) {
      this.report();
      // Thousands of upstreams have a megabyte of totals: not ten times a second.
      this.#keep((this.#ticks - this.#keptAt) * OWNERS_PER_TICK >= this.#totals.owners);
    }
    if (this.#early !== undefined) {
      if (this.#ticks === ANYONE_TICKS) this.#send({ hello: 'anyone' });
      // There is nobody who knows more.
      if (this.#ticks >= (this.#leading ? FIRST_TICKS : ALONE_TICKS)) this.#complete();
    } else if (this.#leading && (this.#ticks % RETIRE_TICKS === 0 || this.#totals.owners > this.#most)) this.#retire();
  }

  /** `sent` is also called if the channel, which is foreign code, fails. */
  #send(news: Omit<News, 'me'>, sent?: () => void): void {
    this.#sending++;
    let done = false;
    const once = (): void => {
      if (done) return;
      done = true;
      this.#sending--;
      sent?.();
    };
    guarded(() => this.#seat?.send({ me: this.#me, ...news } satisfies News, once), (what, cause) => {
      this.#faultIn('send')(what, cause);
      once();
    });
  }

  /** One warning is enough: a channel that fails once usually fails each time. */
  #faultIn(method: string): OnFault {
    return (what, cause) => {
      if (this.#faulty) return;
      this.#faulty = true;
      process.emitWarning(`createMetrics: the channel ${faultText(`${what} in ${method}`, cause)}`,
        { code: 'HOOK_FAILED' });
    };
  }
}

function changeIn(value: unknown, me: string): Change | undefined {
  if (!isRecord(value) || typeof value['seq'] !== 'number') return undefined;
  const retire = Array.isArray(value['retire']) ? value['retire'].filter(isOwner) : [];
  return { me, seq: value['seq'], add: rowsIn(value['add']), retire };
}

function isOwner(value: unknown): value is Owner {
  if (!isRecord(value)) return false;
  const { pool, upstream } = value;
  return typeof pool === 'string' && (upstream === undefined || typeof upstream === 'string');
}

/** Joins a channel, which is foreign code. Throws OPTIONS_INVALID. */
function seatOf(channel: Channel, member: ChannelMember): ForeignSeat {
  let problem = 'must return an object with the methods send and leave';
  const seat: unknown = guardedValue(() => channel.join(member), (what, cause) => {
    problem = faultText(what, cause);
  });
  if (isRecord(seat) && typeof seat['send'] === 'function' && typeof seat['leave'] === 'function') {
    return seat as unknown as ForeignSeat;
  }
  throw new BalancerError('OPTIONS_INVALID', `createMetrics: channel.join: ${problem}`);
}

/** Ten reports a second: what a process that is killed has not sent is 100 ms old at most. */
const TICK_MS = 100;
/** How long a scrape waits for a process that does not answer. */
const PATIENCE_TICKS = 10;
/** When a newcomer that got no totals of the leader asks anyone. */
const ANYONE_TICKS = 2;
/** When a newcomer takes itself for the first: the leader soon, another only if the leader does not answer. */
const FIRST_TICKS = 5;
const ALONE_TICKS = 20;
const RETIRE_TICKS = 10;
const OWNERS_PER_TICK = 50;
/** Prometheus forgets a series five minutes after it is gone: twice that, so that none is missed. */
const KEEP_MS = 600_000;
/** Removed upstreams and pools that keep their own series so long. */
const MAX_REMOVED = 1_000;
const MAX_GONE = 256;
