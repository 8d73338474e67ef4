/**
 * Heads as they are sent: always new ones, composed of what was read and validated.
 */
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from './framing.ts';
import type { RequestHead } from './request.ts';
import type { ResponseHead } from './response.ts';

/**
 * The request head for an upstream. `host` replaces the downstream's, and `fields` those of the head; these and
 * `forwarding` are whole field lines.
 */
export function requestHead(head: RequestHead, host: string, forwarding: string, fields = head.fields): string {
  let text = `${head.method} ${head.target} HTTP/1.1\r\nHost: ${host}\r\n${fields}`;
  // The framing that was read (RFC 9112 §6), written anew, never edited.
  if (head.framing === LENGTH) text += `Content-Length: ${head.contentLength}\r\n`;
  else if (head.framing === CHUNKED) text += 'Transfer-Encoding: chunked\r\n';
  if (head.maxForwards !== undefined) text += `Max-Forwards: ${forwardsLeft(head.maxForwards) - 1}\r\n`;
  if (head.expectContinue) text += 'Expect: 100-continue\r\n';
  if (head.upgrade !== '') {
    text += `Connection: ${head.trailers ? 'Upgrade, TE\r\nTE: trailers' : 'Upgrade'}\r\nUpgrade: ${head.upgrade}\r\n`;
  } else if (head.trailers) text += 'Connection: TE\r\nTE: trailers\r\n';
  return `${text + forwarding}\r\n`;
}

/**
 * How often a request may still be forwarded, by its Max-Forwards field (RFC 9110 §7.6.2): -1 if that is malformed,
 * and at most MAX_FORWARDS.
 */
export function forwardsLeft(maxForwards: string): number {
  return /^\d+$/.test(maxForwards) ? Math.min(Number(maxForwards), MAX_FORWARDS) : -1;
}

/** How a response is framed for a downstream of HTTP/1.`minor`. One of HTTP/1.0, without chunks, reads until close. */
export function downstreamFraming(head: ResponseHead, minor: number): Framing {
  if (head.framing !== CHUNKED && head.framing !== UNTIL_CLOSE) return head.framing;
  return minor === 1 ? CHUNKED : UNTIL_CLOSE;
}

/** The response head for a downstream of HTTP/1.`minor`. `date` is the Date value for a response without one. */
export function responseHead(
  head: ResponseHead, framing: Framing, minor: number, keepAlive: boolean, date: string,
): string {
  let text = head.line + head.fields;
  // RFC 9110 §6.6.1: a recipient that forwards a response without a Date adds it.
  if (!head.hasDate) text += `Date: ${date}\r\n`;
  if (framing === CHUNKED || (framing === NONE && head.chunked && minor === 1 && mayHaveBody(head.status))) {
    text += 'Transfer-Encoding: chunked\r\n';
  }
  if (head.status === 426 && head.upgrade !== '') text += upgradeOffer(head, keepAlive);
  else if (!keepAlive) text += 'Connection: close\r\n';
  else if (minor === 0) text += 'Connection: keep-alive\r\n';
  return `${text}\r\n`;
}

/** The lines that a 426 (Upgrade Required) must have (RFC 9110 §15.5.22): we pass upgrades on, so the offer stands. */
export function upgradeOffer(head: ResponseHead, keepAlive: boolean): string {
  return `Upgrade: ${head.upgrade}\r\nConnection: ${keepAlive ? 'Upgrade' : 'Upgrade, close'}\r\n`;
}

/** The head of an interim response (RFC 9110 §15.2), including 101. */
export function interimHead(head: ResponseHead): string {
  const upgrade = head.status === 101 ? `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n` : '';
  return `${head.line}${head.fields}${upgrade}\r\n`;
}

/** 204 and 304 never have a body, so they must not announce a transfer coding (RFC 9112 §6.1). */
function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

/** The greatest Max-Forwards that is supported: more hops than any path has. */
const MAX_FORWARDS = 65_535;
