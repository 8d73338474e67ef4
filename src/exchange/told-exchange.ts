/**
 * What `finished` tells of an exchange. A class, since it is made for each of them: to hide one property of a plain
 * object takes longer than all the rest.
 */
import type { FinishedExchange, ReceivedHeaders } from '../events.ts';
import { ReceivedLines } from './received-lines.ts';

type Facts = Omit<FinishedExchange, 'requestHeaders'>;

export class ToldExchange implements FinishedExchange {
  static {
    // For its users it is a plain object.
    Object.defineProperty(this.prototype, 'constructor', { value: Object });
  }

  readonly id: Facts['id'];
  readonly method: Facts['method'];
  readonly target: Facts['target'];
  readonly host: Facts['host'];
  readonly protocol: Facts['protocol'];
  readonly scheme: Facts['scheme'];
  readonly remoteAddress: Facts['remoteAddress'];
  readonly status: Facts['status'];
  readonly code: Facts['code'];
  readonly pool: Facts['pool'];
  readonly upstream: Facts['upstream'];
  readonly attempts: Facts['attempts'];
  readonly bytesIn: Facts['bytesIn'];
  readonly bytesOut: Facts['bytesOut'];
  readonly startedAt: Facts['startedAt'];
  readonly queuedMs: Facts['queuedMs'];
  readonly firstByteMs: Facts['firstByteMs'];
  readonly durationMs: Facts['durationMs'];
  readonly state: Facts['state'];
  readonly #lines: string;
  #headers: ReceivedLines | undefined;

  /** `lines` are those of the request head. */
  constructor(facts: Facts, lines: string) {
    this.id = facts.id;
    this.method = facts.method;
    this.target = facts.target;
    this.host = facts.host;
    this.protocol = facts.protocol;
    this.scheme = facts.scheme;
    this.remoteAddress = facts.remoteAddress;
    this.status = facts.status;
    this.code = facts.code;
    this.pool = facts.pool;
    this.upstream = facts.upstream;
    this.attempts = facts.attempts;
    this.bytesIn = facts.bytesIn;
    this.bytesOut = facts.bytesOut;
    this.startedAt = facts.startedAt;
    this.queuedMs = facts.queuedMs;
    this.firstByteMs = facts.firstByteMs;
    this.durationMs = facts.durationMs;
    this.state = facts.state;
    this.#lines = lines;
  }

  /** Not a property of its own: a log of the whole event has no credentials. */
  get requestHeaders(): ReceivedHeaders {
    return this.#headers ??= new ReceivedLines(this.#lines);
  }
}
