/**
 * Origins such as `http://10.0.0.1:3000`, parsed as the WHATWG URL standard says; those of Unix sockets are not URLs.
 */
import { shown } from './checks.ts';
import { authorityText } from './listen.ts';
import { parseUnix, unixProblem } from './unix-origin.ts';

/** What is balanced: requests, or raw connections (layer 4), whose upstreams have no default port. */
export type Scheme = 'http' | 'tcp';

/** An origin in its normal form, and its parts. */
export interface Origin {
  readonly origin: string;
  readonly protocol: 'http:' | 'https:' | 'tcp:' | 'unix:';
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  /** Host and port as in a `Host` header: without the scheme's default port. */
  readonly authority: string;
  /** Of a Unix socket, in place of host and port. */
  readonly path?: string;
}

/** Undefined if it is not an origin: if it has another scheme, a path, a query, a fragment or a user. */
export function parseOrigin(text: string, scheme: Scheme = 'http'): Origin | undefined {
  return scheme === 'tcp' ? parseUnix(text) ?? parseTcp(text) : parsePlain(text) ?? parseUnix(text) ?? parseUrl(text);
}

/** `tcp://host:port`. The host is read as that of an http origin. */
function parseTcp(text: string): Origin | undefined {
  const [, rest = '', digits = ''] = /^tcp:\/\/(.*:(\d+))\/?$/i.exec(text) ?? [];
  const parsed = parseOrigin(`http://${rest}`);
  if (parsed === undefined || Number(digits) === 0) return undefined;
  const { host, port } = parsed;
  const authority = authorityText(host, port);
  return { origin: `tcp://${authority}`, protocol: 'tcp:', host, port, authority };
}

/** Reads the normal form of most origins, in a fraction of the time that `URL` takes: lists may be long. */
function parsePlain(text: string): Origin | undefined {
  const match = PLAIN.exec(text);
  if (match === null) return undefined;
  const [, authority = '', host = '', digits] = match;
  const port = Number(digits ?? DEFAULT_PORT);
  // The normal form leaves out port 80.
  if (port > MAX_PORT || (port === DEFAULT_PORT && digits !== undefined)) return undefined;
  return { origin: text, protocol: 'http:', host, port, authority };
}

function parseUrl(text: string): Origin | undefined {
  const url = parsed(text);
  if (url === undefined) return undefined;
  const { href, origin, protocol, hostname, port, host: authority } = url;
  // A path, query, fragment or user makes `href` longer than the origin.
  if (href !== `${origin}/` || (protocol !== 'http:' && protocol !== 'https:')) return undefined;
  return {
    origin,
    protocol,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port === '' ? (protocol === 'https:' ? DEFAULT_TLS_PORT : DEFAULT_PORT) : port),
    authority,
  };
}

function parsed(text: string): URL | undefined {
  try {
    // Not URL.canParse: in Node 20 it refuses non-ASCII input once V8 has optimised its caller.
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** What is wrong with a text that is not an origin, and what to write instead. */
export function originProblem(text: string, balanced: Scheme = 'http'): string {
  const ofSocket = unixProblem(text);
  if (ofSocket !== undefined) return ofSocket;
  // Keeps passwords out of logs.
  const got = `(got ${shown(text.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, '$1***@'))})`;
  if (balanced === 'tcp') return `${TCP_FORM} ${got}${tcpHint(text)}`;
  const [, scheme, authority = '', rest = ''] = /^(?:([a-z][a-z\d+.-]*):\/\/)?([^/?#]*)(.*)$/is.exec(text.trim()) ?? [];
  if (/^\d{1,5}$/.test(authority.replace(/^:/, '')) && scheme === undefined) {
    return `must be http://host[:port] ${got}; did you mean http://127.0.0.1:${authority.replace(/^:/, '')}?`;
  }
  if (scheme === undefined && authority.endsWith(':')) return `must be http://host[:port] ${got}`;
  const [, user, place = ''] = /^(?:(.*)@)?(.*)$/s.exec(authority) ?? [];
  const secure = /^(https|wss)$/i.test(scheme ?? '');
  const meant = parseOrigin(`${secure ? 'https' : 'http'}://${place}`)?.origin;
  if (meant === undefined) return `${whyNoAuthority(place)} ${got}`;
  if (scheme === undefined) return `must start with http:// ${got}; did you mean ${meant}?`;
  if (/^tcp$/i.test(scheme)) return `is for raw connections (--tcp, createTcpBalancer) ${got}; write ${meant}`;
  if (!/^https?$/i.test(scheme)) return `must start with http:// or https:// ${got}; did you mean ${meant}?`;
  if (user !== undefined) return `must not contain a user or password ${got}; write ${meant}`;
  const what = rest.startsWith('/') ? 'path' : rest.startsWith('?') ? 'query' : 'fragment';
  return `must not have a ${what}, but has ${shown(rest)} ${got}; write ${meant}`;
}

/** What a text that is not the origin of a raw connection may have been meant to be. */
function tcpHint(text: string): string {
  const [, place = ''] = /^(?:[a-z][a-z\d+.-]*:\/\/)?(?:[^/?#]*@)?([^/?#]*)/i.exec(text.trim()) ?? [];
  const meant = parseTcp(`tcp://${/^\d{1,5}$/.test(place) ? `127.0.0.1:${place}` : place}`)?.origin;
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}

/** What is wrong with the text in place of host and port. */
function whyNoAuthority(text: string): string {
  const port = /:(\d+)$/.exec(text)?.[1];
  if (port !== undefined && Number(port) > MAX_PORT) return `must have a port ≤ ${MAX_PORT}`;
  if (/^[\da-f]*:[\da-f:.]*:[\da-f.]*$/i.test(text)) {
    return 'must have brackets around an IPv6 address, e.g. http://[::1]:3001';
  }
  return 'must be http://host[:port], e.g. http://127.0.0.1:3001';
}

const TCP_FORM = 'must be tcp://host:port, e.g. tcp://127.0.0.1:6379';
const DEFAULT_PORT = 80;
const DEFAULT_TLS_PORT = 443;
const MAX_PORT = 65_535;

/** Of an IPv4 address. A leading zero would make it octal. */
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
/** Of a name. With a leading digit, the name might be an address; `xn--` would have to be validated. */
const LABEL = '(?!xn--)[a-z](?:[a-z\\d-]{0,61}[a-z\\d])?';
const PLAIN = new RegExp(
  `^http://((${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}|${LABEL}(?:\\.${LABEL}){0,9})(?::([1-9]\\d{0,4}))?)$`);
