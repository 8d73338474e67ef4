/**
 * Opens connections to upstreams: with the option `connect`, which is the seam for TLS and the like, else by TCP.
 */
import net, { type LookupFunction, type OnReadOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { shown } from '../options/checks.ts';
import { BalancerError } from '../errors.ts';
import { guarded, guardedValue, isThenable, messageOf } from '../guard.ts';
import type { Settings } from '../options/parse.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { Names } from './names.ts';

/** The connection being opened. */
export interface Dialling {
  /** Whether the upstream's name is being looked up. */
  resolving: boolean;
  /** What must be sent first, as latin1; set to `''` once the option `connect` has taken care of that. */
  opening: string;
  /** Bytes have come. They are valid until this returns or, if it returns false, until reading is resumed. */
  received(bytes: Buffer, length: number): boolean;
}

/** The streams that `connect` functions have returned: two connections over one would read each other's responses. */
export type AdoptedStreams = WeakSet<Duplex>;

/** Opens the connections of one pool. */
export class Dialler {
  /** The option. A change counts for the next connection. */
  connect: Settings['connect'];
  readonly #names: Names;
  readonly #adopted: AdoptedStreams;

  /** Reports faults of a stream from `connect` that no exchange would report: on closing it, or while it is idle. */
  readonly report: (error: BalancerError, origin: string) => void;

  /** `names` and `adopted` are shared by all pools of a balancer. */
  constructor(
    connect: Settings['connect'], names: Names, adopted: AdoptedStreams,
    report: (error: BalancerError, origin: string) => void,
  ) {
    this.connect = connect;
    this.#names = names;
    this.#adopted = adopted;
    this.report = report;
  }

  /**
   * Begins to connect; `dialling` gets what comes over the connection. Throws CONNECT_UNUSABLE if `connect` does not
   * return a usable stream: that is a bug in `connect`, and says nothing about the upstream.
   */
  dial(upstream: ParsedUpstream, dialling: Dialling): Duplex {
    const { origin } = upstream;
    const { opening } = dialling;
    const made = this.connect === undefined ? undefined : this.#made(this.connect, upstream, dialling);
    if (made !== undefined) {
      const stream = this.#adopt(made, origin, dialling);
      if (dialling.opening === '' || !origin.startsWith('https:')) return stream;
      discard(stream);
      throw unusable(`connect has not read means.proxyHeader for ${origin}; write it before the TLS handshake`);
    }
    // `connect` may have read it before it left this connection to us.
    dialling.opening = opening;
    if (origin.startsWith('https:')) {
      // Never send what needs TLS, such as cookies, in plain text.
      throw unusable(`connect returned undefined for ${origin}, which needs TLS; return a TLS stream for it`);
    }
    return this.#open(upstream, dialling);
  }

  /** Calls `connect`. */
  #made(connect: Connect, upstream: ParsedUpstream, dialling: Dialling): unknown {
    const { origin, host, port, path } = upstream;
    const place = path === undefined ? { origin, host, port } : { origin, host, port, path };
    let fault: BalancerError | undefined;
    const made = guardedValue((): unknown => {
      const lookup = this.#lookupFor(dialling);
      const means = dialling.opening === '' ? { lookup } : openingMeans(lookup, dialling);
      const returned: unknown = connect(place, means);
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

  #open({ host, port, path }: ParsedUpstream, dialling: Dialling): Socket {
    // Each connection reads into one buffer of its own. Reading is paused until its bytes have been passed on, so a
    // slow downstream holds at most one buffer. It starts small, as most responses are, and hundreds of connections may
    // be idle; when a read fills it, more follows, and a larger buffer replaces it.
    let buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
    const onread: OnReadOpts = {
      buffer: () => buffer,
      callback: (length, bytes) => {
        if (length === buffer.length && length < READ_BUFFER_BYTES) buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
        return dialling.received(bytes as Buffer, length);
      },
    };
    if (path !== undefined) return net.connect({ path, allowHalfOpen: true, onread });
    const where = { host, port, noDelay: true, allowHalfOpen: true, onread };
    return net.connect(net.isIP(host) === 0 ? { ...where, lookup: this.#lookupFor(dialling) } : where);
  }

  /** The lookup for one connection, which notes whether it is in progress. */
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

/** Properties that some kinds of streams have. */
interface Opening {
  readonly connecting?: unknown;
  readonly pending?: unknown;
  readonly secureConnecting?: unknown;
  readonly authorizationError?: unknown;
  readonly getPeerFinished?: unknown;
  readonly setNoDelay?: unknown;
}

/**
 * Calls `opened` when a stream may be used: at once if it is open already, such as the channel of an SSH connection, or
 * a socket that was connected before. A TLS socket is open when its handshake is done.
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
  // `pending`: a socket that has not begun to connect, or an HTTP/2 stream whose session is not connected.
  if (connecting === true || pending === true) return false;
  if (secureConnecting !== true) return true;
  // A TLSSocket that was not made by tls.connect stays `secureConnecting` forever.
  return typeof getPeerFinished === 'function' && getPeerFinished.call(stream) !== undefined;
}

/** Sockets emit both, HTTP/2 streams only the second, others the first. */
const PLAIN = ['connect', 'ready'] as const;
/**
 * Sockets from tls.connect emit both once the certificate was verified, unless that destroys them. A TLSSocket that was
 * made in another way emits only the second.
 */
const SECURE = ['secureConnect', 'secure'] as const;

/** Whether the other side's certificate was verified and rejected. */
export function isUntrusted(stream: Duplex): boolean {
  const { authorizationError } = stream as Opening;
  return authorizationError !== undefined && authorizationError !== null;
}

/** Turns off Nagle's algorithm if the stream has it: small pieces would wait for the other side's delayed ACK. */
function sendAtOnce(stream: Duplex, origin: string): void {
  const { setNoDelay } = stream as Opening;
  if (typeof setNoDelay !== 'function') return;
  let fault: BalancerError | undefined;
  // This works before the stream is connected, too.
  guarded((): unknown => setNoDelay.call(stream, true), (what, cause) => {
    fault = unusable(`setNoDelay of what connect returned for ${origin} ${what}: ${messageOf(cause)}`, cause);
  });
  if (fault === undefined) return;
  discard(stream);
  throw fault;
}

/** Passes the bytes of a stream to `dialling`. */
function flow(stream: Duplex, origin: string, dialling: Dialling): void {
  try {
    stream.on('data', (bytes: Buffer) => {
      dialling.received(bytes, bytes.length);
    });
    // `connect` may have paused it.
    stream.resume();
  } catch (cause) {
    discard(stream);
    throw unusable(`resume of what connect returned for ${origin} threw: ${messageOf(cause)}`, cause);
  }
}

/** Lets `connect` take what must be sent first. */
function openingMeans(lookup: LookupFunction, dialling: Dialling): NonNullable<Parameters<Connect>[1]> {
  const header = Buffer.from(dialling.opening, 'latin1');
  return {
    lookup,
    get proxyHeader() {
      dialling.opening = '';
      return header;
    },
  };
}

function unusable(message: string, cause?: unknown): BalancerError {
  return new BalancerError('CONNECT_UNUSABLE', message, { cause });
}

/** Whether this is a stream that can be read and written, of `node:stream` or another implementation of it. */
function isDuplex(value: unknown): value is Duplex {
  if (typeof value !== 'object' || value === null) return false;
  const methods = value as Readonly<Record<string, unknown>>;
  return METHODS.every((name) => typeof methods[name] === 'function');
}

/** Closes the stream of a promise that is not awaited: the connection would stay open forever. */
function discardResult(promise: PromiseLike<unknown>): void {
  guarded(() => promise.then((value) => {
    if (isDuplex(value)) discard(value);
  }, () => undefined), () => undefined);
}

function discard(stream: Duplex): void {
  stream.on('error', () => undefined);
  // The caller reports that it is unusable, whatever happens here.
  guarded((): unknown => stream.destroy(), () => undefined);
}

type Connect = NonNullable<Settings['connect']>;

/** The methods that are called on a stream. */
const METHODS = ['on', 'once', 'write', 'end', 'cork', 'uncork', 'pause', 'resume', 'destroy'] as const;

/** The first read buffer: enough for most responses, head included. */
const FIRST_BUFFER_BYTES = 8_192;
/** The most that one read takes: as much as libuv's own buffer. */
const READ_BUFFER_BYTES = 65_536;
