/**
 * Servers in virtual time: what an upstream does with the work that it gets.
 */
import type { Due, Timeline } from './timeline.ts';

/** A piece of work at a server. */
export interface Job {
  /** Milliseconds of work at speed 1. */
  readonly work: number;
  /** It is done. */
  done(now: number): void;
}

/** How a server shares its time: in the order of arrival, or among all that are there. */
export type Discipline = 'fifo' | 'ps';

/** A server. */
export interface Server {
  /** How many jobs are there, waiting ones included. */
  readonly present: number;
  submit(job: Job, now: number): void;
  /** Changes the speed; 0 stops it. What has begun goes on at the new speed. */
  setSpeed(speed: number, now: number): void;
  /** For how long it was busy until now: with a concurrency of 4, up to four milliseconds in each. */
  busyMs(now: number): number;
}

/** Creates a server that is `concurrency` jobs wide. */
export function createServer(timeline: Timeline, discipline: Discipline, concurrency: number, speed: number): Server {
  return discipline === 'ps' || concurrency === Infinity
    ? new SharingServer(timeline, concurrency, speed)
    : new QueueingServer(timeline, concurrency, speed);
}

/** First in, first out: serves up to `concurrency` jobs at a time, each at full speed; the others wait. */
class QueueingServer implements Server {
  readonly #slots: Slot[] = [];
  readonly #timeline: Timeline;
  /** Those that wait: a ring that starts at `#first`. */
  #ring: (Job | undefined)[] = new Array<Job | undefined>(16);
  #first = 0;
  #waiting = 0;
  /** Slots are made when they are needed: most of a wide server's never are. */
  readonly #idle: Slot[] = [];
  readonly #concurrency: number;
  #speed: number;

  constructor(timeline: Timeline, concurrency: number, speed: number) {
    this.#timeline = timeline;
    this.#concurrency = concurrency;
    this.#speed = speed;
  }

  get present(): number {
    return this.#waiting + this.#slots.length - this.#idle.length;
  }

  submit(job: Job, now: number): void {
    const slot = this.#idle.pop() ?? this.#added();
    if (slot === undefined) this.#push(job);
    else slot.begin(job, now, this.#speed, this.#timeline);
  }

  setSpeed(speed: number, now: number): void {
    for (const slot of this.#slots) slot.setSpeed(speed, now, this.#speed, this.#timeline);
    this.#speed = speed;
  }

  busyMs(now: number): number {
    let busy = 0;
    for (const slot of this.#slots) busy += slot.busyMs(now);
    return busy;
  }

  /** Another slot; undefined if there are as many as it serves at a time. */
  #added(): Slot | undefined {
    if (this.#slots.length >= this.#concurrency) return undefined;
    const slot = new Slot((free, now) => {
      this.#freed(free, now);
    });
    this.#slots.push(slot);
    return slot;
  }

  #freed(slot: Slot, now: number): void {
    const next = this.#shift();
    if (next === undefined) this.#idle.push(slot);
    else slot.begin(next, now, this.#speed, this.#timeline);
  }

  #push(job: Job): void {
    const ring = this.#ring;
    if (this.#waiting === ring.length) {
      this.#ring = [...ring.slice(this.#first), ...ring.slice(0, this.#first), ...new Array<undefined>(ring.length)];
      this.#first = 0;
    }
    this.#ring[(this.#first + this.#waiting++) % this.#ring.length] = job;
  }

  #shift(): Job | undefined {
    if (this.#waiting === 0) return undefined;
    const job = this.#ring[this.#first];
    this.#ring[this.#first] = undefined;
    this.#first = (this.#first + 1) % this.#ring.length;
    this.#waiting--;
    return job;
  }
}

/** The place of one job in service. */
class Slot implements Due {
  at = 0;
  turn = 0;
  place = -1;
  #job: Job | undefined;
  readonly #freed: (slot: Slot, now: number) => void;
  /** Work left at `#since`. */
  #left = 0;
  #since = 0;
  #busyMs = 0;

  constructor(freed: (slot: Slot, now: number) => void) {
    this.#freed = freed;
  }

  begin(job: Job, now: number, speed: number, timeline: Timeline): void {
    this.#job = job;
    this.#left = job.work;
    this.#since = now;
    if (speed > 0) timeline.schedule(this, now + job.work / speed);
  }

  setSpeed(speed: number, now: number, before: number, timeline: Timeline): void {
    if (this.#job === undefined) return;
    this.#left -= (now - this.#since) * before;
    this.#busyMs += now - this.#since;
    this.#since = now;
    if (speed > 0) timeline.schedule(this, now + Math.max(0, this.#left) / speed);
    else timeline.cancel(this);
  }

  busyMs(now: number): number {
    return this.#busyMs + (this.#job === undefined ? 0 : now - this.#since);
  }

  happen(now: number): void {
    const job = this.#job;
    this.#busyMs += now - this.#since;
    this.#job = undefined;
    // The place is taken by the next one before the answer leaves: its own next request queues behind that.
    this.#freed(this, now);
    job?.done(now);
  }
}

/**
 * Processor sharing: all jobs are served at once, each at the same rate, of at most `concurrency` times the speed
 * together; with an infinite concurrency nothing ever waits. Virtual work grows at that rate, and a job is done when it
 * has grown by the job's own.
 */
class SharingServer implements Server, Due {
  at = 0;
  turn = 0;
  place = -1;
  readonly #timeline: Timeline;
  readonly #concurrency: number;
  #speed: number;
  /** Virtual work at `#since`. */
  #virtual = 0;
  #since = 0;
  #busyMs = 0;
  /** A binary heap of jobs by the virtual work at which each is done; ties in order of arrival. */
  readonly #ends: { readonly job: Job; readonly end: number; readonly turn: number }[] = [];
  #turns = 0;

  constructor(timeline: Timeline, concurrency: number, speed: number) {
    this.#timeline = timeline;
    this.#concurrency = concurrency;
    this.#speed = speed;
  }

  get present(): number {
    return this.#ends.length;
  }

  submit(job: Job, now: number): void {
    this.#advance(now);
    this.#push({ job, end: this.#virtual + job.work, turn: this.#turns++ });
    this.#plan(now);
  }

  setSpeed(speed: number, now: number): void {
    this.#advance(now);
    this.#speed = speed;
    this.#plan(now);
  }

  busyMs(now: number): number {
    return this.#busyMs + (now - this.#since) * Math.min(this.#ends.length, this.#concurrency);
  }

  happen(now: number): void {
    this.#advance(now);
    const first = this.#shift();
    if (first === undefined) return;
    // Rounding may leave a little undone.
    this.#virtual = Math.max(this.#virtual, first.end);
    if (this.#ends.length === 0) this.#virtual = 0;
    this.#plan(now);
    first.job.done(now);
  }

  /** The rate at which each job is served. */
  get #rate(): number {
    return this.#speed * Math.min(1, this.#concurrency / this.#ends.length);
  }

  #advance(now: number): void {
    if (this.#ends.length > 0) {
      this.#busyMs += (now - this.#since) * Math.min(this.#ends.length, this.#concurrency);
      this.#virtual += (now - this.#since) * this.#rate;
    }
    this.#since = now;
  }

  #plan(now: number): void {
    const first = this.#ends[0];
    if (first === undefined || this.#speed === 0) this.#timeline.cancel(this);
    else this.#timeline.schedule(this, now + Math.max(0, first.end - this.#virtual) / this.#rate);
  }

  #push(entry: { readonly job: Job; readonly end: number; readonly turn: number }): void {
    const heap = this.#ends;
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || earlier(parent, entry)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = entry;
  }

  #shift(): { readonly job: Job; readonly end: number } | undefined {
    const heap = this.#ends;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      let child = heap[below];
      if (child === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && earlier(right, child)) {
        child = right;
        below++;
      }
      if (earlier(last, child)) break;
      heap[place] = child;
      place = below;
    }
    heap[place] = last;
    return first;
  }
}

function earlier(
  one: { readonly end: number; readonly turn: number }, other: { readonly end: number; readonly turn: number },
): boolean {
  return one.end < other.end || (one.end === other.end && one.turn < other.turn);
}
