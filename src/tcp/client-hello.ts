/**
 * Reads the server name (SNI, RFC 6066 §3) in a ClientHello of TLS 1.0 to 1.3 (RFC 8446 §4.1.2). Pure, and never throws
 * whatever the bytes are: what is not a sound ClientHello has no name.
 */

/**
 * The server name in lower case, or `''` if there is none; while the bytes are the beginning of a ClientHello, how many
 * it takes at least to tell, 16,384 at most.
 */
export function serverNameIn(bytes: Buffer): string | number {
  const message = handshakeIn(bytes);
  return typeof message === 'number' || message === undefined ? message ?? '' : nameIn(message);
}

/** The body of the ClientHello, put together from its records; undefined if it is something else. */
function handshakeIn(bytes: Buffer): Buffer | number | undefined {
  const parts: Buffer[] = [];
  let gathered = 0;
  let size = MESSAGE_HEADER;
  let at = 0;
  while (at + RECORD_HEADER <= bytes.length) {
    const length = bytes.readUInt16BE(at + 3);
    // RFC 8446 §5.1: no empty fragments of a handshake, and 2^14 octets at most.
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3 || length === 0 || length > MAX_RECORD) return undefined;
    const fragment = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    if (gathered === 0 && fragment.length > 0 && fragment[0] !== CLIENT_HELLO) return undefined;
    // The length of the message, octets 1 to 3 of it, may be spread over records, too.
    for (let i = gathered; i < MESSAGE_HEADER && i < gathered + fragment.length; i++) {
      if (i > 0) size += (fragment[i - gathered] ?? 0) * 256 ** (MESSAGE_HEADER - 1 - i);
    }
    parts.push(fragment);
    gathered += fragment.length;
    if (size > MAX_HELLO_BYTES) return undefined;
    if (gathered >= MESSAGE_HEADER && gathered >= size) {
      const message = parts.length === 1 ? fragment : Buffer.concat(parts, gathered);
      return message.subarray(MESSAGE_HEADER, size);
    }
    if (fragment.length < length) return within(bytes.length + size - gathered);
    at += RECORD_HEADER + length;
  }
  const begun = bytes.length - at;
  if ((begun > 0 && bytes[at] !== HANDSHAKE) || (begun > 1 && bytes[at + 1] !== 3)) return undefined;
  // Were it less than the whole rest, records of one octet each would be walked over once for each of them.
  return within(at + RECORD_HEADER + size - gathered);
}

/** How many octets to wait for, unless that is too many. */
function within(needed: number): number | undefined {
  return needed > MAX_HELLO_BYTES ? undefined : needed;
}

/** Walks over the fields of a ClientHello to its extensions, and in them to the name. */
function nameIn(hello: Buffer): string {
  // legacy_version and random, then three vectors.
  let at = afterVector(hello, 34, 1);
  at = afterVector(hello, at, 2);
  at = afterVector(hello, at, 1);
  const end = afterVector(hello, at, 2);
  if (end < 0) return '';
  at += 2;
  while (at + 4 <= end) {
    const type = hello.readUInt16BE(at);
    const next = afterVector(hello, at + 2, 2);
    if (next < 0 || next > end) return '';
    if (type === SERVER_NAME) return hostIn(hello.subarray(at + 4, next));
    at = next;
  }
  return '';
}

/** Where a vector ends that begins at `at` with a length of `width` octets; -1 if that is behind the end. */
function afterVector(bytes: Buffer, at: number, width: number): number {
  if (at < 0 || at + width > bytes.length) return -1;
  const end = at + width + bytes.readUIntBE(at, width);
  return end > bytes.length ? -1 : end;
}

/** The first host_name of a ServerNameList. */
function hostIn(extension: Buffer): string {
  const end = afterVector(extension, 0, 2);
  for (let at = 2; at < end;) {
    const next = afterVector(extension, at + 1, 2);
    if (next < 0 || next > end) return '';
    if (extension[at] === HOST_NAME) {
      const name = extension.toString('latin1', at + 3, next).toLowerCase().replace(/\.$/, '');
      return name.length <= MAX_NAME && NAME.test(name) ? name : '';
    }
    at = next;
  }
  return '';
}

/** Those of browsers with post-quantum keys have 2,000 octets. */
const MAX_HELLO_BYTES = 16_384;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const MAX_RECORD = 16_384;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
/** RFC 1035 §2.3.4. */
const MAX_NAME = 255;
/** Visible ASCII without spaces, as far as names have it: it goes into logs, and to strategies. */
const NAME = /^[\w-]+(?:\.[\w-]+)*$/;
