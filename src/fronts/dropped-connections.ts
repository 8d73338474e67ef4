/**
 * Connections that are dropped for want of file descriptors: libuv accepts and closes them, and tells nobody. So it is
 * tried whether a descriptor can be had, where there is reason to doubt it.
 */
import { BalancerError } from '../errors.ts';

/** Hears the error that a try for a descriptor fails with, or undefined. */
type Told = (error: NodeJS.ErrnoException | undefined) => void;

export class DroppedConnections {
  readonly #try: (told: Told) => void;
  readonly #report: (error: BalancerError) => void;
  /** The most downstreams so far: while there are fewer, nothing is new. */
  #most = PLENTY;
  /** Whether there is reason to try. */
  #doubtful = false;
  #trying = false;
  #tryAt = 0;
  #reportAt = 0;

  /** `attempt` tries for a descriptor. */
  constructor(attempt: (told: Told) => void, report: (error: BalancerError) => void) {
    this.#try = attempt;
    this.#report = report;
  }

  /** An upstream connection failed for want of something of ours. */
  suspect(): void {
    this.#doubtful = true;
  }

  /** `downstreams`: how many there are at `now`. */
  sweep(now: number, downstreams: number): void {
    if (downstreams > this.#most) {
      this.#most = downstreams;
      this.#doubtful = true;
    }
    if (!this.#doubtful || this.#trying || now < this.#tryAt) return;
    this.#tryAt = now + TRY_MS;
    this.#trying = true;
    this.#try((error) => {
      this.#trying = false;
      // As long as there are none, it is tried again.
      this.#doubtful = error !== undefined;
      if (error === undefined || now < this.#reportAt) return;
      this.#reportAt = now + REPORT_MS;
      this.#report(new BalancerError('RESOURCES_EXHAUSTED', WHAT, { cause: error }));
    });
  }
}

const WHAT = 'connections are being dropped: no file descriptors are left; raise the limit of open files (ulimit -n)';
/** With fewer downstreams no limit of open files is reached that a process can work under. */
const PLENTY = 64;
const TRY_MS = 1_000;
/** The log says it again while it lasts, but not more than anybody reads. */
const REPORT_MS = 10_000;
