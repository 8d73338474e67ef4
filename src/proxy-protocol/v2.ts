/**
 * Version 2: a binary header. Behind the addresses come values with a type and a length (TLVs), of which AUTHORITY and
 * SSL are read, CRC32C is checked, and the others are skipped.
 */
import { crc32c } from './crc32c.ts';
import { malformed, PARTIAL, type ParsedProxy, type ProxyAddress, type ProxyHeader, type ProxyTls } from './header.ts';
import { ipText } from './ip.ts';
import { ipEnds } from './v1.ts';

/** How it begins. */
export const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** Parses what begins with {@link V2_SIGNATURE}. */
export function parseV2(bytes: Buffer): ParsedProxy {
  if (bytes.length < FIXED) return PARTIAL;
  const kind = bytes.readUInt8(12);
  if (kind !== PROXY && kind !== LOCAL) return malformed('its version or command is unknown');
  const family = bytes.readUInt8(13);
  const length = FIXED + bytes.readUInt16BE(14);
  if (length > MAX_OCTETS) return malformed(`it is longer than ${MAX_OCTETS} octets`);
  const addresses = kind === LOCAL ? 0 : ADDRESS_OCTETS[family];
  if (addresses === undefined) {
    return malformed(DATAGRAMS.has(family) ? 'it is for datagrams (UDP)' : 'its address family is unknown');
  }
  if (length - FIXED < addresses) return malformed('it is too short for its addresses');
  if (bytes.length < length) return PARTIAL;
  const header = kind === LOCAL || family === UNSPEC
    // The real addresses count, and the rest of the header is to be ignored.
    ? { ...NOTHING, local: kind === LOCAL }
    : parseBlock(bytes.subarray(0, length), family, FIXED + addresses);
  return typeof header === 'string' ? malformed(header) : { kind: 'header', header, length };
}

/** Reads a whole header whose TLVs begin at `at`. Returns why it is malformed, if it is. */
function parseBlock(bytes: Buffer, family: number, at: number): ProxyHeader | string {
  const found = tlvs(bytes, at, bytes.length);
  if (found === undefined) return 'the length of a TLV in it is wrong';
  const checksum = found.get(CRC32C);
  if (checksum !== undefined) {
    if (checksum.length !== 4) return 'its checksum is malformed';
    const place = checksum.byteOffset - bytes.byteOffset;
    if (crc32c(bytes, place, place + 4) !== checksum.readUInt32BE()) return 'its checksum is wrong';
  }
  const ssl = found.get(SSL);
  const tls = ssl && parseTls(ssl);
  if (tls === 'malformed') return 'its SSL TLV is malformed';
  const [source, destination] = endpoints(bytes, family);
  return { version: 2, local: false, source, destination, authority: found.get(AUTHORITY)?.toString(), tls };
}

function endpoints(bytes: Buffer, family: number): readonly [ProxyAddress, ProxyAddress] {
  if (family === UNIX) {
    return [
      { family: 'Unix', path: pathOf(bytes.subarray(FIXED, FIXED + PATH_OCTETS)) },
      { family: 'Unix', path: pathOf(bytes.subarray(FIXED + PATH_OCTETS, FIXED + 2 * PATH_OCTETS)) },
    ];
  }
  const size = family === TCP4 ? 4 : 16;
  const end = (i: 0 | 1): ProxyAddress => ({
    family: size === 4 ? 'IPv4' : 'IPv6',
    address: ipText(bytes.subarray(FIXED + i * size, FIXED + (i + 1) * size)),
    port: bytes.readUInt16BE(FIXED + 2 * size + 2 * i),
  });
  return [end(0), end(1)];
}

function pathOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/**
 * The values from `at` to `end` by their types. Undefined if their lengths do not add up, or if one that is read comes
 * twice: receivers differ in which one counts.
 */
function tlvs(bytes: Buffer, at: number, end: number): ReadonlyMap<number, Buffer> | undefined {
  const found = new Map<number, Buffer>();
  let next = at;
  while (next < end) {
    if (end - next < 3) return undefined;
    const type = bytes.readUInt8(next);
    const to = next + 3 + bytes.readUInt16BE(next + 1);
    if (to > end || (found.has(type) && SINGLE.has(type))) return undefined;
    found.set(type, bytes.subarray(next + 3, to));
    next = to;
  }
  return found;
}

/** Undefined if the client did not use TLS. */
function parseTls(value: Buffer): ProxyTls | 'malformed' | undefined {
  if (value.length < 5) return 'malformed';
  const nested = tlvs(value, 5, value.length);
  if (nested === undefined) return 'malformed';
  const flags = value.readUInt8(0);
  if ((flags & CLIENT_SSL) === 0) return undefined;
  const certificate = (flags & CLIENT_CERT) !== 0;
  return {
    version: nested.get(SSL_VERSION)?.toString(),
    cipher: nested.get(SSL_CIPHER)?.toString(),
    commonName: nested.get(SSL_CN)?.toString(),
    certificate,
    verified: certificate && value.readUInt32BE(1) === 0,
  };
}

/** Writes a header with a checksum. Where the ends have no IP addresses, it says UNSPEC. */
export function formatV2({ local, source, destination, authority, tls }: ProxyHeader): Buffer {
  const ends = local ? undefined : ipEnds(source, destination);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends?.fromPort ?? 0, 0);
  ports.writeUInt16BE(ends?.toPort ?? 0, 2);
  // What follows UNSPEC is ignored, so there is no point in sending it.
  const rest = ends === undefined ? [] : [
    ends.from, ends.to, ports,
    ...(authority === undefined ? [] : [tlv(AUTHORITY, Buffer.from(authority).subarray(0, MAX_AUTHORITY))]),
    ...(tls === undefined ? [] : [tlv(SSL, tlsValue(tls))]),
    tlv(CRC32C, Buffer.alloc(4)),
  ];
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8(local ? LOCAL : PROXY, 0);
  fixed.writeUInt8(ends === undefined ? UNSPEC : ends.from.length === 4 ? TCP4 : TCP6, 1);
  fixed.writeUInt16BE(rest.reduce((sum, part) => sum + part.length, 0), 2);
  const header = Buffer.concat([V2_SIGNATURE, fixed, ...rest]);
  // The checksum comes last, and is that of a header in which it is zero.
  if (ends !== undefined) header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

function tlsValue({ version, cipher, commonName, certificate, verified }: ProxyTls): Buffer {
  const fixed = Buffer.alloc(5);
  fixed.writeUInt8(CLIENT_SSL | (certificate ? CLIENT_CERT_OF_SESSION : 0), 0);
  fixed.writeUInt32BE(verified ? 0 : 1, 1);
  const texts = [[SSL_VERSION, version], [SSL_CN, commonName], [SSL_CIPHER, cipher]] as const;
  return Buffer.concat([
    fixed, ...texts.flatMap(([type, text]) => (text === undefined ? [] : [tlv(type, Buffer.from(text))])),
  ]);
}

function tlv(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(value.length, 1);
  return Buffer.concat([head, value]);
}

/** The signature, the version and command, the family, and the length of the rest. */
const FIXED = 16;
/** Enough for the addresses and what proxies say of TLS, such as a common name; certificates are not sent. */
const MAX_OCTETS = 4_096;
/** Version 2 in the upper four bits. */
const LOCAL = 0x20;
const PROXY = 0x21;
const UNSPEC = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX = 0x31;
const DATAGRAMS: ReadonlySet<number> = new Set([0x12, 0x22, 0x32]);
const PATH_OCTETS = 108;
/** Octets of the two addresses and ports of each family. */
const ADDRESS_OCTETS: Readonly<Record<number, number>> = {
  [UNSPEC]: 0, [TCP4]: 12, [TCP6]: 36, [UNIX]: 2 * PATH_OCTETS,
};
const NOTHING = {
  version: 2, source: undefined, destination: undefined, authority: undefined, tls: undefined,
} as const;
const AUTHORITY = 0x02;
const CRC32C = 0x03;
const SSL = 0x20;
const SSL_VERSION = 0x21;
const SSL_CN = 0x22;
const SSL_CIPHER = 0x23;
const SINGLE: ReadonlySet<number> = new Set([AUTHORITY, CRC32C, SSL, SSL_VERSION, SSL_CN, SSL_CIPHER]);
const CLIENT_SSL = 0x01;
/** The client presented a certificate, on this connection or in its TLS session. */
const CLIENT_CERT_OF_SESSION = 0x04;
const CLIENT_CERT = 0x02 | CLIENT_CERT_OF_SESSION;
const MAX_AUTHORITY = 255;
