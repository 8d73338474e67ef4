/**
 * Credentials that authenticate a connection (NTLM, Negotiate: RFC 4559), as far as it matters what is in them.
 */
import type { RequestHead } from './request.ts';

/**
 * Whether the credentials of a request answer a challenge that came over the same connection. The first message of a
 * handshake may go over any connection: NTLM's of type 1, and a token of SPNEGO that begins one (RFC 4178 §4.2.1, whose
 * first octet is 0x60).
 */
export function continuesHandshake(head: RequestHead): boolean {
  if (!head.authenticatesConnection) return false;
  const credentials = head.field('authorization') ?? head.field('proxy-authorization') ?? '';
  const [, token = ''] = credentials.split(/[ \t]+/);
  return !/^(?:TlRMTVNTUAAB|Y[A-P])/.test(token);
}
