/**
 * Origins such as `http://10.0.0.1:3000`, read as the WHATWG URL standard says.
 */
import { shown } from './checks.ts';

/** An origin in its usual spelling, and its parts. */
export interface Origin {
  readonly origin: string;
  readonly protocol: 'http:' | 'https:';
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  /** Host and port as `Host` has them: without the scheme's own port. */
  readonly authority: string;
}

/** Undefined for what is no origin: of another scheme, or with a path, a query, a fragment or a user. */
export function parseOrigin(text: string): Origin | undefined {
  return parsePlain(text) ?? parseUrl(text);
}

/** The usual spelling of most origins: a whole list of them is read in a fraction of the time. */
function parsePlain(text: string): Origin | undefined {
  const match = PLAIN.exec(text);
  if (match === null) return undefined;
  const [, authority = '', host = '', digits] = match;
  const port = Number(digits ?? DEFAULT_PORT);
  // 80 is left out in the usual spelling.
  if (port > MAX_PORT || (port === DEFAULT_PORT && digits !== undefined)) return undefined;
  return { origin: text, protocol: 'http:', host, port, authority };
}

function parseUrl(text: string): Origin | undefined {
  const url = parsed(text);
  if (url === undefined) return undefined;
  const { href, origin, protocol, hostname, port, host: authority } = url;
  // Path, query, fragment and user all show in the address as a whole.
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
    // URL.canParse of Node 20 refuses all but ASCII, once V8 has optimised its caller.
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** What is wrong with text that is no origin, and what to write instead. */
export function originProblem(text: string): string {
  // A password is nobody's to read in a log.
  const got = `(got ${shown(text.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, '$1***@'))})`;
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
  if (!/^https?$/i.test(scheme)) return `must start with http:// or https:// ${got}; did you mean ${meant}?`;
  if (user !== undefined) return `must hold no user and no password ${got}; write ${meant}`;
  const what = rest.startsWith('/') ? 'path' : rest.startsWith('?') ? 'query' : 'fragment';
  return `must have no ${what}, but has ${shown(rest)} ${got}; write ${meant}`;
}

/** What is wrong with what stands where host and port ought to. */
function whyNoAuthority(text: string): string {
  const port = /:(\d+)$/.exec(text)?.[1];
  if (port !== undefined && Number(port) > MAX_PORT) return `must have a port of at most ${MAX_PORT}`;
  if (/^[\da-f]*:[\da-f:.]*:[\da-f.]*$/i.test(text)) {
    return 'must have brackets around an IPv6 address, e.g. http://[::1]:3001';
  }
  return 'must be http://host[:port], e.g. http://127.0.0.1:3001';
}

const DEFAULT_PORT = 80;
const DEFAULT_TLS_PORT = 443;
const MAX_PORT = 65_535;

/** Of an IPv4 address: a zero in front would make it octal. */
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
/** Of a name: a digit in front might make it a number, and so the name an address; `xn--` would have to be checked. */
const LABEL = '(?!xn--)[a-z](?:[a-z\\d-]{0,61}[a-z\\d])?';
const PLAIN = new RegExp(
  `^http://((${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}|${LABEL}(?:\\.${LABEL}){0,9})(?::([1-9]\\d{0,4}))?)$`);
