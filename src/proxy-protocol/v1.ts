/**
 * Version 1: one line of text, at most 107 octets.
 */
import { malformed, PARTIAL, type ParsedProxy, type ProxyAddress, type ProxyHeader } from './header.ts';
import { ipBytes, ipText, mapped } from './ip.ts';

/** How it begins. */
export const V1_SIGNATURE = Buffer.from('PROXY ', 'latin1');

/** Parses what begins with {@link V1_SIGNATURE}. */
export function parseV1(bytes: Buffer): ParsedProxy {
  const at = bytes.subarray(0, MAX_OCTETS).indexOf(LF);
  if (at < 0 && bytes.length >= MAX_OCTETS) return malformed(`its line is longer than ${MAX_OCTETS} octets`);
  const end = at < 0 ? bytes.length : at + 1;
  const text = bytes.toString('latin1', V1_SIGNATURE.length, end);
  // A CR ends the line: what follows is a LF, or not yet there.
  const cr = text.indexOf('\r');
  if (cr >= 0 && cr < text.length - 1 && text[cr + 1] !== '\n') return malformed('it has a CR without a LF');
  if (at < 0) return PARTIAL;
  if (!text.endsWith('\r\n')) return malformed('its line ends with a LF without a CR');
  const header = parseLine(text.slice(0, -2));
  return typeof header === 'string' ? malformed(header) : { kind: 'header', header, length: end };
}

/** Returns why it is malformed, if it is. */
function parseLine(line: string): ProxyHeader | string {
  const plain = { version: 1, local: false, authority: undefined, tls: undefined } as const;
  // Whatever else such a line says is to be ignored.
  if (/^UNKNOWN(?: |$)/.test(line)) return { ...plain, source: undefined, destination: undefined };
  const [, family, from = '', to = '', fromPort = '', toPort = ''] = LINE.exec(line) ?? [];
  if (family === undefined) {
    return 'its line must be PROXY TCP4 or TCP6 with two addresses and two ports, or PROXY UNKNOWN';
  }
  const source = endpoint(family, from, fromPort);
  const destination = endpoint(family, to, toPort);
  if (source === undefined || destination === undefined) return 'an address or a port in it is wrong';
  return { ...plain, source, destination };
}

function endpoint(family: string, text: string, port: string): ProxyAddress | undefined {
  const bytes = ipBytes(text);
  if (bytes?.length !== (family === 'TCP4' ? 4 : 16) || Number(port) > MAX_PORT) return undefined;
  return { family: family === 'TCP4' ? 'IPv4' : 'IPv6', address: ipText(bytes), port: Number(port) };
}

/** Writes a line. Where the ends have no IP addresses, it says UNKNOWN; where only one has IPv4, both are IPv6. */
export function formatV1({ local, source, destination }: ProxyHeader): Buffer {
  const ends = local ? undefined : ipEnds(source, destination);
  if (ends === undefined) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1');
  const { from, to, fromPort, toPort } = ends;
  const family = from.length === 4 ? 'TCP4' : 'TCP6';
  return Buffer.from(`PROXY ${family} ${ipText(from)} ${ipText(to)} ${fromPort} ${toPort}\r\n`, 'latin1');
}

/** Both ends as octets of one family; undefined if one of them has no IP address. */
export function ipEnds(source: ProxyAddress | undefined, destination: ProxyAddress | undefined): {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly fromPort: number;
  readonly toPort: number;
} | undefined {
  if (source === undefined || destination === undefined) return undefined;
  if (source.family === 'Unix' || destination.family === 'Unix') return undefined;
  const [from, to] = [ipBytes(source.address), ipBytes(destination.address)];
  if (from === undefined || to === undefined) return undefined;
  const ports = { fromPort: source.port, toPort: destination.port };
  return from.length === to.length ? { from, to, ...ports } : { from: mapped(from), to: mapped(to), ...ports };
}

const LINE = /^(TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;
const LF = 0x0a;
const MAX_PORT = 65_535;
/** With its CRLF: what "PROXY UNKNOWN" with two IPv6 addresses and two ports takes. */
const MAX_OCTETS = 107;
