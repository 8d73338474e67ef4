/**
 * Detects connections that are dropped because no file descriptors are left. libuv accepts and closes them without an
 * error, so when there is reason to suspect it we try to open a descriptor ourselves.
 */
import { BalancerError } from '../errors.ts';

/** Called with the error if no descriptor could be opened, otherwise with undefined. */
type Told = (error: NodeJS.ErrnoException | undefined) => void;

export class DroppedConnections {
  readonly #try: (told: Told) => void;
  readonly #report: (error: BalancerError) => void;
  /** The most downstreams so far. A new maximum is a reason to try. */
  #most = PLENTY;
  /** Whether there is reason to try. */
  #doubtful = false;
  #trying = false;
  #tryAt = 0;
  #reportAt = 0;

  /** `attempt` tries to open a descriptor. */
  constructor(attempt: (told: Told) => void, report: (error: BalancerError) => void) {
    this.#try = attempt;
    this.#report = report;
  }

  /** Call it when an upstream connection failed because this process ran out of a resource. */
  suspect(): void {
    this.#doubtful = true;
  }

  /** `downstreams` is their number at `now`. */
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
      // Keep trying while there are none.
      this.#doubtful = error !== undefined;
      if (error === undefined || now < this.#reportAt) return;
      this.#reportAt = now + REPORT_MS;
      this.#report(new BalancerError('RESOURCES_EXHAUSTED', WHAT, { cause: error }));
    });
  }
}

const WHAT = 'connections are being dropped: no file descriptors are left; raise the open-file limit (ulimit -n)';
/** Fewer downstreams than this do not exhaust any realistic open-file limit. */
const PLENTY = 64;
const TRY_MS = 1_000;
/** How often it is reported while it lasts. */
const REPORT_MS = 10_000;
