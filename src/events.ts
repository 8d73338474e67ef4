/**
 * The events of a balancer. An event without a listener costs nothing: it is not even made.
 */
import { guardedCall, type OnFault } from './guard.ts';
import { Meters } from './meter.ts';
import type { Outcome, Upstream } from './strategy.ts';

/**
 * Each event by its name, with what its listeners get. `pool` is the name of the pool concerned; `requestId` names the
 * request if it has an id (option `requestId`).
 */
export interface BalancerEvents {
  /**
   * An upstream was taken out of the candidates, for `forMs` (Infinity: until a probe succeeds): because of its
   * `attempts`, by `probes`, or by `peers` that ejected it. For attempts, the last one failed with the error `code` or
   * was answered with `status`.
   */
  ejected: {
    readonly pool: string; readonly upstream: Upstream; readonly forMs: number; readonly by: Witness;
    readonly code: string | undefined; readonly status: number | undefined;
  };
  /** An ejected upstream is back among the candidates. */
  readmitted: { readonly pool: string; readonly upstream: Upstream; readonly by: Witness };
  /** An attempt on `upstream` failed, with the error `code` or by its `status`, and another attempt follows. */
  retried: {
    readonly pool: string; readonly upstream: Upstream; readonly attempt: number;
    readonly code: string | undefined; readonly status: number | undefined; readonly requestId?: string;
  };
  /** An attempt has settled. */
  settled: {
    readonly pool: string; readonly upstream: Upstream; readonly outcome: Outcome; readonly requestId?: string;
  };
  /** An upstream was added. */
  added: { readonly pool: string; readonly upstream: Upstream };
  /** An upstream was removed, or taken out of service: it gets no new work and finishes what is in flight. */
  draining: { readonly pool: string; readonly upstream: Upstream };
  /** A removed upstream has nothing left in flight. */
  removed: { readonly pool: string; readonly upstream: Upstream };
  /** An upstream that `drain` took out of service has nothing left in flight. */
  drained: { readonly pool: string; readonly upstream: Upstream };
  /** `activate` took an upstream back into service. */
  activated: { readonly pool: string; readonly upstream: Upstream };
  /** A request waits for room at an upstream of the pool; `waiting` includes it. */
  queued: { readonly pool: string; readonly waiting: number };
  /** A request was answered by the balancer itself, because of the error `code`. */
  refused: {
    readonly status: number; readonly code: string; readonly remoteAddress: string; readonly requestId?: string;
  };
  /**
   * A request, or a connection, was refused before it became an exchange, most often because its head is malformed:
   * beside `refused`, and in place of `finished`. `startedAt` is in milliseconds since 1970.
   */
  unread: {
    readonly status: number; readonly code: string; readonly remoteAddress: string; readonly startedAt: number;
  };
  /**
   * A copy of a request (`exchange.mirror`) for this pool was not sent, or given up: as many as `maxMirrored` are under
   * way; its upstream lags by more than `maxMirroredBytes`; all upstreams are `unavailable`; the request is
   * `unfinished`, since it was answered or broke off before its end; the balancer is `closing`.
   */
  mirrorDropped: {
    readonly pool: string;
    readonly reason: 'maxMirrored' | 'maxMirroredBytes' | 'unavailable' | 'unfinished' | 'closing';
    readonly requestId?: string;
  };
  /** An exchange is over, whatever its end: there is one for each. */
  finished: FinishedExchange;
  /** An exchange is over that asked for a pick: why it went where it went. A sample, of some 200 in a second. */
  decided: DecidedExchange;
}

/** Why an exchange went where it went. */
export interface DecidedExchange {
  /** As in `finished`, as are `target`, `status` and `code`. */
  readonly id: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly code: string | undefined;
  readonly pool: string;
  /** The name of the strategy that picked; `''` if there was nothing to pick from. */
  readonly strategy: string;
  readonly durationMs: number;
  readonly attempts: readonly DecidedAttempt[];
}

/** One attempt of an exchange. */
export interface DecidedAttempt {
  /** What the strategy saw, and what it picked from: at most 16 `of` so many. None if it had no choice. */
  readonly candidates: readonly SeenCandidate[];
  readonly of: number;
  /** The origin of the upstream that was picked. */
  readonly upstream: string;
  /** The status of the response; undefined if there was none. */
  readonly status: number | undefined;
  /** The code of the error that ended the attempt. */
  readonly code: string | undefined;
  readonly durationMs: number;
}

/** A candidate as it was when the strategy picked. */
export interface SeenCandidate {
  readonly origin: string;
  readonly weight: number;
  readonly inFlight: number;
  readonly latencyMs: number;
}

/** An exchange that is over. Octets are those of the bodies, without heads and chunk framing. */
export interface FinishedExchange {
  /** As `request.id` of hooks: the X-Request-ID of a trusted downstream, else a new UUID. */
  readonly id: string;
  /** These three are as the downstream sent them, before routes and hooks change them. */
  readonly method: string;
  readonly target: string;
  readonly host: string;
  /** `tcp` in layer 4, as the scheme; there, these three are empty, and there are no headers. */
  readonly protocol: '1.0' | '1.1' | '2.0' | 'tcp';
  readonly scheme: 'http' | 'https' | 'tcp';
  /** In layer 4: the name in the client's TLS handshake, where a route or the strategy goes by it. */
  readonly serverName?: string | undefined;
  readonly remoteAddress: string;
  /**
   * What went downstream; 499 if the downstream was gone before a response began, 503 if `close` cut it before. In
   * layer 4: 200 if an upstream was connected, else the status of the code, or 499.
   */
  readonly status: number;
  /** The code of the error that ended the exchange, or that it was answered for. */
  readonly code: string | undefined;
  /** Undefined where no route matched, or one that answers by itself. */
  readonly pool: string | undefined;
  /** That of the last attempt. */
  readonly upstream: Upstream | undefined;
  readonly attempts: number;
  /** Octets of the request body that were read; of a tunnel, all that came from the downstream. */
  readonly bytesIn: number;
  /** Octets of the response body that were sent; of a tunnel, all that came from the upstream. */
  readonly bytesOut: number;
  /** When the request head was read, in milliseconds since 1970. */
  readonly startedAt: number;
  /** How long it waited for room at an upstream. */
  readonly queuedMs: number;
  /** From the start to the head of the response; undefined if none went downstream. */
  readonly firstByteMs: number | undefined;
  readonly durationMs: number;
  /** What hooks left in `exchange.state`, or `handle` was given. */
  readonly state: unknown;
  /** As they came. Not enumerable, so that credentials don't get into logs with the rest. */
  readonly requestHeaders: ReceivedHeaders;
}

/** The headers of a request as they came: iterating gives the lines in their order. */
export interface ReceivedHeaders extends Iterable<readonly [name: string, value: string]> {
  /** The values of a header joined with `, `; null if there is none. */
  get(name: string): string | null;
}

/** What an ejection or readmission is based on. */
export type Witness = 'attempts' | 'probes' | 'peers';

type Name = keyof BalancerEvents;

/** The names of all events. */
export const EVENT_NAMES = Object.keys({
  ejected: 0, readmitted: 0, retried: 0, settled: 0, added: 0, draining: 0, removed: 0, queued: 0, refused: 0,
  mirrorDropped: 0, unread: 0, finished: 0, drained: 0, activated: 0,
  decided: 0,
} satisfies Record<Name, 0>) as readonly Name[];

/** A listener for one kind of event. What it returns is ignored; a promise is not awaited. */
export type Listener<N extends Name> = (event: BalancerEvents[N]) => unknown;

/** The listeners of one balancer. */
export class Events {
  readonly #listeners = new Map<Name, readonly Listener<Name>[]>();
  /** Of the listeners of each event. */
  readonly #faults: Readonly<Record<Name, OnFault>>;
  /** What counts every exchange, and costs less than an event. */
  readonly meters: Meters;

  /** `onFault` receives the fault of a listener, which must not interrupt what the event is about. */
  constructor(onFault: (event: string, what: string, cause: unknown) => void) {
    const faultIn = (event: string): OnFault => (what, cause) => {
      onFault(event, what, cause);
    };
    this.#faults = Object.fromEntries(EVENT_NAMES.map((name) => [name, faultIn(name)])) as Record<Name, OnFault>;
    this.meters = new Meters(faultIn('meter'));
  }

  on<N extends Name>(name: N, listener: Listener<N>): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener as Listener<Name>]);
  }

  /** Removes a listener, however often it was added. */
  off<N extends Name>(name: N, listener: Listener<N>): void {
    const left = this.#listeners.get(name)?.filter((other) => other !== listener) ?? [];
    if (left.length > 0) this.#listeners.set(name, left);
    else this.#listeners.delete(name);
  }

  /** Whether there is a listener for this event. Ask before making the event. */
  heard(name: Name): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(name);
  }

  /** Calls the current listeners. Those that a listener adds or removes count from the next event on. */
  tell<N extends Name>(name: N, event: BalancerEvents[N]): void {
    for (const listener of this.#listeners.get(name) ?? []) guardedCall(listener, event, this.#faults[name]);
  }
}
