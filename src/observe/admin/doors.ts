/**
 * Who may ask: a browser must not be led here by another site, nor by a name that suddenly resolves to this machine
 * (DNS rebinding), and where there is a token, requests must bring it.
 */
import type { IncomingMessage } from 'node:http';
import { isSameSecret } from '../../options/secret.ts';

/** Why a request is refused. */
export interface Refusal {
  readonly status: 401 | 403 | 421;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DoorRules {
  readonly token: string | undefined;
  readonly hosts: readonly string[];
}

/** Undefined if the request may be served. `isPage`: it asks for the page, which other sites may link to. */
export function refusal(request: IncomingMessage, rules: DoorRules, isPage: boolean): Refusal | undefined {
  const { headers } = request;
  const { host } = headers;
  if (host !== undefined && !isOurs(host, request, rules.hosts)) {
    return { status: 421, text: 'this listener does not go by that name; allow it by the option hosts' };
  }
  if (isCrossSite(request, host, isPage)) return { status: 403, text: 'requests from other sites are refused' };
  if (rules.token === undefined || hasToken(headers.authorization, rules.token)) return undefined;
  // Browsers then ask their user, and send the token as the password.
  return {
    status: 401, text: 'needs the token of the admin listener',
    headers: { 'www-authenticate': 'Bearer realm="equipoise", Basic realm="equipoise", charset="UTF-8"' },
  };
}

/** Whether `host` names the loopback interface, the address that was connected to, or one of `hosts`. */
function isOurs(host: string, { socket }: IncomingMessage, hosts: readonly string[]): boolean {
  const { localAddress } = socket;
  // A Unix socket: no name leads a browser there.
  if (localAddress === undefined) return true;
  const match = /^(\[[\da-f:.]+\]|[^:[\]]*)(?::\d{1,5})?$/i.exec(host);
  const name = match?.[1]?.replace(/^\[|\]$/g, '').replace(/\.$/, '').toLowerCase();
  if (name === undefined || name === '') return false;
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)) {
    return true;
  }
  return name === localAddress.replace(/^::ffff:/, '').toLowerCase() ||
    hosts.some((allowed) => allowed.toLowerCase() === name);
}

function isCrossSite({ headers, method }: IncomingMessage, host: string | undefined, isPage: boolean): boolean {
  const { origin } = headers;
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = headers;
  if (origin !== undefined && (host === undefined || !isOriginOf(origin, host))) return true;
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  // Somebody follows a link to the page.
  return !(isPage && method === 'GET' && mode === 'navigate' && dest === 'document');
}

function isOriginOf(origin: string, host: string): boolean {
  const authority = /^https?:\/\/([^/]+)$/i.exec(origin)?.[1];
  return authority?.toLowerCase() === host.toLowerCase();
}

function hasToken(authorization: string | undefined, token: string): boolean {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +(\S+) *$/i.exec(authorization ?? '') ?? [];
  if (scheme.toLowerCase() === 'bearer') return isSameSecret(credentials, token);
  if (scheme === '') return false;
  const [, password = ''] = /^[^:]*:(.*)$/s.exec(Buffer.from(credentials, 'base64').toString('latin1')) ?? [];
  return isSameSecret(password, token);
}
