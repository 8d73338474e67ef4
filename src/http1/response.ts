/**
 * The response head (RFC 9112 §§4, 5, 6): as strict as for requests. A malformed response is rejected, not repaired.
 */
import type { ErrorCode } from '../errors.ts';
import { FieldScanner, type FieldTaker, INCOMPLETE, MALFORMED, TOO_MANY, valueIn, withoutNominated } from './fields.ts';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from './framing.ts';
import {
  CLASS, contentLength, CR, FIELD_VALUE, type HeadLimits, joined, LF, listHas, nameIs, plainPersistence, SP,
  USUAL_HEAD_BYTES,
} from './grammar.ts';

/** The parts of a head that an answer brings. `fields` are whole lines with their CRLF, without framing. */
export type AnswerHead = Pick<ResponseHead, 'status' | 'reason' | 'fields' | 'hasDate'>;

/** A response head: filled by {@link ResponseHead.parse}, reused for the next response of a connection. */
export class ResponseHead implements FieldTaker {
  status = 0;
  /** The status line as it is forwarded, with its CRLF: always HTTP/1.1 (RFC 9110 §6.2). */
  line = '';
  /** The end-to-end field lines, each with its CRLF, including a valid Content-Length. */
  fields = '';
  framing: Framing = NONE;
  contentLength = 0;
  /** Whether the upstream keeps the connection after this response (RFC 9112 §9.3). */
  keepAlive = true;
  /** `timeout` of the Keep-Alive field, in seconds; -1 if there is none. */
  keepAliveSeconds = -1;
  /** The Upgrade field if Connection nominates it, else `''`. */
  upgrade = '';
  hasDate = false;
  /** Whether the response has `Transfer-Encoding: chunked`, even without a body (to HEAD). */
  chunked = false;
  /** Whether it is a 401 or 407 that asks for credentials that authenticate the connection (RFC 4559 §4). */
  authenticatesConnection = false;
  /** Why {@link ResponseHead.parse} rejected the head. */
  error: ErrorCode = 'RESPONSE_MALFORMED';

  readonly #scanner = new FieldScanner();
  /** The octets that were read as text: the head, and perhaps some of what follows it. */
  #text = '';
  #fieldsAt = 0;
  #added = '';
  #fieldsEnd = 0;
  #minor = 1;
  #connection = '';
  #lengths = 0;
  #codings = 0;
  #coding = '';
  /** Whether Proxy-Connection says close. It is not a field of HTTP/1.1, but Node's parser obeys it too. */
  #proxyClose = false;
  #upgrade = '';

  /**
   * Parses the head at the start of `bytes`, of which those before `end` have been received, at most
   * `limits.maxHeadBytes`. `method` is that of the request: a response to HEAD has no body whatever its fields say.
   * Returns the length of the head, 0 if it is incomplete, or -1 if it is rejected: see `error`.
   */
  parse(bytes: Buffer, end: number, method: string, limits: HeadLimits): number {
    const length = this.#parse(bytes, Math.min(end, USUAL_HEAD_BYTES), method, limits);
    return length === 0 && end > USUAL_HEAD_BYTES ? this.#parse(bytes, end, method, limits) : length;
  }

  #parse(bytes: Buffer, end: number, method: string, limits: HeadLimits): number {
    this.#reset();
    const text = bytes.toString('latin1', 0, end);
    const at = this.#statusLine(bytes, text);
    if (at < 0) return this.#refuse('RESPONSE_MALFORMED');
    if (at === 0) return this.#more(text, limits);
    const scanner = this.#scanner;
    const found = scanner.section(bytes, text, at, limits.maxFields, this);
    if (found === INCOMPLETE) return this.#more(text, limits);
    if (found === MALFORMED) return this.#refuse('RESPONSE_MALFORMED');
    if (found === TOO_MANY || scanner.next > limits.maxHeadBytes) return this.#refuse('RESPONSE_HEAD_TOO_LARGE');
    this.fields = scanner.passed;
    if (!this.#judge(method)) return this.#refuse('RESPONSE_MALFORMED');
    this.#text = text;
    this.#fieldsAt = at;
    this.#fieldsEnd = scanner.next - 2;
    return scanner.next;
  }

  /** All field lines as they came, each with its CRLF, and those added to them. */
  get lines(): string {
    return this.#text.slice(this.#fieldsAt, this.#fieldsEnd) + this.#added;
  }

  /** The first value of a field, by its lower-case name. */
  header(name: string): string | undefined {
    return valueIn(this.lines, name);
  }

  /** Adds whole field lines to those of the upstream. */
  add(lines: string): void {
    this.fields += lines;
    this.#added += lines;
  }

  get reason(): string {
    return this.line.slice(REASON_AT, -2);
  }

  /** The parsed bytes from `from` to `to` as latin1; `''` if they were not read as text. */
  textAt(from: number, to: number): string {
    return to <= this.#text.length ? this.#text.slice(from, to) : '';
  }

  /** Makes this the head of an answer by the balancer. `fields` are whole lines with their CRLF. */
  compose(status: number, reason: string, fields: string, length: number): void {
    this.#reset();
    this.status = status;
    this.line = `HTTP/1.1 ${status} ${reason}\r\n`;
    this.fields = `${fields}Content-Length: ${length}\r\n`;
    this.framing = LENGTH;
    this.contentLength = length;
  }

  /** Makes this the head of an answer to a request of `method`, in chunks if `hasBody`. */
  answer({ status, reason, fields, hasDate }: AnswerHead, method: string, hasBody: boolean): void {
    this.#reset();
    this.status = status;
    this.line = `HTTP/1.1 ${status} ${reason}\r\n`;
    this.fields = fields;
    this.hasDate = hasDate;
    if (hasBody) this.framing = CHUNKED;
    else if (method !== 'HEAD' && status !== 204 && status !== 304) {
      this.fields += 'Content-Length: 0\r\n';
      this.framing = LENGTH;
    }
  }

  /**
   * Makes this the head as a hook has left it; `fields` are whole lines. The framing is the caller's to change, and a
   * Content-Length among the fields has to agree with it. `reason` is sent with a status that is not the upstream's.
   */
  revise(status: number, reason: string, fields: string, hasDate: boolean): void {
    if (status !== this.status) {
      this.status = status;
      this.line = `HTTP/1.1 ${status} ${reason}\r\n`;
    }
    this.fields = fields;
    this.hasDate = hasDate;
  }

  /** Drops all text, so that an idle connection keeps none alive. */
  clear(): void {
    this.#reset();
  }

  #reset(): void {
    this.line = this.fields = this.upgrade = this.#text = this.#added = '';
    this.#connection = this.#coding = this.#upgrade = '';
    this.framing = NONE;
    this.contentLength = 0;
    this.keepAlive = true;
    this.keepAliveSeconds = -1;
    this.hasDate = this.chunked = this.authenticatesConnection = this.#proxyClose = false;
    this.#lengths = this.#codings = 0;
  }

  /** Returns where the fields start, 0 if the line is incomplete, or -1 if it is malformed (RFC 9112 §4). */
  #statusLine(bytes: Buffer, text: string): number {
    if (text.length < 13) return STATUS_LINE_START.startsWith(text.slice(0, 7)) ? 0 : -1;
    if (!text.startsWith(STATUS_LINE_START)) return -1;
    const minor = text.charCodeAt(7) - 0x30;
    if ((minor !== 0 && minor !== 1) || text.charCodeAt(8) !== SP) return -1;
    this.#minor = minor;
    let status = 0;
    for (let at = 9; at < 12; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      status = status * 10 + digit;
    }
    if (status < 100) return -1;
    this.status = status;
    // The space before an empty reason phrase is often omitted; Node's parser accepts that too.
    let at = 12;
    const usual = text.charCodeAt(at) === SP;
    if (usual) at++;
    else if (text.charCodeAt(at) !== CR) return -1;
    const classes = CLASS;
    const reason = at;
    while (at < text.length && ((classes[bytes[at] ?? 0] ?? 0) & FIELD_VALUE) !== 0) at++;
    if (at + 1 >= text.length) return at < text.length && text.charCodeAt(at) !== CR ? -1 : 0;
    if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) return -1;
    this.line = usual && minor === 1 ? text.slice(0, at + 2) : `HTTP/1.1 ${status} ${text.slice(reason, at)}\r\n`;
    return at + 2;
  }

  /** Takes the fields that the balancer evaluates, and notes some that are forwarded. @internal */
  takes(line: FieldScanner): boolean {
    switch (line.nameLength) {
      case 4:
        if (line.is('date')) this.hasDate = true;
        return false;
      case 7:
        if (!line.is('upgrade')) return false;
        this.#upgrade = joined(this.#upgrade, line.value());
        return true;
      case 10:
        if (line.is('connection')) {
          this.#connection = joined(this.#connection, line.strictValue());
          return true;
        }
        if (!line.is('keep-alive')) return false;
        this.keepAliveSeconds = timeoutIn(line.value());
        return true;
      case 14:
        if (!line.is('content-length')) return false;
        this.#lengths++;
        this.contentLength = contentLength(line.strictValue());
        // Forwarded in its place, unless the status never has a body (RFC 9110 §8.6).
        return this.status < 200 || this.status === 204;
      case 16:
        if (line.is('www-authenticate')) this.#challenges(line);
        if (!line.is('proxy-connection')) return false;
        this.#proxyClose ||= listHas(line.value(), 'close');
        return true;
      case 17:
        if (!line.is('transfer-encoding')) return false;
        this.#codings++;
        this.#coding = line.rawValue();
        return true;
      case 18:
        if (line.is('proxy-authenticate')) this.#challenges(line);
        return false;
      default:
        return false;
    }
  }

  #challenges(line: FieldScanner): void {
    if (this.status !== 401 && this.status !== 407) return;
    this.authenticatesConnection ||= CONNECTION_CHALLENGE.test(line.value());
  }

  #judge(method: string): boolean {
    if (this.#lengths > 0 && (this.#lengths > 1 || this.contentLength < 0)) return false;
    if (this.#codings > 0) {
      if (this.#lengths > 0 || this.#minor === 0) return false;
      if (this.#codings > 1 || this.#coding.length !== 7 || !nameIs(this.#coding, 0, 'chunked')) return false;
      this.chunked = true;
    }
    // RFC 9112 §6.3, in its order.
    if (method === 'HEAD' || this.status < 200 || this.status === 204 || this.status === 304) this.framing = NONE;
    else if (this.chunked) this.framing = CHUNKED;
    else if (this.#lengths > 0) this.framing = LENGTH;
    else this.framing = UNTIL_CLOSE;
    this.#connectionOptions();
    this.keepAlive &&= !this.#proxyClose;
    // A final response must follow an interim one, but Node's parser reads nothing after one that ends the connection.
    return this.keepAlive || this.status >= 200 || this.status === 101;
  }

  #connectionOptions(): void {
    const options = this.#connection;
    const plain = options === '' ? this.#minor === 1 : plainPersistence(options);
    if (plain !== undefined) {
      this.keepAlive = plain;
      return;
    }
    // Tabs around an option are allowed, but then Node's parser ignores `keep-alive` and `upgrade`.
    const exact = !options.includes('\t');
    const asks = this.#minor === 1 || (exact && listHas(options, 'keep-alive'));
    this.keepAlive = asks && !listHas(options, 'close');
    if (this.#upgrade !== '' && exact && listHas(options, 'upgrade')) this.upgrade = this.#upgrade;
    this.fields = withoutNominated(this.fields, options);
    this.hasDate &&= !listHas(options, 'date');
  }

  #more(text: string, limits: HeadLimits): number {
    return text.length >= limits.maxHeadBytes ? this.#refuse('RESPONSE_HEAD_TOO_LARGE') : 0;
  }

  #refuse(error: ErrorCode): -1 {
    this.error = error;
    return -1;
  }
}

/** The `timeout` of a Keep-Alive field, -1 if there is none. */
function timeoutIn(value: string): number {
  // Node servers send it with each response, always in this form.
  const plain = value.startsWith('timeout=') ? contentLength(value.slice(8)) : -1;
  if (plain >= 0 && plain < 1e6) return plain;
  return Number(/(?:^|[,;\s])timeout=(\d{1,6})/i.exec(value)?.[1] ?? -1);
}

/** One of several challenges, with or without a token. May also match inside quotes, which does little harm. */
const CONNECTION_CHALLENGE = /(?:^|[,\s])(?:ntlm|negotiate)(?:$|[,\s])/i;
const STATUS_LINE_START = 'HTTP/1.';
/** The position after `HTTP/1.1 200 `. */
const REASON_AT = 13;
