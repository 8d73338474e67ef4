/**
 * The option `connect` for `https:` upstreams, by node:tls.
 */
import net, { type Socket, type SocketConstructorOpts } from 'node:net';
import tls, { type ConnectionOptions, type SecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { messageOf } from '../guard.ts';
import { flag, isRecord, onlyKnown, optionalFunction, shown } from '../options/checks.ts';
import type { PoolOptions } from '../options/options.ts';
import { refuse } from '../options/problems.ts';
import { type Session, Sessions } from './sessions.ts';

/**
 * How to connect: options of `tls.connect` with the same meaning, for all upstreams alike. Certificates are PEM texts
 * or Buffers, not paths.
 */
export interface TlsConnectOptions extends
  Pick<SecureContextOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'pfx' | 'crl' | 'minVersion' | 'maxVersion'
    | 'ciphers' | 'sigalgs' | 'ecdhCurve' | 'secureOptions'>,
  Pick<ConnectionOptions, 'rejectUnauthorized' | 'checkServerIdentity'> {
  /**
   * The server name to send, and to expect in certificates. Default: the host of the upstream's origin; an IP address
   * is only expected, since it must not be sent (RFC 6066 §3). `''` sends none.
   */
  readonly servername?: string | undefined;
}

type Connect = NonNullable<PoolOptions['connect']>;
/** What is the same for all connections. */
type Common = Pick<ConnectionOptions, 'secureContext' | 'rejectUnauthorized' | 'checkServerIdentity'>;

/**
 * A value for the option `connect`: opens TLS connections to `https:` upstreams, and leaves others to the balancer.
 * A connection to an upstream that was connected to before resumes its TLS session. Throws OPTIONS_INVALID.
 */
export function tlsConnect(options: TlsConnectOptions = {}): Connect {
  return connectWith(options, () => performance.now());
}

/** As {@link tlsConnect}; `now` gives monotonic milliseconds. */
export function connectWith(options: TlsConnectOptions, now: () => number): Connect {
  const { servername, common } = parse(options);
  const sessions = new Sessions(now);
  return ({ origin, host, port }, means) => {
    // The PROXY header may not be read before: the balancer writes it itself if nobody has.
    if (!origin.startsWith('https:')) return undefined;
    const { lookup, proxyHeader } = means;
    const session = sessions.take(origin);
    const raw = proxyHeader === undefined ? undefined : opensWith(proxyHeader);
    const how: ConnectionOptions & Pick<SocketConstructorOpts, 'allowHalfOpen'> = {
      ...common,
      host,
      port,
      lookup,
      ...(raw && { socket: raw }),
      // A tunnel may go on in one direction. The balancer decides what an end means.
      allowHalfOpen: true,
      // No setNoDelay here: the core does that.
      ALPNProtocols: [HTTP],
      servername: servername ?? nameOf(host),
      ...(session === undefined ? {} : { session: session.data }),
    };
    const socket = tls.connect(how);
    watch(socket, { origin, session, sessions, now });
    raw?.connect({ host, port, lookup, noDelay: true });
    return socket;
  };
}

/**
 * A socket that sends `header` before anything else. It must be given to `tls.connect` before it connects. Then TLS
 * uses it as a stream: around a socket that connects already, TLS would hold on to the handle of the first address that
 * is tried, and Node 20 to 26 throw out of reach of any handler if connecting fails with a write pending.
 */
function opensWith(header: Buffer): Socket {
  const socket = new net.Socket({ allowHalfOpen: true });
  // TLS begins to write at the same event, but later.
  socket.once('connect', () => socket.write(header));
  return socket;
}

/** What a connection has to do with sessions. */
interface Resumption {
  readonly origin: string;
  /** What it tries to resume. */
  readonly session: Session | undefined;
  readonly sessions: Sessions;
  readonly now: () => number;
}

/** Checks the protocol of a connection, and keeps its sessions once its certificate was accepted. */
function watch(socket: TLSSocket, { origin, session, sessions, now }: Resumption): void {
  let accepted = false;
  let verifiedAt = 0;
  // Tickets may come before the certificate is verified. If it is rejected, they must not be used: a resumed handshake
  // does not verify the name again.
  const early: Buffer[] = [];
  const keep = (data: Buffer): void => {
    sessions.add(origin, { data, verifiedAt, once: socket.getProtocol() === 'TLSv1.3' });
  };
  socket.on('session', (data: Buffer) => {
    if (accepted) keep(data);
    else early.push(data);
  });
  socket.once('secureConnect', () => {
    const { alpnProtocol } = socket;
    if (typeof alpnProtocol === 'string' && alpnProtocol !== HTTP) {
      socket.destroy(unasked(alpnProtocol));
      return;
    }
    accepted = true;
    verifiedAt = session !== undefined && socket.isSessionReused() ? session.verifiedAt : now();
    for (const data of early.splice(0)) keep(data);
  });
  socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
    // An upstream of TLS 1.3 may reject what we sent only after the handshake.
    if (accepted && code.startsWith('ERR_SSL')) sessions.forget(origin);
  });
  socket.once('close', () => {
    if (!accepted && session !== undefined) sessions.forget(origin);
  });
}

/** What makes up the secure context, with the names of `tls.createSecureContext`. */
const CONTEXT = [
  'ca', 'cert', 'key', 'passphrase', 'pfx', 'crl', 'minVersion', 'maxVersion', 'ciphers', 'sigalgs', 'ecdhCurve',
  'secureOptions',
] as const satisfies readonly (keyof TlsConnectOptions)[];
const KNOWN: ReadonlySet<string> = new Set([...CONTEXT, 'servername', 'rejectUnauthorized', 'checkServerIdentity']);

function parse(options: unknown): { readonly servername: string | undefined; readonly common: Common } {
  const problems: string[] = [];
  if (!isRecord(options)) problems.push(`tlsConnect: must get an object of options (got ${shown(options)})`);
  const given = isRecord(options) ? options : {};
  onlyKnown(given, 'tlsConnect: ', KNOWN, problems);
  const { servername, rejectUnauthorized = true, checkServerIdentity } = given;
  if (servername !== undefined) serverName(servername, 'tlsConnect: servername', problems);
  flag(rejectUnauthorized, 'tlsConnect: rejectUnauthorized', problems);
  optionalFunction(checkServerIdentity, 'tlsConnect: checkServerIdentity', problems);
  const secureContext = contextOf(given, problems);
  refuse(problems);
  return {
    servername: servername as string | undefined,
    // Set in any case: the environment (NODE_TLS_REJECT_UNAUTHORIZED) must not turn verification off unnoticed.
    common: {
      ...(secureContext && { secureContext }),
      rejectUnauthorized: rejectUnauthorized as boolean,
      ...(checkServerIdentity === undefined
        ? {} : { checkServerIdentity: checkServerIdentity as typeof tls.checkServerIdentity }),
    },
  };
}

/** One context for all connections: reading the authorities takes milliseconds. */
function contextOf(given: Readonly<Record<string, unknown>>, problems: string[]): SecureContext | undefined {
  try {
    const { passphrase, ...rest } = Object.fromEntries(
      CONTEXT.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]));
    return tls.createSecureContext(passphrase === undefined ? rest : { ...rest, passphrase: passphrase as string });
  } catch (cause) {
    const parts = CONTEXT.filter((name) => given[name] !== undefined).join(', ');
    problems.push(`tlsConnect: ${parts}: cannot be used: ${messageOf(cause)}`);
    return undefined;
  }
}

/** Checks a server name: adds what is wrong to `problems`. */
export function serverName(value: unknown, at: string, problems: string[]): void {
  if (value === '' || (typeof value === 'string' && NAME.test(value) && net.isIP(value) === 0)) return;
  problems.push(`${at}: must be a host name, e.g. "app.internal", not an address (got ${shown(value)})`);
}

/** The server name for a host, without the dot at the end of an absolute name; none for an IP address. */
function nameOf(host: string): string {
  return net.isIP(host) === 0 ? host.replace(/\.$/, '') : '';
}

function unasked(protocol: string): Error {
  const message = `the upstream chose ${shown(protocol)} by ALPN; only ${HTTP} was offered`;
  return Object.assign(new Error(message), { code: 'ERR_TLS_ALPN_UNASKED' });
}

const HTTP = 'http/1.1';
const NAME = /^(?=.{1,253}$)[a-z\d_](?:[a-z\d_-]*[a-z\d_])?(?:\.[a-z\d_](?:[a-z\d_-]*[a-z\d_])?)*$/i;
