/**
 * An exchange as its hooks see it. One is made for each exchange of a balancer with hooks, and never used for another:
 * a hook may keep it, and must not see somebody else's request through it.
 */
import type { Duplex } from 'node:stream';
import type { ExchangeLimits, HookExchange } from '../../hooks.ts';
import type { RequestHead } from '../../http1/request.ts';
import { shown } from '../../options/checks.ts';
import { type ParsedLimits, parseLimits, shownLimits } from '../../options/limits.ts';
import type { Pool } from '../../pools/pool.ts';
import type { Upstream } from '../../strategy.ts';
import type { Downstream } from '../downstream.ts';
import type { BodyReader } from './hooked-body.ts';
import { HookedRequest } from './hooked-request.ts';
import type { HookedResponse } from './hooked-response.ts';

/** The exchange behind the view. It is used again for the next one: the view asks it nothing once it is over. */
export interface Behind extends BodyReader {
  readonly head: RequestHead;
  readonly downstream: Downstream;
  /** The pool that serves it. */
  readonly pool: Pool;
  /** The limits that its route sets. */
  readonly limits: ParsedLimits | undefined;
  readonly upstream: Upstream | undefined;
  readonly attempts: number;
  /** Whether there is a pool of this name. */
  hasPool(name: string): boolean;
}

export class HookedExchange implements HookExchange {
  readonly #request: HookedRequest;
  #response: HookedResponse | undefined;
  readonly #remoteAddress: string;
  readonly #scheme: 'http' | 'https';
  readonly #socket: Duplex | undefined;
  state: unknown;
  /** The limits that a hook has set, with those of the route that it leaves; undefined if it has set none. @internal */
  limitsSet: ParsedLimits | undefined;
  /** The pools that get a copy; undefined without any. @internal */
  mirrored: string[] | undefined;
  #behind: Behind | undefined;
  #pool: string;
  #upstream: Upstream | undefined;
  #attempts = 0;
  /** Why the request can't be changed any more. */
  #sealed: string | undefined;

  constructor(behind: Behind) {
    const { hop, socket, state } = behind.downstream;
    this.#behind = behind;
    this.#request = new HookedRequest(behind.head, hop.trusted, behind);
    this.#remoteAddress = hop.address;
    this.#scheme = hop.proto;
    this.#socket = socket as Duplex | undefined;
    this.state = state;
    this.#pool = behind.pool.name;
  }

  get request(): HookedRequest {
    return this.#request;
  }

  get response(): HookedResponse | undefined {
    return this.#response;
  }

  get remoteAddress(): string {
    return this.#remoteAddress;
  }

  get scheme(): 'http' | 'https' {
    return this.#scheme;
  }

  get socket(): Duplex | undefined {
    return this.#socket;
  }

  get upstream(): Upstream | undefined {
    return this.#behind === undefined ? this.#upstream : this.#behind.upstream;
  }

  get attempts(): number {
    return this.#behind?.attempts ?? this.#attempts;
  }

  get pool(): string {
    return this.#pool;
  }

  set pool(name: string) {
    this.#open('pool');
    this.#known(name, 'pool');
    this.#pool = name;
  }

  mirror(pool: string): void {
    this.#open('mirror');
    this.#known(pool, 'mirror');
    (this.mirrored ??= []).push(pool);
  }

  get limits(): ExchangeLimits {
    return shownLimits(this.limitsSet ?? this.#behind?.limits ?? {});
  }

  set limits(limits: ExchangeLimits) {
    this.#open('limits');
    this.limitsSet = { ...this.#behind?.limits, ...parseLimits(limits, 'exchange.limits') };
  }

  // --- what the exchange calls

  /** An upstream has answered. @internal */
  answered(response: HookedResponse): void {
    this.#response = response;
  }

  /** Has all further changes of the request throw: `why` is the reason. @internal */
  seal(why: string): void {
    this.#sealed = why;
    this.#request.seal(why);
  }

  /** The exchange is over: what a hook has kept shows it as it ended. @internal */
  finish(aborted: boolean): void {
    if (this.#behind === undefined) return;
    this.#upstream = this.#behind.upstream;
    this.#attempts = this.#behind.attempts;
    this.limitsSet ??= this.#behind.limits;
    this.#behind = undefined;
    this.seal(FINISHED);
    this.#response?.seal(FINISHED);
    if (aborted) this.#request.abort();
  }

  #known(pool: string, what: string): void {
    if (this.#behind?.hasPool(pool) === true) return;
    throw new TypeError(`exchange.${what}: there is no pool ${shown(pool)}; see the option \`pools\``);
  }

  #open(what: string): void {
    if (this.#sealed !== undefined) throw new TypeError(`exchange.${what} cannot be used: ${this.#sealed}`);
  }
}

const FINISHED = 'the exchange is over';
