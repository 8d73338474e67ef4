/**
 * The request head (RFC 9112 §§2.2, 3, 5, 6): a strict parser, which rejects everything ambiguous. It is long because
 * the head is read in one pass, over octets, with a rule beside each step.
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

/** A request head: filled by {@link RequestHead.parse}, reused for the next request of a connection. */
export class RequestHead implements PickRequest, FieldTaker {
  method = '';
  /** In origin-form, or `*`. Forwarded as received: never decoded or normalised. */
  target = '';
  /** The minor version: 0 or 1. */
  minor = 1;
  /** The authority of the request (RFC 9110 §7.2): the target's, or that of the Host field. */
  host = '';
  /** False for an HTTP/1.0 request without a Host field; one that is there may be empty. */
  hasHost = false;
  /** The end-to-end field lines, each with its CRLF, without Host and the fields that the balancer writes itself. */
  fields = '';
  framing: Framing = NONE;
  contentLength = 0;
  /** Whether the downstream wants the connection to persist (RFC 9112 §9.3). */
  keepAlive = true;
  /** The Upgrade field if Connection nominates it (RFC 9110 §7.8), else `''`. */
  upgrade = '';
  expectContinue = false;
  /** Whether the downstream accepts trailers (`TE: trailers`, RFC 9110 §10.1.4). */
  trailers = false;
  /** What the downstream says about earlier hops; used only if it is trusted. */
  forwardedFor = '';
  forwardedProto = '';
  forwardedHost = '';
  forwarded = '';
  via = '';
  /** Whether its credentials authenticate its connection: see `exchange/affinity.ts`. */
  authenticatesConnection = false;
  /** The lines of all other X-Forwarded-* fields, each with its CRLF. */
  forwardedOthers = '';
  /** The received protocol version, for Via. A front that is not HTTP/1.1 sets it. */
  version: '1.0' | '1.1' | '2.0' = '1.1';
  /** The Host that a hook has put in place of all others; undefined where none has. */
  revisedHost: string | undefined;
  /** The Max-Forwards field of OPTIONS and TRACE, the only methods for which it has a meaning (RFC 9110 §7.6.2). */
  maxForwards: string | undefined;
  /** What identifies the request; `''` unless the balancer gives ids. */
  id = '';
  /** Why {@link RequestHead.parse} rejected the head. */
  error: ErrorCode = 'REQUEST_MALFORMED';

  readonly #line = new FieldScanner();
  #text = '';
  /** `fields` before a hook changed them. */
  #passed: string | undefined;
  #fieldsAt = 0;
  #fieldsEnd = 0;
  #connection = '';
  #hosts = 0;
  #lengths = 0;
  #codings = 0;
  #coding = '';
  /** Whether a field would frame the message for a recipient that treats `_` like `-`. */
  #posing = false;
  #proxyClose = false;
  #expect: string | undefined;
  #upgrade = '';

  /**
   * Parses the head at the start of `bytes`, of which those before `end` have been received, at most
   * `limits.maxHeadBytes`. Returns the length of the head, 0 if it is incomplete, or -1 if it is rejected: see `error`.
   */
  parse(bytes: Buffer, end: number, limits: HeadLimits): number {
    const length = this.#parse(bytes, Math.min(end, USUAL_HEAD_BYTES), limits);
    return length === 0 && end > USUAL_HEAD_BYTES ? this.#parse(bytes, end, limits) : length;
  }

  #parse(bytes: Buffer, end: number, limits: HeadLimits): number {
    const text = bytes.toString('latin1', 0, end);
    this.#reset(text);
    let at = 0;
    // Empty lines before a request are skipped (RFC 9112 §2.2) and count as part of its head.
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

  /** The first value of a field, by its lower-case name: as a hook has left it, where one has changed the fields. */
  header(name: string): string | undefined {
    if (name === 'host' && this.revisedHost !== undefined) return this.revisedHost;
    if (this.#passed !== undefined) {
      const value = valueIn(this.fields, name);
      if (value !== undefined || valueIn(this.#passed, name) !== undefined) return value;
    }
    return valueIn(this.#text.slice(this.#fieldsAt, this.#fieldsEnd), name);
  }

  /** A copy to be sent once this head is reused. It does not ask whether to send the body: that comes anyway. */
  copy(): RequestHead {
    const copy = new RequestHead();
    copy.#text = this.#text;
    copy.#fieldsAt = this.#fieldsAt;
    copy.#fieldsEnd = this.#fieldsEnd;
    copy.#passed = this.#passed;
    copy.id = this.id;
    copy.method = this.method;
    copy.target = this.target;
    copy.host = this.host;
    copy.hasHost = this.hasHost;
    copy.revisedHost = this.revisedHost;
    copy.fields = this.fields;
    copy.framing = this.framing;
    copy.contentLength = this.contentLength;
    copy.trailers = this.trailers;
    copy.maxForwards = this.maxForwards;
    copy.authenticatesConnection = this.authenticatesConnection;
    return copy;
  }

  /** Makes this the request as a hook has left it; `fields` are whole lines. What frames it stays. */
  revise(target: string, fields: string, host: string | undefined): void {
    this.target = target;
    this.revisedHost = host;
    if (fields === this.fields) return;
    this.#passed = this.fields;
    this.fields = fields;
    this.authenticatesConnection = CREDENTIALS.test(fields);
  }

  /** Drops all text, so that an idle connection keeps none alive. */
  clear(): void {
    this.#reset('');
  }

  #reset(text: string): void {
    this.#text = text;
    this.method = this.target = this.host = this.fields = this.id = '';
    this.hasHost = false;
    this.framing = NONE;
    this.contentLength = 0;
    this.keepAlive = true;
    this.expectContinue = this.trailers = this.authenticatesConnection = false;
    this.upgrade = this.forwardedFor = this.forwardedProto = this.forwardedHost = this.forwarded = this.via = '';
    this.forwardedOthers = '';
    this.maxForwards = this.revisedHost = this.#passed = undefined;
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

  /** Takes the fields that the balancer evaluates or writes itself. @internal */
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
        // A second one makes it malformed, even where either is empty.
        this.maxForwards = this.maxForwards === undefined ? line.value() : `${this.maxForwards}, ${line.value()}`;
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
        // Not a field of HTTP/1.1, but `close` in it is meant: Node's parser reads no further either.
        this.#proxyClose ||= listHas(line.value(), 'close');
        return true;
      case 17:
        if (!line.is('transfer-encoding')) {
          this.#posing ||= line.posesAs('transfer-encoding');
          return false;
        }
        this.#codings++;
        // With any space after the coding, which RFC 9112 §5.1 allows but Node's parser rejects.
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

  /** Keeps an X-Forwarded-* field, in case its sender is trusted. */
  #takeForwarded(line: FieldScanner): void {
    const { nameLength } = line;
    if (nameLength === 15 && line.is('x-forwarded-for')) this.forwardedFor = joined(this.forwardedFor, line.value());
    else if (nameLength === 16 && line.is('x-forwarded-host')) {
      this.forwardedHost = joined(this.forwardedHost, line.value());
    } else if (nameLength === 17 && line.is('x-forwarded-proto')) {
      this.forwardedProto = joined(this.forwardedProto, line.value());
    } else if (!this.#posesAsOurs(line)) this.forwardedOthers += line.whole();
  }

  /** Whether a field could be taken for one that we write. It is dropped, even if the sender is trusted. */
  #posesAsOurs(line: FieldScanner): boolean {
    switch (line.nameLength) {
      case 15: return line.posesAs('x-forwarded-for');
      case 16: return line.posesAs('x-forwarded-host');
      case 17: return line.posesAs('x-forwarded-proto');
      default: return false;
    }
  }

  /** Checks the head as a whole, once all fields are known. */
  #judge(): ErrorCode | undefined {
    // PRI begins the preface of HTTP/2 and is reserved for it (RFC 9113 §3.4).
    if (this.method === 'CONNECT' || this.method === 'PRI') return 'METHOD_UNSUPPORTED';
    // RFC 9112 §3.2: exactly one Host; only HTTP/1.0 may omit it.
    if (this.#hosts > 1 || (this.#hosts === 0 && this.minor === 1)) return 'REQUEST_MALFORMED';
    if (!this.#routes()) return 'REQUEST_MALFORMED';
    // No legitimate field has such a name, and some upstreams would use it to frame the message.
    if (this.#posing) return 'REQUEST_MALFORMED';
    if (this.#codings > 0) {
      // RFC 9112 §6.1: a coding together with a length, or in HTTP/1.0, is a smuggling attempt.
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
        // RFC 9110 §4.2.1: an http URI has a host. The Host field is then ignored, but must still be valid.
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
    // Tabs around an option are allowed, but then Node's parser does not keep an HTTP/1.0 connection.
    const asks = this.minor === 1 || (listHas(options, 'keep-alive') && !options.includes('\t'));
    this.keepAlive = asks && !listHas(options, 'close');
    // RFC 9110 §7.8: Upgrade counts only if nominated, and only in HTTP/1.1. h2c would tunnel past every rule, and so
    // would its drafts (h2c-14): nothing that contains the name is forwarded.
    if (this.#upgrade !== '' && this.minor === 1 && listHas(options, 'upgrade') && !/h2c/i.test(this.#upgrade)) {
      this.upgrade = this.#upgrade;
    }
    this.fields = withoutNominated(this.fields, options);
    if (this.forwardedOthers !== '') this.forwardedOthers = withoutNominated(this.forwardedOthers, options);
  }

  /** The head is incomplete, unless it is too large already. */
  #more(text: string, limits: HeadLimits, line?: number): number {
    if (line !== undefined && text.length - line > limits.maxRequestLineBytes) return this.#refuse('TARGET_TOO_LONG');
    return text.length >= limits.maxHeadBytes ? this.#refuse('REQUEST_HEAD_TOO_LARGE') : 0;
  }

  #refuse(error: ErrorCode): -1 {
    this.error = error;
    return -1;
  }
}

/** Whether these first octets of a request, which may be malformed, are those of a HEAD, whose answer has no body. */
export function isHead(bytes: Buffer): boolean {
  let at = 0;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return bytes.toString('latin1', at, at + HEAD_START.length) === HEAD_START;
}

const HEAD_START = 'HEAD ';
/** A line whose credentials authenticate the connection: what `#credentials` sees while it parses. */
const CREDENTIALS = /^(?:proxy-)?authorization:[ \t]*(?:ntlm|negotiate)/im;
/** uri-host [":" port] (RFC 9110 §7.2): no userinfo, path or list; empty if the target has no authority. */
export const HOST = /^(?:\[[0-9A-Za-z:.%~_-]+\]|[\w.~%!$&'()*+;=-]*)(?::\d{0,5})?$/;
