/**
 * Active health checks: one small request, or a mere connect, over a connection of its own, now and then. They are no
 * traffic: no strategy picks them, no count has them.
 */
import type { HealthCheck } from '../settings.ts';
import { NONE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response.ts';
import { type ConnectionUser, UpstreamConnection } from './connection.ts';
import type { Member, MemberRules } from './member.ts';

/** The probes of one upstream, one at a time. */
export class Probe implements ConnectionUser {
  readonly #member: Member;
  readonly #rules: MemberRules;
  readonly #check: HealthCheck;
  readonly #rng: () => number;
  readonly #onVerdict: (up: boolean) => void;
  #connection: UpstreamConnection | undefined;
  #next: number;
  #deadline = 0;
  /** Results in a row that were unlike what the upstream is taken for. */
  #against = 0;
  #up: boolean;

  /** The first probe comes somewhere in the first interval, so that those of many upstreams spread. */
  constructor(
    member: Member, check: HealthCheck, rules: MemberRules, rng: () => number, now: number,
    onVerdict: (up: boolean) => void,
  ) {
    this.#member = member;
    this.#check = check;
    this.#rules = rules;
    this.#rng = rng;
    this.#onVerdict = onVerdict;
    this.#next = now + check.intervalMs * rng();
    this.#up = !member.health.down;
  }

  /** Whether this is how the upstream is to be probed. */
  follows(check: HealthCheck | undefined): boolean {
    // An update parses all options anew: what is equal is no change.
    return this.#check === check || JSON.stringify(this.#check) === JSON.stringify(check);
  }

  /** Whether it has found the upstream up, or not yet down. */
  get up(): boolean {
    return this.#up;
  }

  /** Begins a probe that is due, ends one that takes too long. */
  sweep(now: number): void {
    if (this.#connection !== undefined) {
      if (now >= this.#deadline) this.#end(false);
    } else if (now >= this.#next) this.#start(now);
  }

  /** Breaks off. */
  stop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
  }

  connected(): void {
    const { path, host } = this.#check;
    const connection = this.#connection;
    if (connection === undefined) return;
    if (path === undefined) {
      this.#end(true);
      return;
    }
    const authority = host ?? this.#member.settings.authority;
    const text = `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: equipoise\r\nConnection: close\r\n\r\n`;
    connection.writer.begin(text, NONE);
    connection.writer.end('');
    connection.writer.flush();
  }

  interim(): void {
    // The final one counts.
  }

  responded({ status }: ResponseHead): void {
    this.#end(status >= this.#check.minStatus && status <= this.#check.maxStatus);
  }

  body(): void {
    // Of no interest.
  }

  ended(): void {
    // The head has decided.
  }

  readEnd(): boolean {
    return true;
  }

  flushed(): void {
    // It is one small write.
  }

  failed(): void {
    this.#end(false);
  }

  #start(now: number): void {
    const { intervalMs, timeoutMs } = this.#check;
    this.#next = now + intervalMs * (1 - JITTER / 2 + JITTER * this.#rng());
    this.#deadline = now + timeoutMs;
    try {
      this.#connection = new UpstreamConnection(this.#member.settings, this.#rules, () => undefined);
    } catch {
      // What makes connections is an option, and may throw: nothing to be reached by it.
      this.#judge(false);
      return;
    }
    this.#connection.begin(this, 'GET', '');
    if (this.#connection.ready) this.connected();
  }

  #end(good: boolean): void {
    if (this.#connection === undefined) return;
    this.stop();
    this.#judge(good);
  }

  #judge(good: boolean): void {
    if (good === this.#up) {
      this.#against = 0;
      return;
    }
    if (++this.#against < (good ? this.#check.rise : this.#check.fall)) return;
    this.#against = 0;
    this.#up = good;
    this.#onVerdict(good);
  }
}

/** The spread of intervals, as a part of them. */
const JITTER = 0.2;
