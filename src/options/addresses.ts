/**
 * Lists of addresses and subnets, such as `['10.0.0.0/8', '::1']`: whose word is taken, by `trustForwarded` and for the
 * PROXY protocol.
 */
import { BlockList, isIP } from 'node:net';
import { shown } from './checks.ts';

/** Whether an address is in a list. `''` is a peer on a Unix socket. Never throws, whatever the text. */
export type AddressMatcher = (address: string) => boolean;

/** In a list: all peers on Unix sockets. The permissions of a socket say who can be one. */
const UNIX = 'unix';

/**
 * Reads a list of addresses, subnets in CIDR notation, and `unix`. Adds what is wrong to `problems`. IPv4 addresses
 * match in their IPv6 form, too (`::ffff:10.0.0.1`), but an IPv6 subnet never matches an IPv4 address: `::/0` is all of
 * IPv6 and nothing else.
 */
export function readAddresses(value: unknown, path: string, problems: string[]): AddressMatcher {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  let unix = false;
  if (!Array.isArray(value)) {
    problems.push(`${path}: must be a list of addresses, e.g. ["10.0.0.0/8", "::1"] (got ${shown(value)})`);
    return NOBODY;
  }
  for (const [i, entry] of (value as readonly unknown[]).entries()) {
    if (entry === UNIX) {
      unix = true;
      continue;
    }
    const subnet = typeof entry === 'string' ? parseSubnet(entry) : undefined;
    if (subnet === undefined) problems.push(`${path}[${i}]: ${FORMS} (got ${shown(entry)}${hint(entry)})`);
    else lists[subnet.family].addSubnet(subnet.address, subnet.prefix, subnet.family);
  }
  return (address) => {
    if (address === '') return unix;
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && (family === 4 ? lists.ipv4.check(plain, 'ipv4') : lists.ipv6.check(plain, 'ipv6'));
  };
}

interface Subnet {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** An address is a subnet of one. Undefined if the text is neither. */
function parseSubnet(text: string): Subnet | undefined {
  const [, given = '', bits] = /^([0-9A-Fa-f:.]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const version = isIP(given);
  if (version === 0) return undefined;
  const address = plainAddress(given);
  // A subnet of IPv4 addresses in their IPv6 form is one of IPv4 addresses.
  const isMapped = address !== given;
  const size = version === 4 ? 32 : 128;
  const prefix = (bits === undefined ? size : Number(bits)) - (isMapped ? 96 : 0);
  if (prefix < 0 || prefix > (isMapped ? 32 : size)) return undefined;
  return { address, prefix, family: isIP(address) === 4 ? 'ipv4' : 'ipv6' };
}

/**
 * An address without what depends on the socket that it was read from: a dual-stack listener shows IPv4 peers as
 * `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2), and link-local addresses come with a zone (`fe80::1%eth0`).
 */
function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address.replace(/%.*$/, '');
}

/** What an entry that is not an address may have been meant to be. */
function hint(entry: unknown): string {
  if (typeof entry !== 'string') return '';
  if (/^(?:\*|all|any)$/i.test(entry)) return '; for all addresses write "0.0.0.0/0" and "::/0"';
  if (/^unix:/i.test(entry)) return '; did you mean "unix"?';
  if (entry.includes(',')) return '; write each address as an entry of its own';
  return '';
}

const NOBODY: AddressMatcher = () => false;
const FORMS = 'must be an address, a subnet such as 10.0.0.0/8, or unix';
