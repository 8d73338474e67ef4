/**
 * The headers that tell an upstream about earlier hops: X-Forwarded-*, Forwarded (RFC 7239), Via (RFC 9110 §7.6.3). All
 * of them are composed here for every request, so a downstream cannot forge them or nominate them away.
 */
import { items } from './grammar.ts';
import type { RequestHead } from './request.ts';

/** Which headers are sent. */
export interface ForwardingRules {
  /** The pseudonym in `Via`; `''` sends no `Via`. */
  readonly via: string;
  /** Whether `Forwarded` is sent as well. */
  readonly forwarded: boolean;
  /** Whether `X-Forwarded-For`, `-Proto` and `-Host` are sent. */
  readonly xForwarded: boolean;
}

/** What is known of a downstream connection. */
export interface Hop {
  /** The downstream's address, `''` if it has none (a Unix socket). */
  readonly address: string;
  readonly proto: 'http' | 'https';
  /** Whether the downstream's own headers about earlier hops are trusted and extended instead of replaced. */
  readonly trusted: boolean;
}

/** The forwarding header lines for a request that came over `hop`. */
export function forwardingFields(head: RequestHead, hop: Hop, rules: ForwardingRules): string {
  if (hop.trusted) return trustedFields(head, hop, rules);
  const { host } = head;
  let lines = '';
  if (rules.xForwarded) {
    if (hop.address !== '') lines = `X-Forwarded-For: ${hop.address}\r\n`;
    lines += hop.proto === 'http' ? 'X-Forwarded-Proto: http\r\n' : 'X-Forwarded-Proto: https\r\n';
    if (host !== '') lines += `X-Forwarded-Host: ${host}\r\n`;
  }
  if (rules.forwarded) lines += `Forwarded: ${forwardedElement(hop, host)}\r\n`;
  if (rules.via !== '') lines += `Via: ${head.version} ${rules.via}\r\n`;
  return lines;
}

/**
 * Whether a Via field names `pseudonym` as a recipient: then the request has been here before (RFC 9110 §7.6.3).
 * Comments may contain anything, so they are ignored.
 */
export function hasPassed(via: string, pseudonym: string): boolean {
  const name = pseudonym.toLowerCase();
  return items(via.replace(COMMENT, ' ')).some((item) => RECEIVED_BY.exec(item)?.[1] === name);
}

function trustedFields(head: RequestHead, hop: Hop, rules: ForwardingRules): string {
  const { forwarded, via } = head;
  let lines = head.forwardedOthers + (rules.xForwarded ? extendedXForwarded(head, hop) : xForwarded(head));
  const element = rules.forwarded ? forwardedElement(hop, head.host) : '';
  if (forwarded !== '' || element !== '') lines += `Forwarded: ${appended(forwarded, element)}\r\n`;
  const received = rules.via === '' ? '' : `${head.version} ${rules.via}`;
  if (via !== '' || received !== '') lines += `Via: ${appended(via, received)}\r\n`;
  return lines;
}

function extendedXForwarded(head: RequestHead, hop: Hop): string {
  const { forwardedFor, forwardedProto, forwardedHost } = head;
  const host = forwardedHost === '' ? head.host : forwardedHost;
  let lines = '';
  if (hop.address !== '' || forwardedFor !== '') lines += `X-Forwarded-For: ${appended(forwardedFor, hop.address)}\r\n`;
  lines += `X-Forwarded-Proto: ${forwardedProto === '' ? hop.proto : forwardedProto}\r\n`;
  return host === '' ? lines : `${lines}X-Forwarded-Host: ${host}\r\n`;
}

/** The headers of a trusted downstream, unchanged. */
function xForwarded({ forwardedFor, forwardedProto, forwardedHost }: RequestHead): string {
  let lines = forwardedFor === '' ? '' : `X-Forwarded-For: ${forwardedFor}\r\n`;
  if (forwardedProto !== '') lines += `X-Forwarded-Proto: ${forwardedProto}\r\n`;
  return forwardedHost === '' ? lines : `${lines}X-Forwarded-Host: ${forwardedHost}\r\n`;
}

/** One element of Forwarded (RFC 7239 §4). IPv6 addresses need brackets and quotes; hosts are quoted. */
function forwardedElement(hop: Hop, host: string): string {
  const { address } = hop;
  const node = address === '' ? 'unknown' : address.includes(':') ? `"[${address}]"` : address;
  return `for=${node};${host === '' ? '' : `host="${host}";`}proto=${hop.proto}`;
}

function appended(list: string, item: string): string {
  return list === '' ? item : item === '' ? list : `${list}, ${item}`;
}

/** An innermost comment. What this leaves of an outer one cannot be taken for a recipient. */
const COMMENT = /\((?:[^()\\]|\\.)*\)/g;
/** received-protocol RWS received-by (RFC 9110 §7.6.3). */
const RECEIVED_BY = /^[^ \t]+[ \t]+([^ \t]+)/;
