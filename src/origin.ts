/**
 * Origins such as `http://10.0.0.1:3000`, read as the WHATWG URL standard says.
 */

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
  if (!URL.canParse(text)) return undefined;
  const { href, origin, protocol, hostname, port, host: authority } = new URL(text);
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

const DEFAULT_PORT = 80;
const DEFAULT_TLS_PORT = 443;
const MAX_PORT = 65_535;

/** Of an IPv4 address: a zero in front would make it octal. */
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
/** Of a name: a digit in front might make it a number, and so the name an address; `xn--` would have to be checked. */
const LABEL = '(?!xn--)[a-z](?:[a-z\\d-]{0,61}[a-z\\d])?';
const PLAIN = new RegExp(
  `^http://((${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}|${LABEL}(?:\\.${LABEL}){0,9})(?::([1-9]\\d{0,4}))?)$`);
