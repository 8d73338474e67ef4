/**
 * An upstream that authenticates connections, as NTLM does: after a handshake of two requests, everything on the
 * connection is the user's.
 */
import type { TestContext } from 'node:test';
import { type Peer, response, type ScriptedUpstream, startUpstream } from './upstream.ts';

/** The three messages of an NTLM handshake, in base64. */
const TYPE_1 = 'TlRMTVNTUAABAAAA';
const TYPE_2 = 'TlRMTVNTUAACAAAA';
const TYPE_3 = 'TlRMTVNTUAADAAAA';

/** The fields of a request that begins a handshake. */
export function hello(scheme = 'NTLM'): string {
  return `Authorization: ${scheme} ${TYPE_1}\r\n`;
}

/** The fields of a request that answers the challenge of `connection`, as `user`. */
export function proof(user: string, connection: string, scheme = 'NTLM'): string {
  return `Authorization: ${scheme} ${TYPE_3}${user}.${connection}\r\n`;
}

/** The number of the connection that carried a challenge. */
export function challenged(fields: string | undefined): string {
  return new RegExp(`${TYPE_2}(\\d+)`).exec(fields ?? '')?.[1] ?? 'none';
}

/** Answers 200 with `user@connection target`, or 401. `offer` lists its challenges, as whole lines. */
export async function ntlm(peer: Peer, offer = 'WWW-Authenticate: NTLM\r\n', fields = ''): Promise<void> {
  let user: string | undefined;
  let asked = false;
  for (;;) {
    const { head } = await peer.request();
    const [, scheme = '', token = ''] = /^(\S+) (\S+)$/.exec(head.get('authorization') ?? '') ?? [];
    if (token.startsWith(TYPE_1)) {
      asked = true;
      peer.send(response('', `WWW-Authenticate: ${scheme} ${TYPE_2}${peer.number}\r\n${fields}`, '401 Unauthorized'));
      continue;
    }
    const [, name, number] = new RegExp(`^${TYPE_3}(\\w+)\\.(\\d+)$`).exec(token) ?? [];
    if (asked && Number(number) === peer.number) user = name;
    if (user === undefined) peer.send(response('', `${offer}${fields}`, '401 Unauthorized'));
    else peer.send(response(`${user}@${peer.number} ${head.line.split(' ')[1] ?? ''}`, fields));
  }
}

export function startNtlm(t: TestContext, offer?: string, fields?: string): Promise<ScriptedUpstream> {
  return startUpstream(t, (peer) => ntlm(peer, offer, fields));
}
