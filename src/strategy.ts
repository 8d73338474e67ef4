/**
 * The contract between the balancer and a strategy: types only, so that a strategy needs nothing at run time.
 */

/** What a strategy chooses from: anything with an identity, a weight and a count of work in flight. */
export interface Candidate {
  /** Stable and unique within one set of candidates. For an upstream: its origin. */
  readonly id: string;
  /**
   * The wanted share, relative to the others. A finite number above 0; 1 by default. During the slow start after an
   * ejection, an upstream shows the part of its weight that it has reached.
   */
  readonly weight: number;
  /**
   * Attempts begun and not settled. Grows at the pick itself, before any other code runs. Includes the average of what
   * peers had in flight over the last second, so it may not be a whole number.
   */
  readonly inFlight: number;
}

/** An upstream as strategies and operators see it: live values, read-only. */
export interface Upstream extends Candidate {
  /** Where requests go, e.g. `http://10.0.0.1:3000`. */
  readonly origin: string;
  /**
   * `active`: may be picked. `ejected`: out of the candidates because of its failures. `trial`: its ejection is over,
   * and one request at a time tests whether it works again. `draining`: finishes what is in flight, gets no new work,
   * since it is being removed or was taken out of service by `drain`. `drained`: out of service, with nothing in
   * flight, until `activate`. Both may still get what belongs there: see {@link PickContext.draining}. `gone`: removed.
   */
  readonly state: 'active' | 'ejected' | 'trial' | 'draining' | 'drained' | 'gone';
  /** The weight of its options; `weight` may differ, by `setWeight` or during a slow start. */
  readonly configuredWeight: number;
  /** The part of `inFlight` that belongs to other balancers: see the option `peers`. */
  readonly inFlightElsewhere: number;
  /** How many attempts may be in flight at once, in this process; `Infinity` if unlimited. */
  readonly maxInFlight: number;
  /** Moving average of the time from the pick to the response head, in milliseconds; 0 before the first response. */
  readonly latencyMs: number;
  /** Attempts begun since the upstream was added. */
  readonly picks: number;
  /** Attempts that ended with a failure of the upstream since it was added. */
  readonly failures: number;
  /** Attempts that the upstream answered, with whatever status, since it was added. */
  readonly responses: number;
  /** Attempts that were followed by another attempt for the same request since it was added. */
  readonly retries: number;
  /** How often it was ejected since it was added. */
  readonly ejections: number;
  /** What the operator attached in the upstream's options (zone, version, ...). */
  readonly tags: Readonly<Record<string, string>>;
  /**
   * What it last reported of itself, by the header `endpoint-load-metrics` (ORCA) of a response or a probe's response;
   * undefined where it does not report. Reports are kept from the first time that this is read: an upstream of which
   * nobody reads it costs nothing.
   */
  readonly load: LoadReport | undefined;
}

/**
 * A load report, by the names of ORCA (`xds.data.orca.v3.OrcaLoadReport`). What was not reported, or is not a number
 * from 0 to 10^9, is undefined. It is the upstream's word, and proves nothing.
 */
export interface LoadReport {
  /** When it came, in the time of `context.now`: `context.now - at` is its age in milliseconds. */
  readonly at: number;
  /** How busy it is by its own measure, 1 being all it can do. May be above 1. */
  readonly applicationUtilization: number | undefined;
  /** The part of its CPU and of its memory that is in use. */
  readonly cpuUtilization: number | undefined;
  readonly memUtilization: number | undefined;
  /** Requests and errors a second. */
  readonly rps: number | undefined;
  readonly eps: number | undefined;
  /** The part of other resources in use, and metrics of its own, by name: finite numbers. */
  readonly utilization: Readonly<Record<string, number>>;
  readonly namedMetrics: Readonly<Record<string, number>>;
}

/** A worker that is ready for connections, as a strategy sees it. */
export interface WorkerCandidate extends Candidate {
  /** Its connections: those on their way to it, and those that are open. */
  readonly inFlight: number;
  /** Its process ID. */
  readonly pid: number | undefined;
  /** How busy its event loop was, a fraction of a second ago: 0 is idle, 1 is blocked or silent. */
  readonly load: number;
}

/** The request behind a pick. Valid during the call only: the balancer reuses the object. */
export interface PickRequest {
  readonly method: string;
  /** The request target as sent upstream, e.g. `/search?q=1`. */
  readonly target: string;
  /** The value of the request's Host field, `''` if it had none. */
  readonly host: string;
  /** The first value of a request header, by its lower-case name; undefined if it is absent. */
  header(name: string): string | undefined;
}

/** What is known at a pick. Valid during the call only: the balancer reuses the object. */
export interface PickContext<R extends PickRequest | undefined = PickRequest> {
  /** 1 for the first attempt of an exchange, 2 for its first retry, ... */
  readonly attempt: number;
  /** The address of the downstream connection; `''` if it has none (a Unix socket). */
  readonly remoteAddress: string;
  /** The time of the pick, in monotonic milliseconds: virtual in tests and in the lab. Read when it is asked for. */
  readonly now: number;
  /** What `pick` leaves here comes back in `answered` and `settled` of the very attempt. Undefined at first. */
  note: unknown;
  /** The request. Always there in a pick of an upstream; undefined in a pick of a worker, which is for a connection. */
  readonly request: R;
  /**
   * Upstreams that would be candidates but for their `maxInFlight`. A strategy with `picksFull` may return one of them
   * to wait for it. Computed when it is read. Absent in a pick for a connection.
   */
  readonly full?: readonly Upstream[];
  /**
   * Upstreams that `drain` took out of service, until they are removed or activated, except ejected ones and those that
   * failed this request. They are for work that belongs there, such as an open session: `pick` may return one of them.
   * Holds those at their `maxInFlight` only for a strategy with `picksFull`, which waits for them as for `full`.
   * Computed when it is read. Absent in a pick for a connection.
   */
  readonly draining?: readonly Upstream[];
  /**
   * Adds a header to the response of this exchange if this very attempt answers it, beside those that the upstream
   * sends: a cookie, say. Does nothing in a pick for a connection. Throws TypeError for what is no name or value of a
   * header, and for headers that frame the message or concern one connection (RFC 9110 §7.6.1).
   */
  respondWith(name: string, value: string): void;
  /**
   * In layer 4: the name in the client's TLS handshake (SNI), in lower case; undefined if there is none, and for HTTP.
   * Reading it has the balancer wait for that handshake, before this pick is asked for again, and before later ones.
   */
  readonly serverName?: string | undefined;
}

/** The head of a final response. Valid during the call only. */
export interface Answered {
  readonly status: number;
  /** The first value of a response header, by its lower-case name; undefined if it is absent. */
  header(name: string): string | undefined;
  /** From the pick to this head, in milliseconds. */
  readonly latencyMs: number;
  /** As in {@link PickContext}. */
  readonly now: number;
  readonly note: unknown;
}

/** How an attempt ended. */
export interface Outcome {
  /** False for failures of the upstream: connect, timeout, broken response. True if the downstream went away. */
  readonly ok: boolean;
  /** The response's status, if a response head was read. */
  readonly status: number | undefined;
  /** From the pick to the end of the attempt, in milliseconds. */
  readonly durationMs: number;
  /** The code of the error that ended the attempt, if one did. */
  readonly error: string | undefined;
  /** When it ended, and what `pick` left: as in {@link PickContext}. */
  readonly now: number;
  readonly note: unknown;
}

/**
 * Chooses one of several candidates. Generic in what it picks: the same strategy can choose an upstream for a
 * request, a worker for a connection, or a server in a simulation.
 */
export interface Strategy<C extends Candidate = Upstream> {
  /** For logs and messages. */
  readonly name: string;
  /**
   * Whether `pick` may also return one of `context.full`. The request then waits until that upstream has room, without
   * holding up those behind it, and `pick` is called again. If the queue is full (`maxQueued`) or the wait takes too
   * long (`queueTimeoutMs`), the answer is 503 with Retry-After. `pick` is then also called with an empty `candidates`,
   * when all are full or draining; if it declines, the request waits until any of the full ones has room. For
   * strategies that keep a client on its upstream: in a retry because an upstream had closed an idle connection, and
   * nothing else, that upstream is a candidate again. Default false: a request waits only if all are full, until any of
   * them has room.
   */
  readonly picksFull?: boolean;
  /**
   * Chooses one of `candidates`, or undefined to decline (the request is answered 503). Synchronous, no I/O.
   * `candidates` is never empty (except with `picksFull`) and holds only those that may serve this request: a strategy
   * need not check health. The array belongs to the balancer: do not change or keep it. If `pick` throws, or returns
   * something that is neither in the array nor in `context.draining` (nor, with `picksFull`, in `context.full`), the
   * request is answered 500, the fault is logged, and there is no retry.
   */
  pick(candidates: readonly C[], context: PickContext<C extends Upstream ? PickRequest : undefined>): C | undefined;
  /** Called at most once per pick, when the head of the upstream's final response has come. `settled` follows. */
  answered?(candidate: C, head: Answered): void;
  /** Called once per pick, when its attempt settles: after the last byte, a failure, or the downstream's departure. */
  settled?(candidate: C, outcome: Outcome): void;
  /**
   * Called when membership, weights, tags or health change, not for in-flight limits: the place to rebuild a table.
   * `members` are all that were not removed, so also those that are ejected or taken out of service by `drain`; a
   * wrapper around the strategy may leave them out.
   */
  changed?(candidates: readonly C[], members?: readonly C[]): void;
}
