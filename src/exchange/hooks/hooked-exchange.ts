/**
 * An exchange as its hooks see it. One is made for each exchange of a balancer with hooks, and never used for another:
 * a hook may keep it, and must not see somebody else's request through it.
 */
import type { Duplex } from 'node:stream';
import type { ExchangeLimits, HookExchange } from '../../hooks.ts';
import type { RequestHead } from '../../http1/request.ts';
import type { Hop } from '../../http1/forwarding.ts';
import { shown } from '../../options/checks.ts';
import { type ParsedLimits, parseLimits, shownLimits } from '../../options/limits.ts';
import type { Upstream } from '../../strategy.ts';
import type { ReadDetour } from './detour.ts';
import { HookedRequest } from './hooked-request.ts';
import type { HookedResponse } from './hooked-response.ts';

/** What the view needs to know of the exchange behind it. */
export interface Behind {
  readonly head: RequestHead;
  readonly hop: Hop;
  readonly socket: Duplex | undefined;
  /** The embedder's own, as `handle` was given it. */
  readonly state: unknown;
  readonly pool: string;
  /** The limits that the route sets. */
  readonly limits: ParsedLimits | undefined;
  readonly upstream: Upstream | undefined;
  readonly attempts: number;
  /** Whether there is a pool of this name. */
  hasPool(name: string): boolean;
  /** The hook begins to read the request body: see {@link HookedBody}. */
  readRequest(read: ReadDetour): () => void;
}

export class HookedExchange implements HookExchange {
  readonly request: HookedRequest;
  response: HookedResponse | undefined;
  readonly remoteAddress: string;
  readonly scheme: 'http' | 'https';
  readonly socket: Duplex | undefined;
  state: unknown;
  /** What the exchange goes by in place of the rules of its pool. @internal */
  limitsSet: ParsedLimits | undefined;
  /** The pools that get a copy; undefined without any. @internal */
  mirrored: string[] | undefined;
  #behind: Behind | undefined;
  #pool: string;
  readonly #routeLimits: ParsedLimits | undefined;
  #upstream: Upstream | undefined;
  #attempts = 0;
  /** Why the request can't be changed any more. */
  #sealed: string | undefined;

  constructor(behind: Behind) {
    const { head, hop, socket, state, pool, limits } = behind;
    this.#behind = behind;
    this.request = new HookedRequest(head, hop.trusted, (read) => behind.readRequest(read));
    this.remoteAddress = hop.address;
    this.scheme = hop.proto;
    this.socket = socket;
    this.state = state;
    this.#pool = pool;
    this.#routeLimits = this.limitsSet = limits;
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
    return shownLimits(this.limitsSet ?? {});
  }

  set limits(limits: ExchangeLimits) {
    this.#open('limits');
    this.limitsSet = { ...this.#routeLimits, ...parseLimits(limits, 'exchange.limits') };
  }

  // --- what the exchange calls

  /** Has all further changes of the request throw: `why` is the reason. @internal */
  seal(why: string): void {
    this.#sealed = why;
    this.request.seal(why);
  }

  /** The exchange is over: what a hook has kept shows it as it ended. @internal */
  finish(aborted: boolean): void {
    if (this.#behind === undefined) return;
    this.#upstream = this.#behind.upstream;
    this.#attempts = this.#behind.attempts;
    this.#behind = undefined;
    this.seal(FINISHED);
    this.response?.seal(FINISHED);
    if (aborted) this.request.abort();
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
