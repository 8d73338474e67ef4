/**
 * Requests as a server of node:http reads them.
 */
import http, { type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Line, settle, ticked } from './line.ts';

/** One request, as far as Node read it. */
export interface Read {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1. */
  readonly minor: number;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly rawTrailers: readonly string[];
  /** Whether it was handed to its listener: checks behind the parser (Host, Expect) refuse too. */
  readonly accepted: boolean;
  readonly whole: boolean;
  /** Whether the parser took it for a request to upgrade. */
  readonly upgrade: boolean;
  /** The pieces in which its head and its last byte came. */
  readonly piece: number;
  readonly lastPiece: number;
}

export interface Reading {
  readonly requests: readonly Read[];
  /** The code of the parser's error, where it stopped with one, and the offset that it names. */
  readonly error: string | undefined;
  readonly errorAt: number;
  /** The piece in which the parser stopped. */
  readonly errorPiece: number;
  /** Whether an end of the connection would cut a request short; undefined where Node's parser does not say. */
  readonly cutShort: boolean | undefined;
}

export class RequestsOracle {
  readonly #server: Server;
  #requests: ServerRead[] = [];
  #error: string | undefined;
  #errorAt = 0;
  #errorPiece = 0;
  #before = 0;
  #piece = 0;

  constructor() {
    const accept = ({ noted }: ServerRequest): void => {
      noted.accepted = true;
    };
    const onRead = (read: ServerRead): void => {
      this.#requests.push(read);
    };
    const pieceNow = (): number => this.#piece;
    class Observed extends ServerRequest {
      constructor(line: Line) {
        super(line as unknown as Socket, pieceNow);
        onRead(this.noted);
      }
    }
    this.#server = http.createServer({
      IncomingMessage: Observed as unknown as typeof IncomingMessage,
      keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0,
    });
    // It never answers: that does not affect what it reads next.
    this.#server.on('request', accept).on('checkContinue', accept);
    this.#server.on('clientError', (error: ParseError) => {
      this.#error ??= error.code ?? error.message;
      this.#errorAt = this.#before + (error.bytesParsed ?? 0);
      this.#errorPiece = this.#piece;
    });
  }

  get #stopped(): boolean {
    return this.#error !== undefined;
  }

  async run(pieces: readonly string[]): Promise<Reading> {
    this.#requests = [];
    this.#error = undefined;
    this.#before = this.#piece = 0;
    const line = new Line();
    this.#server.emit('connection', line);
    const { parser } = line as unknown as { parser: Parser };
    parser.execute = executeAll;
    await ticked();
    for (const piece of pieces) {
      if (this.#stopped) break;
      line.bring(piece);
      this.#before += piece.length;
      this.#piece++;
    }
    await settle();
    const requests = this.#requests;
    for (const read of requests) read.finish();
    const last = requests.at(-1);
    let cutShort: boolean | undefined = false;
    if (!this.#stopped && !line.destroyed) {
      cutShort = last?.whole === false || typeof parser.finish() === 'object';
      // Behind a request to upgrade it reports nothing, whatever happened to the next one.
      if (!cutShort && last?.upgrade === true) cutShort = undefined;
    }
    const reading = {
      requests, error: this.#error, errorAt: this.#errorAt, errorPiece: this.#errorPiece, cutShort,
    };
    // Parsers are reused, including those of clients.
    Reflect.deleteProperty(parser, 'execute');
    line.destroy();
    await ticked();
    return reading;
  }
}

type ParseError = NodeJS.ErrnoException & { bytesParsed?: number };

interface Parser {
  execute(bytes: Buffer): number | ParseError;
  finish(): ParseError | undefined;
}

/**
 * Without a listener for 'upgrade', Node loses what one read brings behind a request to upgrade, and goes on with the
 * next read. So what is behind it is given to the parser as if it had come in another read. Node also says nothing
 * about an error in such a request: the only sign is that the parser does not advance any more.
 */
function executeAll(this: Parser, bytes: Buffer): number | ParseError {
  const parser = Object.getPrototypeOf(this) as Parser;
  for (let at = 0; ;) {
    let read = parser.execute.call(this, bytes.subarray(at));
    if (typeof read === 'number' && read <= 0) read = Object.assign(new Error('stuck'), { code: 'STUCK' });
    if (typeof read !== 'number') {
      read.bytesParsed = at + (read.bytesParsed ?? 0);
      return read;
    }
    at += read;
    if (at >= bytes.length) return at;
  }
}

/** What is recorded of one request. */
class ServerRead implements Read {
  method = '';
  target = '';
  minor = 1;
  rawHeaders: readonly string[] = [];
  rawTrailers: readonly string[] = [];
  body = '';
  accepted = false;
  whole = false;
  upgrade = false;
  readonly piece: number;
  lastPiece = -1;
  readonly #request: ServerRequest;

  constructor(request: ServerRequest, piece: number) {
    this.#request = request;
    this.piece = piece;
  }

  finish(): void {
    const { method = '', url = '', httpVersionMinor, rawHeaders, rawTrailers } = this.#request;
    this.method = method;
    this.target = url;
    this.minor = httpVersionMinor;
    this.rawHeaders = rawHeaders;
    this.rawTrailers = rawTrailers;
  }
}

/** Hooks in where the parser hands over the body: no stream in between holds anything back. */
class ServerRequest extends http.IncomingMessage {
  readonly noted: ServerRead;
  readonly #pieceNow: () => number;
  #upgrade = false;

  constructor(socket: Socket, pieceNow: () => number) {
    super(socket);
    this.#pieceNow = pieceNow;
    this.noted = new ServerRead(this, pieceNow());
  }

  /** Set by the parser, then by the server, which has no listener for 'upgrade'; to null before there is a note. */
  set upgrade(value: boolean | null) {
    if (value === null) return;
    this.#upgrade = value;
    if (value) this.noted.upgrade = true;
  }

  get upgrade(): boolean {
    return this.#upgrade;
  }

  override push(data: Buffer | null): boolean {
    if (data === null) {
      this.noted.whole = true;
      this.noted.lastPiece = this.#pieceNow();
    } else this.noted.body += data.toString('latin1');
    return true;
  }

  override destroy(): this {
    return this;
  }
}
