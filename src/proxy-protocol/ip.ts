/**
 * IP addresses as text and as octets.
 */

/** The octets of an address: 4, or 16 of IPv6 (RFC 4291 §2.2). Undefined if the text is not one; a zone is not part. */
export function ipBytes(text: string): Uint8Array | undefined {
  return text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text);
}

/** The text of 4 or 16 octets, as Node writes it: IPv6 as RFC 5952 recommends. */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const { from, to } = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (to - from < 2) return hex.join(':');
  return `${hex.slice(0, from).join(':')}::${hex.slice(to).join(':')}`;
}

/** Whether these are the octets of an IPv4 address in its IPv6 form (RFC 4291 §2.5.5.2). */
export function isMapped(bytes: Uint8Array): boolean {
  return bytes.length === 16 && MAPPED.every((octet, i) => bytes[i] === octet);
}

/** The IPv6 form of 4 octets; 16 are returned as they are. */
export function mapped(bytes: Uint8Array): Uint8Array {
  return bytes.length === 16 ? bytes : Uint8Array.of(...MAPPED, ...bytes);
}

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  // No leading zeros: some read them as octal.
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const before = groupBytes(head, tail === undefined);
  const after = tail === undefined ? [] : groupBytes(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const zeros = 16 - before.length - after.length;
  // `::` stands for at least one group.
  if (tail === undefined ? zeros !== 0 : zeros < 2) return undefined;
  return Uint8Array.of(...before, ...new Uint8Array(zeros), ...after);
}

/** The octets of groups between colons. Only the last ones of an address may end with an IPv4 address. */
function groupBytes(text: string, last: boolean): readonly number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (last && i === groups.length - 1 && group.includes('.')) {
      const embedded = ipv4Bytes(group);
      if (embedded === undefined) return undefined;
      bytes.push(...embedded);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else return undefined;
  }
  return bytes;
}

/** The first of the longest runs of zeros. */
function longestZeros(groups: readonly number[]): { readonly from: number; readonly to: number } {
  let longest = { from: 0, to: 0 };
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from > longest.to - longest.from) longest = { from, to };
    if (to > from) from = to;
  }
  return longest;
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const;
/** Eight groups, the last two as an IPv4 address. */
const MAX_TEXT = 45;
