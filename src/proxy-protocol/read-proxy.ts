/**
 * Reads the PROXY headers of connections from trusted peers before they are served.
 */
import type { Socket } from 'node:net';
import { faultText, guarded } from '../guard.ts';
import { systemTime } from '../loop/clock.ts';
import { andMore, Throttle } from '../loop/throttle.ts';
import { checked } from '../options/problems.ts';
import { watchForForgery } from './forged.ts';
import { showOnSocket } from './of-socket.ts';
import {
  type ProxyRefusalReason, type ProxySettings, type ReadProxyOptions, readProxyOptions,
} from './options.ts';
import { Reading } from './reading.ts';

/** See {@link readProxy}. */
export type ReadsProxy = (socket: Socket, next: (socket: Socket) => unknown) => void;

/**
 * Returns a function for the 'connection' event of a `net.Server`. It reads the PROXY header of a trusted peer, shows
 * it on the socket (`remoteAddress`, `remotePort`, `remoteFamily`, `encrypted`, `proxyHeader`), and passes the socket
 * to `next`, which may be `balancer.accept`, or emit 'connection' on a server of node:http or node:tls. From a trusted
 * peer a header is due: without one, or if it is malformed, the connection is closed. The connection of any other peer
 * is passed to `next` at once; if it begins with a PROXY header, it is closed. Throws OPTIONS_INVALID.
 */
export function readProxy(options: ReadProxyOptions): ReadsProxy {
  const reader = new ProxyReader(checked((problems) => readProxyOptions(options, '', problems)));
  return (socket, next) => {
    reader.accept(socket, next);
  };
}

class ProxyReader {
  readonly #settings: ProxySettings;
  readonly #throttle = new Throttle(() => systemTime.now());
  /** Connections whose header has not come yet. */
  #waiting = 0;

  constructor(settings: ProxySettings) {
    this.#settings = settings;
  }

  accept(socket: Socket, next: Next): void {
    const { remoteAddress } = socket;
    if (isGone(socket)) destroy(socket);
    else if (this.#settings.trusts(remoteAddress ?? '')) this.#read(socket, next, remoteAddress);
    else {
      this.#pass(socket, next);
      // After `next`, which may have its own way to take data from the socket.
      watchForForgery(socket, () => {
        this.#refuse(socket, 'untrusted', 'it is not trusted, and sent a PROXY header', remoteAddress);
      });
    }
  }

  #read(socket: Socket, next: Next, remoteAddress: string | undefined): void {
    const { timeoutMs, maxWaiting } = this.#settings;
    if (this.#waiting >= maxWaiting) {
      this.#refuse(socket, 'exhausted', `${maxWaiting} others have not sent their PROXY headers yet`, remoteAddress);
      return;
    }
    this.#waiting++;
    new Reading(socket, timeoutMs, {
      read: (header) => {
        this.#waiting--;
        showOnSocket(socket, header);
        this.#pass(socket, next);
      },
      failed: (reason, why) => {
        this.#waiting--;
        this.#refuse(socket, reason, why, remoteAddress);
      },
      closed: () => {
        this.#waiting--;
        destroy(socket);
      },
    });
  }

  /** Has the connection served. If that throws, this one connection is closed. */
  #pass(socket: Socket, next: Next): void {
    guarded(() => next(socket), (what, cause) => {
      destroy(socket);
      this.#warn('next', `a connection could not be served: next ${faultText(what, cause)}`, 'HOOK_FAILED');
    });
  }

  #refuse(
    socket: Socket, reason: ProxyRefusalReason, why: string, remoteAddress: string | undefined,
  ): void {
    destroy(socket);
    const { onRefused } = this.#settings;
    const peer = remoteAddress ?? 'a Unix socket';
    const message = `closed a connection from ${peer}: ${why}`;
    if (onRefused === undefined) {
      this.#warn(reason, message, 'PROXY_REFUSED');
      return;
    }
    guarded(() => onRefused({ reason, message, remoteAddress }), (what, cause) => {
      this.#warn('onRefused', `onRefused ${faultText(what, cause)}`, 'HOOK_FAILED');
    });
  }

  #warn(key: string, message: string, code: string): void {
    const untold = this.#throttle.pass(key);
    if (untold !== undefined) process.emitWarning(`${message}${andMore(untold)}`, { code });
  }
}

/**
 * Whether the connection was closed before its peer's address was known. A peer on a Unix socket has no address either,
 * and may be trusted for that.
 */
function isGone({ destroyed, remoteAddress, localAddress }: Socket): boolean {
  return destroyed || (remoteAddress === undefined && localAddress !== undefined);
}

/** The socket may be foreign code. The connection is refused either way. */
function destroy(socket: Socket): void {
  guarded(() => socket.destroy(), () => undefined);
}

type Next = (socket: Socket) => unknown;
