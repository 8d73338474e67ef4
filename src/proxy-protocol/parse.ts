/**
 * The entry to the format: parses and writes a header of either version.
 */
import { PARTIAL, type ParsedProxy, type ProxyHeader } from './header.ts';
import { formatV1, parseV1, V1_SIGNATURE } from './v1.ts';
import { formatV2, parseV2, V2_SIGNATURE } from './v2.ts';

/** Parses the header at the start of a connection. `bytes` are all that has come. Never throws. */
export function parseProxyHeader(bytes: Buffer): ParsedProxy {
  for (const [signature, parse] of VERSIONS) {
    const size = Math.min(bytes.length, signature.length);
    if (bytes.compare(signature, 0, size, 0, size) === 0) return size < signature.length ? PARTIAL : parse(bytes);
  }
  return ABSENT;
}

/** Writes a header, of the version that it has. */
export function formatProxyHeader(header: ProxyHeader): Buffer {
  return header.version === 1 ? formatV1(header) : formatV2(header);
}

const VERSIONS = [[V1_SIGNATURE, parseV1], [V2_SIGNATURE, parseV2]] as const;
const ABSENT: ParsedProxy = { kind: 'invalid', begun: false, why: 'there is none' };
