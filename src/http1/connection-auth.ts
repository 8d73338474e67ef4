/**
 * Credentials that authenticate a connection (NTLM, Negotiate: RFC 4559).
 */
import type { RequestHead } from './request.ts';

/**
 * Whether the credentials of a request answer a challenge that came over the same connection. The first message of a
 * handshake may use any connection: an NTLM message of type 1, or an initial SPNEGO token (RFC 4178 §4.2.1), whose
 * first octet is 0x60.
 */
export function continuesHandshake(head: RequestHead): boolean {
  if (!head.authenticatesConnection) return false;
  const credentials = head.header('authorization') ?? head.header('proxy-authorization') ?? '';
  const [, token = ''] = credentials.split(/[ \t]+/);
  return !/^(?:TlRMTVNTUAAB|Y[A-P])/.test(token);
}
