/**
 * All workers as one: each admin listener answers for all of them. They talk on a channel: orders are told to all and
 * confirmed; what somebody asks for is answered by each; while pages are open, each says every second how it fares.
 */
import type { Channel, ChannelMember, ChannelSeat } from '../../channel.ts';
import { faultText, guarded } from '../../guard.ts';
import type { TimeSource } from '../../loop/time-source.ts';
import { isRecord } from '../../options/checks.ts';
import { type Order, type Orders, ordersIn } from './orders.ts';

/** What this worker answers when it is asked. */
export interface Answers {
  readonly ready: () => boolean;
  /** The answer to a question; anything that JSON can carry. */
  readonly answer: (question: Question) => unknown;
  /** Pages are open at some worker: to be told what `report` returns, for so long. */
  readonly watched: (ms: number) => void;
  readonly report: () => unknown;
}

export interface Question {
  readonly what: 'stats' | 'ready' | 'why';
  readonly filter?: unknown;
}

/** What one question brought. */
export interface Replies {
  /** One of each worker that answered in time, this one not included. */
  readonly values: readonly unknown[];
  /** How many other workers there are. */
  readonly others: number;
}

interface Gathering {
  readonly values: unknown[];
  readonly waitsFor: Set<number>;
  readonly done: () => void;
}

export class Workers implements ChannelMember {
  readonly me = crypto.randomUUID();
  readonly #answers: Answers;
  readonly #time: TimeSource;
  readonly #orders: (me: string) => Orders;
  readonly #others = new Set<number>();
  readonly #reports = new Map<number, { readonly value: unknown; readonly at: number }>();
  readonly #gatherings = new Map<string, Gathering>();
  #asked = 0;
  #seat: ChannelSeat | undefined;
  #watchedUntil = -Infinity;
  #stopReports: (() => void) | undefined;
  #reporting = false;

  constructor(answers: Answers, orders: (me: string) => Orders, time: TimeSource) {
    this.#answers = answers;
    this.#orders = orders;
    this.#time = time;
  }

  join(channel: Channel | undefined): void {
    this.#seat = channel?.join(this);
    this.#send({ type: 'hello' });
  }

  close(): void {
    this.#stopReports?.();
    for (const { done } of [...this.#gatherings.values()]) done();
    const seat = this.#seat;
    this.#seat = undefined;
    if (seat !== undefined) guarded(() => { seat.leave(); }, fault);
  }

  /** What the others reported in the last seconds. */
  get reports(): readonly unknown[] {
    const now = this.#time.now();
    return [...this.#reports.values()].filter(({ at }) => now - at < FRESH_MS).map(({ value }) => value);
  }

  /** Asks the others. Resolves when all have answered, or after `ms`. */
  ask(question: Question, ms: number): Promise<Replies> {
    return this.#gather({ type: 'ask', question }, ms);
  }

  /** Has the others obey. Resolves as `ask` does; each value is whether there is such an upstream. */
  order(order: Order, ms: number): Promise<Replies> {
    return this.#gather({ type: 'order', order }, ms);
  }

  /** Has the others report for some seconds, since a page is open here. */
  watch(): void {
    this.#send({ type: 'watch' });
  }

  // --- what the channel tells

  leads(): void {
    // Nothing here is for one worker alone.
  }

  left(from: number): void {
    this.#others.delete(from);
    this.#reports.delete(from);
    for (const gathering of [...this.#gatherings.values()]) {
      if (gathering.waitsFor.delete(from) && gathering.waitsFor.size === 0) gathering.done();
    }
  }

  missed(): void {
    this.#others.clear();
    this.#reports.clear();
    for (const { done } of [...this.#gatherings.values()]) done();
    this.#send({ type: 'hello' });
  }

  /** It may come from another version of this program: what is not understood is ignored. */
  heard(message: unknown, from: number): void {
    if (!isRecord(message)) return;
    this.#others.add(from);
    const { type, id, to } = message;
    switch (type) {
      case 'hello':
        // One that is stopping may go by an old configuration: others know better.
        this.#send({ type: 'state', ...(this.#answers.ready() ? { orders: this.#orders(this.me).all } : {}) });
        break;
      case 'state':
        for (const order of ordersIn(message['orders'])) this.#orders(this.me).obey(order);
        break;
      case 'order': {
        const [order] = ordersIn([message['order']]);
        const isThere = order !== undefined && this.#orders(this.me).obey(order);
        this.#send({ type: 'answer', id, value: isThere });
        break;
      }
      case 'ask':
        this.#send({ type: 'answer', id, value: this.#answers.answer(questionIn(message['question'])) });
        break;
      case 'answer':
        if (typeof id === 'string') this.#answered(id, from, message['value']);
        break;
      case 'watch':
        this.#startReports();
        break;
      case 'report':
        if (to === undefined) this.#reports.set(from, { value: message['value'], at: this.#time.now() });
        break;
      default:
    }
  }

  #answered(id: string, from: number, value: unknown): void {
    const gathering = this.#gatherings.get(id);
    if (gathering?.waitsFor.delete(from) !== true) return;
    gathering.values.push(value);
    if (gathering.waitsFor.size === 0) gathering.done();
  }

  async #gather(message: Readonly<Record<string, unknown>>, ms: number): Promise<Replies> {
    const others = this.#others.size;
    const values: unknown[] = [];
    if (others === 0 || this.#seat === undefined) return { values, others: 0 };
    const id = `${this.me} ${this.#asked++}`;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stop();
        this.#gatherings.delete(id);
        resolve();
      };
      const stop = this.#time.every(ms, done);
      this.#gatherings.set(id, { values, waitsFor: new Set(this.#others), done });
      this.#send({ ...message, id });
    });
    return { values, others };
  }

  /** Reports every second for some seconds from now on. */
  #startReports(): void {
    this.#watchedUntil = this.#time.now() + WATCHED_MS;
    this.#answers.watched(WATCHED_MS);
    this.#report();
    this.#stopReports ??= this.#time.every(REPORT_MS, () => {
      if (this.#time.now() < this.#watchedUntil) {
        this.#report();
        return;
      }
      this.#stopReports?.();
      this.#stopReports = undefined;
    });
  }

  #report(): void {
    if (this.#reporting) return;
    this.#reporting = true;
    this.#send({ type: 'report', value: this.#answers.report() }, () => {
      this.#reporting = false;
    });
  }

  #send(message: unknown, sent?: () => void): void {
    const seat = this.#seat;
    if (seat === undefined) {
      sent?.();
      return;
    }
    guarded(() => { seat.send(message, sent); }, (what, cause) => {
      fault(what, cause);
      sent?.();
    });
  }
}

function questionIn(value: unknown): Question {
  const { what, filter } = isRecord(value) ? value : {};
  return { what: what === 'why' || what === 'ready' ? what : 'stats', filter };
}

/** The channel is foreign code. */
function fault(what: string, cause: unknown): void {
  process.emitWarning(`the channel of an admin listener ${faultText(what, cause)}`);
}

const REPORT_MS = 1_000;
/** Pages ask again each second; one that is late does not interrupt the reports. */
const WATCHED_MS = 4_000;
/** A worker that misses two reports shows nothing. */
const FRESH_MS = 3_500;
