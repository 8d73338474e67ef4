/**
 * The types of a configuration file, and `defineConfig`. `src/cli/config.ts` checks such a file. The build makes the
 * JSON schema from these types.
 */
import type { BalancerOptions, PoolOptions } from './options.ts';
import type { RouteOptions } from './route-options.ts';
import type { Strategy } from '../strategy.ts';
import type { TcpRouteOptions } from './tcp-options.ts';

/** The strategies that the command line and configuration files know by name. */
export type StrategyName =
  | 'random' | 'round-robin' | 'least-connections' | 'power-of-two' | 'peak-ewma' | 'ring-hash' | 'maglev'
  | 'rendezvous' | 'weighted-by-load';

/**
 * A configuration file of the binary: the options of `createBalancer`, and the settings of the command line. Paths are
 * relative to the file. The command line takes precedence over it.
 */
export interface Config<State = unknown>
  extends Omit<BalancerOptions<State>, 'strategy' | 'shadow' | 'pools' | 'routes' | 'proxyProtocol'> {
  /**
   * Where to listen, one address or a list. Default 8080, on every interface; with `--demo`, on the loopback interface.
   */
  readonly listen?: ListenConfig | readonly ListenConfig[];
  /**
   * Chooses the upstream of each attempt: a name, or the path of a module that default-exports a strategy or its
   * factory. Default `random`.
   */
  readonly strategy?: StrategyConfig;
  /**
   * A second strategy that is asked at each pick what it would have picked, and never decides: as `strategy`. Default:
   * none.
   */
  readonly shadow?: StrategyConfig;
  /**
   * Pools by their names, besides `default` if there are `upstreams`. A name is 1 to 63 letters, digits, dots, hyphens
   * or underscores.
   */
  readonly pools?: Readonly<Record<string, PoolConfig>>;
  /** Which requests, or raw connections, go to which pool; the first that matches counts. */
  readonly routes?: readonly (RouteOptions | TcpRouteOptions)[];
  /**
   * Layer 4: balance raw connections, over upstreams such as `tcp://10.0.0.1:6379`. The options are then those of
   * `createTcpBalancer`. Default false.
   */
  readonly tcp?: boolean;
  /** With `tcp`: how long to wait for the client's TLS handshake where a server name is needed. Default 3,000 ms. */
  readonly helloTimeoutMs?: number;
  /**
   * A list: whose PROXY header is read, on every listener: addresses, subnets such as `10.0.0.0/8`, and `unix` for all
   * peers on Unix sockets. A number: the version that the pool `default` sends to its upstreams. An object: both.
   * Default: none is read and none is sent.
   */
  readonly proxyProtocol?: 1 | 2 | readonly string[] | ProxyProtocolConfig;
  /** The number of serving processes; `auto`: one per core. With 1, the process serves itself. Default 1. */
  readonly workers?: number | 'auto';
  /** How long requests may take to finish after SIGTERM, in seconds. Default 10. */
  readonly drainTimeout?: number;
  /** How long to keep accepting after SIGTERM, already not ready, in seconds. Default 0. */
  readonly stopDelay?: number;
  /**
   * How long old workers, and upstreams that are no longer listed, may take to finish after a reload, in seconds.
   * Default 3600.
   */
  readonly reloadTimeout?: number;
  /** The file to write the process ID to; it is removed at exit. Default: none. */
  readonly pidFile?: string;
  /** TLS of the listeners `tls:[host:]port`. Its files are read again on SIGHUP. */
  readonly tls?: TlsConfig;
  /** The file of the access log, which SIGUSR1 reopens, or `-` for standard output. Default: none. */
  readonly accessLog?: string;
  /** The format of its lines. Default `json`. */
  readonly accessLogFormat?: 'json' | 'common' | 'combined';
  /** The format of the log of the process, on standard error. Default `text`. */
  readonly logFormat?: 'text' | 'json';
  /** TLS to `https:` upstreams, for all pools. Default: certificates are verified against the authorities of Node. */
  readonly upstreamTls?: UpstreamTlsConfig;
  /**
   * Where the admin listener listens: `[host:]port` or `unix:PATH[,mode=660]`, or an object as in `listen`. A port
   * alone is on 127.0.0.1. An address that others can reach needs a token. Default: none.
   */
  readonly admin?: ListenConfig;
  /** A file with the token that requests to the admin listener must bring. Default: EQUIPOISE_ADMIN_TOKEN, or none. */
  readonly adminTokenFile?: string;
  /** Names by which the admin listener may be asked, besides localhost and its address. */
  readonly adminHosts?: readonly string[];
}

/** TLS to `https:` upstreams. The files are PEM, and read again on SIGHUP. */
export interface UpstreamTlsConfig {
  /** Files of authorities to trust, besides those that Node trusts. Default: none. */
  readonly ca?: string | readonly string[];
  /** The file of the client certificate to show, with its chain. Default: none. */
  readonly cert?: string;
  /** The file of its private key, which must not be encrypted. Default: none. */
  readonly key?: string;
  /** Server name to send, and to expect in certificates. Default: the host of the origin; if empty, none is sent. */
  readonly servername?: string;
  /** Do not verify certificates; the log says so at each start. Default false. */
  readonly insecure?: boolean;
}

/** The PROXY protocol of a configuration file. */
export interface ProxyProtocolConfig {
  /** Whose PROXY header is read: addresses, subnets, and `unix`. */
  readonly trusted: readonly string[];
  /** How long one of these may take to send it. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** The version that the pool `default` sends to its upstreams. Default: none is sent. */
  readonly send?: 1 | 2;
}

/** How `tls:` listeners end TLS. */
export interface TlsConfig {
  /**
   * The first is the default; a client that asks for a name gets the certificate with that name, exact names before
   * wildcards. Default: those of `--tls-cert` and `--tls-key`.
   */
  readonly certificates?: readonly TlsPairConfig[];
  /** Requires client certificates of the authorities in this file, or in these files. Default: none. */
  readonly clientCa?: string | readonly string[];
  /** Lets clients without a certificate through. Default false. */
  readonly clientOptional?: boolean;
  /** The lowest version. Default: that of Node, TLSv1.2. */
  readonly minVersion?: TlsVersion;
  /** The highest version. Default: that of Node, TLSv1.3. */
  readonly maxVersion?: TlsVersion;
  /** The ciphers, as OpenSSL lists them. Default: those of Node. */
  readonly ciphers?: string;
  /** Whether HTTP/2 is offered. Default true. */
  readonly http2?: boolean;
  /** How long a handshake may take, in seconds. Default 10. */
  readonly handshakeTimeout?: number;
  /** How many handshakes may be under way at once, in each process. Default 1024. */
  readonly maxHandshakes?: number;
  /** After how many seconds the key of session tickets changes. Default 43200. */
  readonly ticketRotation?: number;
}

/** A certificate and its key. */
export interface TlsPairConfig {
  /** The file of the certificate, followed by its chain, in PEM. */
  readonly cert: string;
  /** The file of its private key in PEM, not encrypted. */
  readonly key: string;
}

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** A pool of a configuration file. */
export interface PoolConfig extends Omit<PoolOptions, 'strategy' | 'shadow'> {
  /** TLS to `https:` upstreams, in place of what the top level says, key by key. Default: that of the top level. */
  readonly upstreamTls?: UpstreamTlsConfig;
  /**
   * Chooses the upstream of each attempt: a name, or the path of a module that default-exports a strategy or its
   * factory. Default `random`.
   */
  readonly strategy?: StrategyConfig;
  /**
   * A second strategy that is asked at each pick what it would have picked, and never decides: as `strategy`. Default:
   * none.
   */
  readonly shadow?: StrategyConfig;
}

/** A strategy by its name, by the path of a module, or, in a module, the strategy itself. */
export type StrategyConfig = StrategyName | (string & {}) | Strategy;

/**
 * Where to listen: a port, a text as on the command line (`127.0.0.1:8080`, `tls:8443`, `redirect:8080`,
 * `unix:PATH,mode=660`, `fd:3`), or an object.
 */
export type ListenConfig =
  | number
  | string
  | {
    /** From 0 to 65535; with 0, the system chooses a free one. */
    readonly port: number;
    /** A name or an address of this machine. Default: every interface. */
    readonly host?: string;
    /** How many connections may wait to be accepted. Default 511. */
    readonly backlog?: number;
    /** Ends TLS, by the option `tls`. Default false. */
    readonly tls?: boolean;
    /** Answers 308 to the first listener that ends TLS. Default false. */
    readonly redirect?: boolean;
  }
  | {
    /** The path of a Unix socket. One that a crash left behind is replaced. */
    readonly path: string;
    /** Its permissions, three octal digits such as `660`. Default: as the umask of the process has them. */
    readonly mode?: string;
    /** How many connections may wait to be accepted. Default 511. */
    readonly backlog?: number;
  }
  | {
    /** The number of an open file descriptor that listens, as systemd's socket activation hands over. */
    readonly fd: number;
  };

/**
 * Returns its argument, whose type is then known: `export default defineConfig({ ... })`. `State` is the type of
 * `exchange.state` in hooks.
 */
export function defineConfig<State = unknown>(config: Config<State>): Config<State> {
  return config;
}
