/** Where time comes from: the seam that makes it virtual in tests. */
export interface TimeSource {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the epoch, for the Date field. */
  epoch(): number;
  /** Calls `tick` every `ms` milliseconds until the returned function is called. Must not keep the process alive. */
  every(ms: number, tick: () => void): () => void;
  /**
   * How late a tick must be, in milliseconds, for what it is late by to be taken for a pause of the process, and left
   * out. Absent: time is not the process's, and no tick is late, however far time has moved.
   */
  readonly pauseMs?: number;
}
