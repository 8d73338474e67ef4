/**
 * The contract between the balancer and a strategy: types only, so that a strategy needs nothing at run time.
 */

/** What a strategy may choose: anything with an identity, a weight and a count of work in hand. */
export interface Candidate {
  /** Stable and unique within one set of candidates. For an upstream: its origin. */
  readonly id: string;
  /**
   * Wanted share relative to the others. A finite number above 0; 1 by default. An upstream that was ejected and starts
   * slowly shows the part of it that it gets so far.
   */
  readonly weight: number;
  /**
   * Attempts begun and not settled. Grows at the pick itself, before any other code runs. Those of peers are counted in
   * by their average of the last second: then it is no whole number.
   */
  readonly inFlight: number;
}

/** An upstream as strategies and operators see it: live values, read-only. */
export interface Upstream extends Candidate {
  /** Where requests go, e.g. `http://10.0.0.1:3000`. */
  readonly origin: string;
  /**
   * `active`: may be picked. `ejected`: out of the candidates for its failures. `trial`: its ejection is over, one
   * request at a time may show whether it is well. `draining`: finishes what is in flight, gets nothing new. `gone`:
   * removed.
   */
  readonly state: 'active' | 'ejected' | 'trial' | 'draining' | 'gone';
  /** What of `inFlight` is that of other balancers: see the option `peers`. */
  readonly inFlightElsewhere: number;
  /** The most attempts that may be in flight at once, in this process; `Infinity` if unlimited. */
  readonly maxInFlight: number;
  /** Moving average of the time from the pick to the response head, in milliseconds; 0 before the first response. */
  readonly latencyMs: number;
  /** Attempts begun since the upstream was added. */
  readonly picks: number;
  /** Attempts that settled with a failure of the upstream since it was added. */
  readonly failures: number;
  /** Attempts that were answered by the upstream, whatever the status, since it was added. */
  readonly responses: number;
  /** Attempts that failed, or were answered, and were made up for by another attempt since it was added. */
  readonly retries: number;
  /** Times that it was ejected since it was added. */
  readonly ejections: number;
  /** What the operator attached in the upstream's options (zone, version, ...). */
  readonly tags: Readonly<Record<string, string>>;
}

/** A ready worker, as a strategy sees it. */
export interface WorkerCandidate extends Candidate {
  /** Its connections: those that are on their way to it, and those that are open. */
  readonly inFlight: number;
  /** Its process. */
  readonly pid: number | undefined;
  /** How busy its event loop was of late: 0 is idle, 1 is blocked or silent. A fraction of a second old. */
  readonly load: number;
}

/** The request behind a pick. Valid during the call only: the balancer reuses the object. */
export interface PickRequest {
  readonly method: string;
  /** The request target as sent upstream, e.g. `/search?q=1`. */
  readonly target: string;
  /** The value of the request's Host field, `''` if it had none. */
  readonly host: string;
  /** The first value of a request field, by its lower-case name; undefined where it is absent. */
  field(name: string): string | undefined;
}

/** What is known at a pick. Valid during the call only: the balancer reuses the object. */
export interface PickContext<R extends PickRequest | undefined = PickRequest> {
  /** 1 for the first attempt of an exchange, 2 for its first retry, ... */
  readonly attempt: number;
  /** The address of the downstream connection; `''` where there is none (a Unix socket). */
  readonly remoteAddress: string;
  /** The request. A pick of an upstream always has one; a pick of a worker, for a connection, has none: undefined. */
  readonly request: R;
  /**
   * Upstreams that would be candidates but for their `maxInFlight`: what a strategy with `picksFull` may return to wait
   * for. Computed when it is read. Absent in a pick for a connection.
   */
  readonly full?: readonly Upstream[];
}

/** How an attempt ended. */
export interface Outcome {
  /** False for failures of the upstream: connect, time-out, broken response. A downstream that went away is none. */
  readonly ok: boolean;
  /** The response's status, where a response head was read. */
  readonly status: number | undefined;
  /** From the pick to the settle, in milliseconds. */
  readonly durationMs: number;
  /** The code of the error that ended the attempt, if one did. */
  readonly error: string | undefined;
}

/**
 * Chooses one of several candidates. Generic in what it picks: the same strategy can choose an upstream for a
 * request, a worker for a connection, or a server in a simulation.
 */
export interface Strategy<C extends Candidate = Upstream> {
  /** For logs and messages. */
  readonly name: string;
  /**
   * Whether `pick` may also return one of `context.full`. The request then waits for that upstream to have room,
   * without holding up those behind it, and `pick` is called again; where the queue has no room for it (`maxQueued`),
   * or the wait takes too long (`queueTimeoutMs`), it is answered 503 with Retry-After. `pick` is called as well where
   * all are full: `candidates` is empty then. For strategies that keep a client on its upstream. Default false: a
   * request waits only where all are full, until any of them has room.
   */
  readonly picksFull?: boolean;
  /**
   * Chooses one of `candidates`, or undefined to decline (the request is answered 503). Synchronous, no I/O.
   * `candidates` is never empty (but for `picksFull`) and holds only those that may serve this request: a strategy
   * checks no health. The array is the balancer's: do not change or keep it. A throw, or a return that is not in the
   * array (nor, with `picksFull`, in `context.full`), is answered 500 and named in the log, never retried.
   */
  pick(candidates: readonly C[], context: PickContext<C extends Upstream ? PickRequest : undefined>): C | undefined;
  /** Once per pick, when its attempt settles: after the last byte, a failure, or the downstream's end. */
  settled?(candidate: C, outcome: Outcome): void;
  /** When membership, weights, tags or health change (not for in-flight limits): the place to rebuild a table. */
  changed?(candidates: readonly C[]): void;
}
