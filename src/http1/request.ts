/**
 * The request head (RFC 9112 §§2.2, 3, 5, 6): a strict reader. Whatever is ambiguous is refused.
 */
import type { ErrorCode } from '../errors.ts';
import type { PickRequest } from '../strategy.ts';
import {
  FieldScanner, type FieldTaker, INCOMPLETE, MALFORMED, TOO_MANY, valueIn, withoutNominated,
} from './fields.ts';
import { CHUNKED, type Framing, LENGTH, NONE } from './framing.ts';
import {
  CLASS, contentLength, CR, type HeadLimits, joined, LF, listHas, nameIs, plainPersistence, SP, TARGET, TOKEN,
  USUAL_HEAD_BYTES,
} from './grammar.ts';

/** One request head: filled by {@link RequestHead.parse}, reused for the next request of a connection. */
export class RequestHead implements PickRequest, FieldTaker {
  method = '';
  /** In origin-form, or `*`. Passed on as it came: never decoded, never normalised. */
  target = '';
  /** The minor version: 0 or 1. */
  minor = 1;
  /** The authority that the request is for (RFC 9110 §7.2): the target's, or that of the Host field. */
  host = '';
  /** False for an HTTP/1.0 request that names no host at all; a Host field may be empty. */
  hasHost = false;
  /** The end-to-end field lines, each with its CRLF, without Host and all that the balancer writes itself. */
  fields = '';
  framing: Framing = NONE;
  contentLength = 0;
  /** Whether the downstream wants the connection kept (RFC 9112 §9.3). */
  keepAlive = true;
  /** The Upgrade field where Connection nominates it (RFC 9110 §7.8), `''` elsewhere. */
  upgrade = '';
  expectContinue = false;
  /** Whether the downstream takes trailers (`TE: trailers`, RFC 9110 §10.1.4). */
  trailers = false;
  /** What the downstream said of earlier hops; believed only where it is trusted. */
  forwardedFor = '';
  forwardedProto = '';
  forwardedHost = '';
  forwarded = '';
  via = '';
  /** Whether its credentials authenticate its connection: see `exchange/affinity.ts`. */
  authenticatesConnection = false;
  /** The lines of all other X-Forwarded-* fields, each with its CRLF. */
  forwardedOthers = '';
  /** The protocol version that the request came by, as Via tells it; its front may know better. */
  version: '1.0' | '1.1' | '2.0' = '1.1';
  /** The Max-Forwards field of OPTIONS and TRACE, for which alone it counts (RFC 9110 §7.6.2). */
  maxForwards: string | undefined;
  /** Why {@link RequestHead.parse} refused. */
  error: ErrorCode = 'REQUEST_MALFORMED';

  readonly #line = new FieldScanner();
  #text = '';
  #fieldsAt = 0;
  #fieldsEnd = 0;
  #connection = '';
  #hosts = 0;
  #lengths = 0;
  #codings = 0;
  #coding = '';
  /** Whether a field would frame the message for who takes `_` for `-`. */
  #posing = false;
  #proxyClose = false;
  #expect: string | undefined;
  #upgrade = '';

  /**
   * Reads the head that starts `bytes`, of which all that has come stands before `end`, up to `limits.maxHeadBytes`
   * octets. Returns the length of the head, 0 where more must come, or -1 where it is refused (see `error`).
   */
  parse(bytes: Buffer, end: number, limits: HeadLimits): number {
    const length = this.#parse(bytes, Math.min(end, USUAL_HEAD_BYTES), limits);
    return length === 0 && end > USUAL_HEAD_BYTES ? this.#parse(bytes, end, limits) : length;
  }

  #parse(bytes: Buffer, end: number, limits: HeadLimits): number {
    const text = bytes.toString('latin1', 0, end);
    this.#reset(text);
    let at = 0;
    // Empty lines before a request are skipped (RFC 9112 §2.2); they count as part of its head.
    while (bytes[at] === CR && at < end) {
      if (at + 1 >= end) return this.#more(text, limits);
      if (bytes[at + 1] !== LF) return this.#refuse('REQUEST_MALFORMED');
      at += 2;
    }
    at = this.#requestLine(bytes, text, at, limits);
    if (at <= 0) return at;
    this.#fieldsAt = at;
    const line = this.#line;
    const found = line.section(bytes, text, at, limits.maxFields, this);
    if (found === INCOMPLETE) return this.#more(text, limits);
    if (found === MALFORMED) return this.#refuse('REQUEST_MALFORMED');
    if (found === TOO_MANY || line.next > limits.maxHeadBytes) return this.#refuse('REQUEST_HEAD_TOO_LARGE');
    this.#fieldsEnd = line.next - 2;
    this.fields = line.passed;
    const error = this.#judge();
    return error === undefined ? line.next : this.#refuse(error);
  }

  /** All field lines as they came, each with its CRLF. */
  get lines(): string {
    return this.#text.slice(this.#fieldsAt, this.#fieldsEnd);
  }

  /** The first value of a field, by its lower-case name. */
  field(name: string): string | undefined {
    return valueIn(this.#text.slice(this.#fieldsAt, this.#fieldsEnd), name);
  }

  /** Makes this the request as a hook has left it; `fields` are whole lines. What frames it stays. */
  revise(target: string, fields: string, host: string | undefined): void {
    this.target = target;
    this.fields = fields;
    if (host === undefined) return;
    this.host = host;
    this.hasHost = true;
  }

  /** Lets go of all text, so that an idle connection keeps none alive. */
  clear(): void {
    this.#reset('');
  }

  #reset(text: string): void {
    this.#text = text;
    this.method = this.target = this.host = this.fields = '';
    this.hasHost = false;
    this.framing = NONE;
    this.contentLength = 0;
    this.keepAlive = true;
    this.expectContinue = this.trailers = this.authenticatesConnection = false;
    this.upgrade = this.forwardedFor = this.forwardedProto = this.forwardedHost = this.forwarded = this.via = '';
    this.forwardedOthers = '';
    this.maxForwards = undefined;
    this.#connection = this.#coding = this.#upgrade = '';
    this.#expect = undefined;
    this.#proxyClose = false;
    this.#hosts = this.#lengths = this.#codings = 0;
    this.#posing = false;
  }

  #requestLine(bytes: Buffer, text: string, start: number, limits: HeadLimits): number {
    const end = text.length;
    const classes = CLASS;
    let at = start;
    while (at < end && ((classes[bytes[at] ?? 0] ?? 0) & TOKEN) !== 0) at++;
    if (at >= end) return this.#more(text, limits, start);
    if (bytes[at] !== SP || at === start) return this.#refuse('REQUEST_MALFORMED');
    this.method = text.slice(start, at);
    const target = ++at;
    while (at < end && ((classes[bytes[at] ?? 0] ?? 0) & TARGET) !== 0) at++;
    if (at - start > limits.maxRequestLineBytes) return this.#refuse('TARGET_TOO_LONG');
    if (at >= end) return this.#more(text, limits, start);
    if (bytes[at] !== SP || at === target) return this.#refuse('REQUEST_MALFORMED');
    this.target = text.slice(target, at);
    const version = text.slice(++at, at + 10);
    if (version === 'HTTP/1.1\r\n') {
      this.minor = 1;
      this.version = '1.1';
    } else if (version === 'HTTP/1.0\r\n') {
      this.minor = 0;
      this.version = '1.0';
    } else if (version.length < 10 && 'HTTP/0.0\r\n'.startsWith(version.replace(/\d/g, '0'))) {
      return this.#more(text, limits, start);
    } else return this.#refuse(/^HTTP\/\d\.\d\r\n$/.test(version) ? 'VERSION_UNSUPPORTED' : 'REQUEST_MALFORMED');
    if (at + 10 - start > limits.maxRequestLineBytes) return this.#refuse('TARGET_TOO_LONG');
    return at + 10;
  }

  /** Takes the fields that the balancer acts on or writes itself. @internal */
  takes(line: FieldScanner): boolean {
    if (line.isForwarded()) {
      this.#takeForwarded(line);
      return true;
    }
    switch (line.nameLength) {
      case 2:
        if (!line.is('te')) return false;
        this.trailers ||= listHas(line.value(), 'trailers');
        return true;
      case 3:
        if (!line.is('via')) return false;
        this.via = joined(this.via, line.value());
        return true;
      case 4:
        if (!line.is('host')) return false;
        this.#hosts++;
        this.hasHost = true;
        this.host = line.value();
        return true;
      case 6:
        if (!line.is('expect')) return false;
        this.#expect = joined(this.#expect ?? '', line.value());
        return true;
      case 7:
        if (!line.is('upgrade')) return false;
        this.#upgrade = joined(this.#upgrade, line.value());
        return true;
      case 9:
        if (!line.is('forwarded')) return false;
        this.forwarded = joined(this.forwarded, line.value());
        return true;
      case 10:
        if (line.is('keep-alive')) return true;
        if (!line.is('connection')) return false;
        this.#connection = joined(this.#connection, line.strictValue());
        return true;
      case 12:
        if (this.method !== 'OPTIONS' && this.method !== 'TRACE') return false;
        if (!line.is('max-forwards')) return false;
        this.maxForwards = this.maxForwards === undefined ? line.value() : joined(this.maxForwards, line.value());
        return true;
      case 13:
        if (line.is('authorization')) this.#credentials(line);
        return false;
      case 14:
        if (line.is('http2-settings')) return true;
        if (!line.is('content-length')) {
          this.#posing ||= line.posesAs('content-length');
          return false;
        }
        this.#lengths++;
        this.contentLength = contentLength(line.strictValue());
        return true;
      case 16:
        if (!line.is('proxy-connection')) return false;
        // No field of HTTP/1.1, but who says close by it means it: Node's parser reads no further either.
        this.#proxyClose ||= listHas(line.value(), 'close');
        return true;
      case 17:
        if (!line.is('transfer-encoding')) {
          this.#posing ||= line.posesAs('transfer-encoding');
          return false;
        }
        this.#codings++;
        // No space may stand behind the coding: RFC 9112 §5.1 allows it, Node's parser does not.
        this.#coding = line.rawValue();
        return true;
      case 19:
        if (line.is('proxy-authorization')) this.#credentials(line);
        return false;
      default:
        return false;
    }
  }

  #credentials(line: FieldScanner): void {
    this.authenticatesConnection ||= line.startsWith('ntlm') || line.startsWith('negotiate');
  }

  /** Keeps what an X-Forwarded-* field says, for where its sender is trusted. */
  #takeForwarded(line: FieldScanner): void {
    const { nameLength } = line;
    if (nameLength === 15 && line.is('x-forwarded-for')) this.forwardedFor = joined(this.forwardedFor, line.value());
    else if (nameLength === 16 && line.is('x-forwarded-host')) {
      this.forwardedHost = joined(this.forwardedHost, line.value());
    } else if (nameLength === 17 && line.is('x-forwarded-proto')) {
      this.forwardedProto = joined(this.forwardedProto, line.value());
    } else if (!this.#posesAsOurs(line)) this.forwardedOthers += line.whole();
  }

  /** Whether a field would pass for one that we write ourselves: nobody may send that, be he trusted or not. */
  #posesAsOurs(line: FieldScanner): boolean {
    switch (line.nameLength) {
      case 15: return line.posesAs('x-forwarded-for');
      case 16: return line.posesAs('x-forwarded-host');
      case 17: return line.posesAs('x-forwarded-proto');
      default: return false;
    }
  }

  /** Judges the head as a whole, once all its fields are known. */
  #judge(): ErrorCode | undefined {
    // PRI begins the preface of HTTP/2, and is no method for anything else (RFC 9113 §3.4).
    if (this.method === 'CONNECT' || this.method === 'PRI') return 'METHOD_UNSUPPORTED';
    // RFC 9112 §3.2: exactly one Host, none only in HTTP/1.0.
    if (this.#hosts > 1 || (this.#hosts === 0 && this.minor === 1)) return 'REQUEST_MALFORMED';
    if (!this.#routes()) return 'REQUEST_MALFORMED';
    // No honest field is named so, and upstreams exist that would frame the message by it.
    if (this.#posing) return 'REQUEST_MALFORMED';
    if (this.#codings > 0) {
      // RFC 9112 §6.1: a coding beside a length, or in HTTP/1.0, is the stuff of smuggling.
      if (this.#lengths > 0 || this.minor === 0) return 'REQUEST_MALFORMED';
      const chunked = this.#codings === 1 && this.#coding.length === 7 && nameIs(this.#coding, 0, 'chunked');
      if (!chunked) return 'CODING_UNKNOWN';
      this.framing = CHUNKED;
    } else if (this.#lengths > 0) {
      if (this.#lengths > 1 || this.contentLength < 0) return 'REQUEST_MALFORMED';
      this.framing = LENGTH;
    }
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    if (this.#expect !== undefined && this.minor === 1) {
      if (this.#expect.length !== 12 || !nameIs(this.#expect, 0, '100-continue')) return 'EXPECTATION_UNKNOWN';
      this.expectContinue = this.framing !== NONE;
    }
    this.#connectionOptions();
    this.keepAlive &&= !this.#proxyClose;
    return undefined;
  }

  /** Turns the target into origin-form and checks the host (RFC 9112 §3.2, RFC 9110 §7.2). */
  #routes(): boolean {
    const first = this.target.charCodeAt(0);
    if (first !== 0x2f) {
      if (first === 0x2a) {
        if (this.target.length > 1 || this.method !== 'OPTIONS') return false;
      } else {
        // RFC 9110 §4.2.1: an http URI has a host. What Host says instead is of no account, but must still be sound.
        const absolute = /^https?:\/\/([^/?:][^/?]*)(\/[^?]*)?(\?.*)?$/i.exec(this.target);
        if (absolute?.[1] === undefined || !HOST.test(this.host)) return false;
        this.host = absolute[1];
        this.hasHost = true;
        const query = absolute[3] ?? '';
        const bare = absolute[2] === undefined && query === '';
        this.target = bare && this.method === 'OPTIONS' ? '*' : (absolute[2] ?? '/') + query;
      }
    }
    return HOST.test(this.host);
  }

  #connectionOptions(): void {
    const options = this.#connection;
    const plain = options === '' ? this.minor === 1 : plainPersistence(options);
    if (plain !== undefined) {
      this.keepAlive = plain;
      return;
    }
    // A tab may stand around an option, but Node's parser does not keep an HTTP/1.0 connection by one that has it.
    const asks = this.minor === 1 || (listHas(options, 'keep-alive') && !options.includes('\t'));
    this.keepAlive = asks && !listHas(options, 'close');
    // RFC 9110 §7.8: an Upgrade counts only if nominated, and only in HTTP/1.1. h2c would tunnel past every rule, as
    // would a draft of it (h2c-14): nothing that has its name passes.
    if (this.#upgrade !== '' && this.minor === 1 && listHas(options, 'upgrade') && !/h2c/i.test(this.#upgrade)) {
      this.upgrade = this.#upgrade;
    }
    this.fields = withoutNominated(this.fields, options);
    if (this.forwardedOthers !== '') this.forwardedOthers = withoutNominated(this.forwardedOthers, options);
  }

  /** More must come, unless what has come is too much already. */
  #more(text: string, limits: HeadLimits, line?: number): number {
    if (line !== undefined && text.length - line > limits.maxRequestLineBytes) return this.#refuse('TARGET_TOO_LONG');
    return text.length >= limits.maxHeadBytes ? this.#refuse('REQUEST_HEAD_TOO_LARGE') : 0;
  }

  #refuse(error: ErrorCode): -1 {
    this.error = error;
    return -1;
  }
}

/** Whether the request whose first octets these are, however few or malformed, is a HEAD: its answer has no body. */
export function isHead(bytes: Buffer): boolean {
  let at = 0;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return bytes.toString('latin1', at, at + HEAD_START.length) === HEAD_START;
}

const HEAD_START = 'HEAD ';
/** uri-host [":" port] (RFC 9110 §7.2): no userinfo, no path, no list; empty where there is no authority. */
export const HOST = /^(?:\[[0-9A-Za-z:.%~_-]+\]|[\w.~%!$&'()*+;=-]*)(?::\d{0,5})?$/;
