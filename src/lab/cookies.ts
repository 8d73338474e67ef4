/**
 * The cookies that clients keep: those that strategies set by `respondWith`.
 */

interface Cookie {
  readonly value: string;
  readonly path: string;
  readonly expiresAt: number;
}

/**
 * The cookie jar of each client, as a browser's (RFC 6265) as far as `Path` and `Max-Age` go. All requests go to one
 * host by https, so `Domain`, `Secure` and `SameSite` change nothing. `Expires` is ignored: virtual time has no dates.
 */
export class CookieJars {
  readonly #jars = new Map<number, Map<string, Cookie>>();

  /** The `Cookie` header of a client's request; undefined if it has none for this target. */
  headerOf(client: number, target: string, now: number): string | undefined {
    const jar = this.#jars.get(client);
    if (jar === undefined) return undefined;
    let header = '';
    for (const [name, { value, path, expiresAt }] of jar) {
      if (now < expiresAt && covers(path, target)) header += `${header === '' ? '' : '; '}${name}=${value}`;
    }
    return header === '' ? undefined : header;
  }

  /** A client takes the cookies among these header lines, each with its CRLF. */
  keep(client: number, lines: string, now: number): void {
    for (const line of lines.split('\r\n')) {
      const text = /^set-cookie:(.*)$/i.exec(line)?.[1];
      if (text !== undefined) this.#set(client, text, now);
    }
  }

  #set(client: number, text: string, now: number): void {
    const [pair = '', ...attributes] = text.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    if (equals < 1) return;
    let path = '/';
    let expiresAt = Infinity;
    for (const attribute of attributes) {
      const [, name = '', value = ''] = /^([^=]*?)\s*=\s*(.*)$/.exec(attribute) ?? [];
      if (/^path$/i.test(name)) path = value.startsWith('/') ? value : '/';
      else if (/^max-age$/i.test(name) && /^-?\d+$/.test(value)) expiresAt = now + 1_000 * Number(value);
    }
    const jar = this.#jars.get(client) ?? new Map<string, Cookie>();
    this.#jars.set(client, jar);
    jar.set(pair.slice(0, equals), { value: pair.slice(equals + 1), path, expiresAt });
  }
}

/** Whether a cookie of this path goes with the target (RFC 6265 §5.1.4). */
function covers(path: string, target: string): boolean {
  return target === path || (target.startsWith(path) && (path.endsWith('/') || target[path.length] === '/'));
}
