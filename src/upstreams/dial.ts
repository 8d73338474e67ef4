/**
 * Opens connections to upstreams: by the option `connect`, which is the seam for TLS and the like, else by TCP.
 */
import net, { type OnReadOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { shown } from '../options/checks.ts';
import { BalancerError } from '../errors.ts';
import { guarded, guardedValue, isThenable, messageOf } from '../guard.ts';
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { Names } from './names.ts';

/** The connection that is made. */
export interface Dialling {
  /** Whether the name of the upstream is being looked up. */
  resolving: boolean;
  /** Bytes have come; they are valid until this returns, or where it returns false, until reading is resumed. */
  received(bytes: Buffer, length: number): boolean;
}

/** Opens connections, for one balancer. */
export class Dialler {
  readonly #connect: Settings['connect'];
  readonly #names: Names;
  /** What `connect` has returned: two connections over one stream would read each other's responses. */
  readonly #adopted = new WeakSet<Duplex>();

  /** Hears of what streams of `connect` do wrong where no exchange would: when they are closed, or idle. */
  readonly report: (error: BalancerError, origin: string) => void;

  constructor(
    connect: Settings['connect'], names: Names, report: (error: BalancerError, origin: string) => void,
  ) {
    this.#connect = connect;
    this.#names = names;
    this.report = report;
  }

  /**
   * Begins to connect, and has `dialling` hear of what comes over the connection. Throws CONNECT_UNUSABLE where
   * `connect` gives no usable stream: that is for its author to mend, and says nothing about the upstream.
   */
  dial(upstream: ParsedUpstream, dialling: Dialling): Duplex {
    const { origin } = upstream;
    const made = this.#connect === undefined ? undefined : this.#made(this.#connect, upstream, dialling);
    if (made !== undefined) return this.#adopt(made, origin, dialling);
    if (origin.startsWith('https:')) {
      // Never in plain text, cookies and all, where TLS is due.
      throw unusable(`connect returned undefined for ${origin}, which needs TLS; return a TLS stream for it`);
    }
    return this.#open(upstream, dialling);
  }

  /** What `connect` returns. */
  #made(connect: NonNullable<Settings['connect']>, upstream: ParsedUpstream, dialling: Dialling): unknown {
    const { origin, host, port } = upstream;
    let fault: BalancerError | undefined;
    const made = guardedValue((): unknown => {
      const returned: unknown = connect({ origin, host, port }, { lookup: this.#lookupFor(dialling) });
      if (isThenable(returned)) discardResult(returned);
      return returned;
    }, (what, cause) => {
      fault = what === 'threw'
        ? unusable(`connect threw for ${origin}: ${messageOf(cause)}`, cause)
        : unusable(`connect returned a promise for ${origin}; return a stream, which may still be connecting`);
    });
    if (fault !== undefined) throw fault;
    return made;
  }

  #adopt(made: unknown, origin: string, dialling: Dialling): Duplex {
    if (!isDuplex(made)) {
      throw unusable(`connect returned ${shown(made)} for ${origin}; return a stream (a Duplex), or undefined for TCP`);
    }
    if (this.#adopted.has(made)) {
      throw unusable(`connect returned the same stream twice, for ${origin}; return a new one for each call`);
    }
    if (typeof made.readableEncoding === 'string' || made.readableObjectMode) {
      discard(made);
      throw unusable(`connect returned a stream of text or objects for ${origin}; return one of bytes (Buffers)`);
    }
    if (made.destroyed || !made.writable) {
      discard(made);
      throw unusable(`connect returned a closed stream for ${origin}; return an open one, or one that is connecting`);
    }
    this.#adopted.add(made);
    sendAtOnce(made, origin);
    flow(made, origin, dialling);
    return made;
  }

  #open({ host, port }: ParsedUpstream, dialling: Dialling): Socket {
    // Bytes are read into one buffer of the connection's own, which is free again when they have been passed on:
    // reading is paused until then, so a slow downstream holds one buffer and no more. It starts small, since most
    // responses are, and hundreds of connections may idle; a read that fills it has more behind it.
    let buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
    const onread: OnReadOpts = {
      buffer: () => buffer,
      callback: (length, bytes) => {
        if (length === buffer.length && length < READ_BUFFER_BYTES) buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
        return dialling.received(bytes as Buffer, length);
      },
    };
    const where = { host, port, noDelay: true, allowHalfOpen: true, onread };
    return net.connect(net.isIP(host) === 0 ? { ...where, lookup: this.#lookupFor(dialling) } : where);
  }

  /** The lookup for one connection, which knows whether it is at that. */
  #lookupFor(dialling: Dialling): Names['lookup'] {
    return (host, options, callback) => {
      dialling.resolving = true;
      this.#names.lookup(host, options, (...answer) => {
        dialling.resolving = false;
        callback(...answer);
      });
    };
  }
}

/** What streams of some kinds have, and others lack. */
interface Opening {
  readonly connecting?: unknown;
  readonly pending?: unknown;
  readonly secureConnecting?: unknown;
  readonly authorizationError?: unknown;
  readonly getPeerFinished?: unknown;
  readonly setNoDelay?: unknown;
}

/**
 * Calls `opened` once a stream may be used for HTTP: at once where it is open, such as the channel of an SSH connection
 * or a socket that was connected before. A TLS socket is open when its handshake is done.
 */
export function whenOpen(stream: Duplex, opened: () => void): void {
  let waits = true;
  const open = (): void => {
    if (waits && !stream.destroyed) opened();
    waits = false;
  };
  if (isOpen(stream)) open();
  else for (const event of 'encrypted' in stream ? SECURE : PLAIN) stream.once(event, open);
}

function isOpen(stream: Duplex): boolean {
  const { connecting, pending, secureConnecting, getPeerFinished } = stream as Opening;
  // `pending`: a socket that has not begun to connect, and a stream of HTTP/2 whose session is not connected.
  if (connecting === true || pending === true) return false;
  if (secureConnecting !== true) return true;
  // A TLSSocket that was not made by tls.connect says so for ever.
  return typeof getPeerFinished === 'function' && getPeerFinished.call(stream) !== undefined;
}

/** Sockets tell of both, streams of HTTP/2 of the second alone, others of the first. */
const PLAIN = ['connect', 'ready'] as const;
/**
 * What tls.connect makes tells of both once it has looked at the certificate, or is destroyed; a TLSSocket of another
 * origin tells of the second alone.
 */
const SECURE = ['secureConnect', 'secure'] as const;

/** Whether the certificate of the other side was looked at and not accepted. */
export function isUntrusted(stream: Duplex): boolean {
  const { authorizationError } = stream as Opening;
  return authorizationError !== undefined && authorizationError !== null;
}

/** Turns off Nagle's algorithm where the stream has it: small pieces would wait for the other side's delayed ACK. */
function sendAtOnce(stream: Duplex, origin: string): void {
  const { setNoDelay } = stream as Opening;
  if (typeof setNoDelay !== 'function') return;
  let fault: BalancerError | undefined;
  // It takes effect before the stream is connected, too.
  guarded((): unknown => setNoDelay.call(stream, true), (what, cause) => {
    fault = unusable(`setNoDelay of what connect returned for ${origin} ${what}: ${messageOf(cause)}`, cause);
  });
  if (fault === undefined) return;
  discard(stream);
  throw fault;
}

/** Has bytes come to `dialling`. */
function flow(stream: Duplex, origin: string, dialling: Dialling): void {
  try {
    stream.on('data', (bytes: Buffer) => {
      dialling.received(bytes, bytes.length);
    });
    // Whoever opened it may have paused it.
    stream.resume();
  } catch (cause) {
    discard(stream);
    throw unusable(`resume of what connect returned for ${origin} threw: ${messageOf(cause)}`, cause);
  }
}

function unusable(message: string, cause?: unknown): BalancerError {
  return new BalancerError('CONNECT_UNUSABLE', message, { cause });
}

/** Whether this is a stream that can be read and written, be it of `node:stream` or of another implementation of it. */
function isDuplex(value: unknown): value is Duplex {
  if (typeof value !== 'object' || value === null) return false;
  const methods = value as Readonly<Record<string, unknown>>;
  return METHODS.every((name) => typeof methods[name] === 'function');
}

/** Closes what a promise brings that nobody waits for: a connection would stay open for ever. */
function discardResult(promise: PromiseLike<unknown>): void {
  guarded(() => promise.then((value) => {
    if (isDuplex(value)) discard(value);
  }, () => undefined), () => undefined);
}

function discard(stream: Duplex): void {
  stream.on('error', () => undefined);
  // That it cannot be used is told in any case.
  guarded((): unknown => stream.destroy(), () => undefined);
}

/** What is called on a stream. */
const METHODS = ['on', 'once', 'write', 'end', 'cork', 'uncork', 'pause', 'resume', 'destroy'] as const;

/** What the reads take until one is full: a response with all of its head, as most are. */
const FIRST_BUFFER_BYTES = 8_192;
/** What one read takes at most: as much as libuv itself would. */
const READ_BUFFER_BYTES = 65_536;
