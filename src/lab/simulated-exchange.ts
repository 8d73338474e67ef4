/**
 * One request in the simulation. Its picks, its attempts, its place in the queue and its retries are the balancer's own
 * code; only the network and the servers are not.
 */
import { endingOf, type ErrorCode, meaningOf } from '../errors.ts';
import { Attempt, type AttemptServices } from '../exchange/attempt.ts';
import { Picks } from '../exchange/picks.ts';
import { Retries } from '../exchange/retries.ts';
import { NONE } from '../http1/framing.ts';
import type { Waiting } from '../pools/queue.ts';
import type { Placed } from '../loop/roster.ts';
import type { PickRequest } from '../strategy.ts';
import type { ManagedUpstream } from '../upstreams/managed-upstream.ts';
import type { Pool } from '../pools/pool.ts';
import type { CookieJars } from './cookies.ts';
import type { Call, SimulatedServer } from './simulated-server.ts';

/** The balancer of a request. */
export interface Home {
  readonly pool: Pool;
  readonly services: AttemptServices;
  readonly now: number;
  serverOf(upstream: ManagedUpstream): SimulatedServer;
  /** The request has ended: it may be used again. */
  rest(exchange: SimulatedExchange): void;
}

/** Who wants to know how a request ends. */
export interface Asker {
  /** The number of the request that the balancer acts on, for messages. */
  acting: number;
  /** The cookies of the clients; undefined if they keep none. */
  readonly cookies: CookieJars | undefined;
  /** `status` is that of the answer: an upstream's, or the balancer's own. */
  ended(exchange: SimulatedExchange, status: number, code: ErrorCode | undefined, now: number): void;
}

/** One request at a time: it is used again for the next. */
export class SimulatedExchange implements Waiting, Placed {
  ahead: Waiting | undefined;
  behind: Waiting | undefined;
  place = -1;
  /** The number of the request, from 0. */
  number = 0;
  /** When it came, and from which client. */
  arrivedAt = 0;
  client = 0;
  readonly balancer: Home;
  readonly #asker: Asker;
  readonly #request = new SimulatedRequest();
  readonly #picks: Picks;
  readonly #attempt: Attempt;
  readonly #retries: Retries;
  /** The call of the current attempt: one that was abandoned goes on at its server, and nobody waits for it. */
  #call: Try | undefined;
  /** Milliseconds of work at speed 1. */
  #work = 0;
  /** When the current attempt, or the wait in the queue, began. */
  #since = 0;
  #queued = false;

  constructor(balancer: Home, asker: Asker) {
    const { pool, services } = balancer;
    this.balancer = balancer;
    this.#asker = asker;
    this.#picks = new Picks(pool, this.#request, services);
    this.#attempt = new Attempt(services, pool, this.#request);
    this.#retries = new Retries(this.#request, this.#picks, WHOLE);
  }

  /** Starts a request of a client. */
  start(number: number, client: number, work: number, now: number): void {
    const { pool } = this.balancer;
    this.number = number;
    this.arrivedAt = now;
    this.client = client;
    this.#work = work;
    const target = `/${number}`;
    this.#request.target = target;
    this.#request.cookie = this.#asker.cookies?.headerOf(client, target, now);
    this.#picks.start(pool, pool.rules, addressOf(client));
    pool.budget.begun();
    this.#try(now);
  }

  /** The strategy sees every upstream that would be a candidate, so anything that has room is worth another look. */
  get ready(): boolean {
    return this.#picks.any;
  }

  get particular(): boolean {
    return this.#picks.particular;
  }

  /** Its turn in the queue has come. */
  proceed(): void {
    this.#try(this.balancer.now);
  }

  /** Ends what takes too long. */
  sweep(now: number): void {
    const { rules } = this.#picks;
    if (this.#queued) {
      if (now - this.#since < rules.queueTimeoutMs) return;
      this.#leaveQueue();
      this.#end('OVERLOADED', now);
    } else if (now - this.#since >= rules.responseTimeoutMs) this.#failed('RESPONSE_TIMEOUT', 'head', now);
  }

  /** The answer to the current attempt. */
  answered(call: Try, status: number, now: number, report: string | undefined): void {
    const attempt = this.#attempt;
    const { upstream } = attempt;
    if (call !== this.#call || upstream === undefined) return;
    this.#asker.acting = this.number;
    attempt.responded(new SimulatedHead(status, report));
    if (this.#retries.afterResponse(upstream, status)) {
      this.#call = undefined;
      attempt.settle(SERVED, undefined);
      upstream.retried();
      this.#try(now);
      return;
    }
    this.#call = undefined;
    const { lines } = attempt;
    if (lines !== '') this.#asker.cookies?.keep(this.client, lines, now);
    attempt.settle(SERVED, undefined);
    this.#asker.ended(this, status, undefined, now);
  }

  #try(now: number): void {
    const { pool } = this.balancer;
    this.#asker.acting = this.number;
    const next = this.#picks.next();
    if (typeof next === 'string') {
      if (next !== 'OVERLOADED' || !this.#wait(now)) this.#end(next, now);
      return;
    }
    this.#leaveQueue();
    this.#attempt.begin(pool, next, true, this.#picks.left);
    this.#since = now;
    this.#send(next, now);
  }

  #send(upstream: ManagedUpstream, now: number): void {
    const server = this.balancer.serverOf(upstream);
    if (server.down) this.#failed('CONNECT_REFUSED', 'connect', now);
    else server.serve(this.#call = new Try(this), this.#work, now);
  }

  /** Waits in the queue; it keeps its place and its time there if it waits already. Returns false if that is full. */
  #wait(now: number): boolean {
    if (!this.balancer.pool.queue.enter(this)) return false;
    if (!this.#queued) this.#since = now;
    this.#queued = true;
    return true;
  }

  #leaveQueue(): void {
    if (!this.#queued) return;
    this.#queued = false;
    this.balancer.pool.queue.leave(this);
  }

  #failed(code: ErrorCode, stage: 'connect' | 'head', now: number): void {
    const attempt = this.#attempt;
    const { upstream } = attempt;
    if (upstream === undefined) return;
    this.#asker.acting = this.number;
    this.#call = undefined;
    attempt.settle(endingOf(code, stage), code);
    if (this.#retries.afterFailure(upstream, code, false, false)) {
      upstream.retried();
      this.#try(now);
    } else this.#end(code, now);
  }

  #end(code: ErrorCode, now: number): void {
    this.#leaveQueue();
    this.#asker.ended(this, meaningOf(code).status, code, now);
  }
}

/** One call to a server. */
class Try implements Call {
  readonly #exchange: SimulatedExchange;

  constructor(exchange: SimulatedExchange) {
    this.#exchange = exchange;
  }

  answered(status: number, now: number, report: string | undefined): void {
    this.#exchange.answered(this, status, now, report);
  }
}

/** A GET without a body, as a strategy sees it. */
class SimulatedRequest implements PickRequest {
  readonly method = 'GET';
  target = '/';
  readonly host = 'lab';
  readonly id = '';
  readonly framing = NONE;
  cookie: string | undefined;

  header(name: string): string | undefined {
    return name === 'cookie' ? this.cookie : name === 'host' ? this.host : undefined;
  }
}

/** The head of an answer, as a strategy sees it. */
class SimulatedHead {
  readonly status: number;
  readonly #report: string | undefined;

  constructor(status: number, report: string | undefined) {
    this.status = status;
    this.#report = report;
  }

  header(name: string): string | undefined {
    return name === 'endpoint-load-metrics' ? this.#report : undefined;
  }
}

/** An address for each client, from 10.0.0.0/8. */
function addressOf(client: number): string {
  return `10.${(client >> 16) & 255}.${(client >> 8) & 255}.${client & 255}`;
}

/** There is no body to lose. */
const WHOLE = { whole: true };
const SERVED = { fault: 'none', stage: 'body' } as const;
