/**
 * The way in for upgrades that a node:http server has read, and for the extended CONNECT of node:http2. Those that may
 * be tunnelled are served on their socket or stream. All other upgrades go back to their server as if they had not
 * asked, so that middleware sees them; any other CONNECT is refused.
 */
import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { BalancerError, type ErrorCode } from '../errors.ts';
import { guardedValue } from '../guard.ts';
import { NO_BYTES } from '../http1/grammar.ts';
import { ConnectHandshake } from './connect-handshake.ts';
import type { Front } from './front.ts';
import { mayTunnel, plainHead, valuesOf } from './handshake.ts';
import { headBytes, isHttp2, trailerText } from './head-text.ts';
import { DownstreamRequest } from './request.ts';
import type { DownstreamSockets } from './sockets.ts';
import { type HttpSocket, TurnToAnswer } from './turn-to-answer.ts';

/** The settings for upgrades. */
export interface UpgradeRules {
  readonly upgradeProtocols: ReadonlySet<string>;
  readonly upgradeTarget: ((request: IncomingMessage) => string) | undefined;
}

export class Upgrades {
  readonly #front: Front;
  readonly #sockets: DownstreamSockets;
  readonly #rules: UpgradeRules;

  constructor(front: Front, sockets: DownstreamSockets, rules: UpgradeRules) {
    this.#front = front;
    this.#sockets = sockets;
    this.#rules = rules;
  }

  /**
   * Serves an upgrade when its turn has come. `stream` is the socket, or (Node 26) its stand-in while a body is still
   * arriving; `head` is what arrived after the request. Of node:http2, `stream` is the response, and there is no head.
   */
  serve(request: IncomingMessage, stream: Duplex | ServerResponse, head: Buffer = NO_BYTES): void {
    if (isHttp2(request)) this.#connect(request, stream as ServerResponse);
    else this.#upgrade(request, stream as Duplex, head);
  }

  /** An extended CONNECT that may be tunnelled is; `handle` refuses all others. */
  #connect(request: IncomingMessage, response: ServerResponse): void {
    const handshake = ConnectHandshake.of(request, this.#rules.upgradeProtocols);
    const upgrade = handshake && { handshake, target: () => this.#target(request) };
    DownstreamRequest.serve(this.#front, request, response, undefined, upgrade);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    if (stream.destroyed) return;
    const socket = request.socket as HttpSocket;
    new TurnToAnswer(socket, stream !== socket, this.#front.rules.maxHeldBytes, (held) => {
      const behind = Buffer.concat([head, held]);
      if (this.#front.ending.has(socket)) {
        // Its http server no longer listens for errors, and none of them matters here.
        stream.on('error', () => undefined).end();
      } else if (request.method === 'CONNECT') {
        // A server of node:http2 that allows HTTP/1.1 emits it with the same event. It would come back for ever.
        this.#refuse(request, stream, 'METHOD_UNSUPPORTED');
      } else if (isAmbiguous(request, behind)) this.#refuse(request, stream, 'REQUEST_MALFORMED');
      else if (mayTunnel(request, this.#rules.upgradeProtocols)) this.#tunnel(request, stream, behind);
      else this.#giveBack(request, stream, behind);
    });
  }

  #tunnel(request: IncomingMessage, stream: Duplex, behind: Buffer): void {
    let bytes: Buffer;
    try {
      bytes = headBytes(request, this.#target(request));
    } catch (cause) {
      const known = cause instanceof BalancerError;
      const error = known ? cause : new BalancerError('REQUEST_UNSENDABLE', undefined, { cause });
      this.#front.report(error);
      this.#refuse(request, stream, error.code);
      return;
    }
    if (stream === request.socket || request.complete) {
      this.#sockets.upgrade(stream, Buffer.concat([bytes, bodyOf(request), behind]), request.socket);
    } else this.#gather(request, stream, bytes);
  }

  /** The target to send upstream. Throws HOOK_FAILED if `upgradeTarget` fails. */
  #target(request: IncomingMessage): string | undefined {
    const { upgradeTarget } = this.#rules;
    if (upgradeTarget === undefined) return undefined;
    let failed: BalancerError | undefined;
    const target: unknown = guardedValue(() => upgradeTarget(request), (what, cause) => {
      failed = new BalancerError('HOOK_FAILED', `upgradeTarget ${what}`, { cause });
    });
    if (failed !== undefined) throw failed;
    if (typeof target === 'string' && ORIGIN_FORM.test(target)) return target;
    throw new BalancerError('HOOK_FAILED', 'upgradeTarget must return a path such as "/chat?room=1"');
  }

  /** Node 26: the request still delivers the body. The tunnel begins once it is complete; such bodies are small. */
  #gather(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const parts: Buffer[] = [];
    let size = 0;
    const onError = (): void => {
      // 'close' follows; there is no connection to end yet.
    };
    stream.on('error', onError);
    request.on('error', onError);
    request.on('data', (part: Buffer) => {
      parts.push(part);
      size += part.length;
      if (size <= this.#front.rules.maxHeldBytes) return;
      request.removeAllListeners('data').pause();
      this.#refuse(request, stream, 'REQUEST_BODY_TOO_LARGE');
    });
    request.on('end', () => {
      stream.off('error', onError);
      if (stream.destroyed || size > this.#front.rules.maxHeldBytes) return;
      this.#sockets.upgrade(stream, Buffer.concat([head, framed(request, Buffer.concat(parts))]), request.socket);
    });
  }

  #giveBack(request: IncomingMessage, stream: Duplex, behind: Buffer): void {
    const socket = request.socket as HttpSocket & { readonly server?: Server };
    const { server } = socket;
    const head = plainHead(request);
    // Without a 'request' listener it would never be answered.
    if (server === undefined || head === undefined || server.listenerCount('request') === 0) {
      this.#refuse(request, stream, 'REQUEST_MALFORMED');
    } else if (stream === socket) {
      socket.unshift(Buffer.concat([Buffer.from(head, 'latin1'), bodyOf(request), behind]));
      // The http side of a TLS server listens for the decrypted connection.
      server.emit(server.listenerCount('secureConnection') > 0 ? 'secureConnection' : 'connection', socket);
    } else this.#answerHere(request, socket, server);
  }

  /** Node 26: the server is still reading the request, which only needs a response. */
  #answerHere(request: IncomingMessage, socket: HttpSocket, server: Server): void {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    // node:http stops listening to the socket when the body is read.
    socket.on('error', () => undefined).on('drain', () => response.emit('drain'));
    response.on('finish', () => {
      response.detachSocket(socket);
      socket.destroySoon();
    });
    const expects = /^100-continue$/i.test(request.headers.expect ?? '');
    if (expects && server.listenerCount('checkContinue') > 0) {
      server.emit('checkContinue', request, response);
      return;
    }
    if (expects) response.writeContinue();
    server.emit('request', request, response);
  }

  #refuse(request: IncomingMessage, stream: Duplex, code: ErrorCode): void {
    this.#sockets.refuse(stream, code, request.socket);
  }
}

/**
 * The body of a request as received, as far as Node has read it. Since version 25 Node reads the bodies of upgrades;
 * before, they are part of what arrived after the head.
 */
function bodyOf(request: IncomingMessage): Buffer {
  const parts: Buffer[] = [];
  // Node 26 returns one part at a time.
  for (let part; (part = request.read() as Buffer | null) !== null;) parts.push(part);
  if (parts.length > 0) return framed(request, Buffer.concat(parts));
  return READS_BODIES ? framed(request, Buffer.alloc(0)) : Buffer.alloc(0);
}

/**
 * Whether nobody can tell if chunks behind the head are the body. Since version 25 Node has read it, and it was empty;
 * but not that of a coding with a tab behind it, which Node does not know, and which it shows without the tab.
 */
function isAmbiguous(request: IncomingMessage, behind: Buffer): boolean {
  if (!READS_BODIES || !request.complete || request.readableLength > 0) return false;
  return valuesOf(request, 'transfer-encoding').length > 0 && CHUNK_SIZE.test(behind.toString('latin1', 0, 20));
}

/** A whole body, framed as its head says. */
function framed(request: IncomingMessage, body: Buffer): Buffer {
  if (valuesOf(request, 'transfer-encoding').length === 0) return body;
  const size = body.length === 0 ? '' : `${body.length.toString(16)}\r\n`;
  const end = `${body.length === 0 ? '' : '\r\n'}0\r\n${trailerText(request) ?? ''}\r\n`;
  return Buffer.concat([Buffer.from(size), body, Buffer.from(end, 'latin1')]);
}

const ORIGIN_FORM = /^\/[\x21\x22\x24-\x7e]*$/;
const READS_BODIES = Number.parseInt(process.versions.node, 10) >= 25;
const CHUNK_SIZE = /^[\da-f]+[ \t]*[;\r]/i;
