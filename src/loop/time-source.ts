/** Where time comes from: the seam that makes it virtual in tests. */
export interface TimeSource {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the epoch, for the Date field. */
  epoch(): number;
  /** Calls `tick` every `ms` milliseconds until the returned function is called. Must not keep the process alive. */
  every(ms: number, tick: () => void): () => void;
  /**
   * A tick later than this, in milliseconds, is taken for a pause of the process, which is left out of the time.
   * If absent, time does not depend on the process, and no tick counts as late, however far time has moved.
   */
  readonly pauseMs?: number;
}
