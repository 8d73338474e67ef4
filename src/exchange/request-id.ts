/**
 * What identifies a request, in its headers, in events and in reports.
 */

/** `given`, the id from a trusted downstream, if it can be one; else a new UUID. */
export function requestId(given: string | null | undefined): string {
  return typeof given === 'string' && ID.test(given) ? given : IDS.next();
}

/** The part of an event or a report that names a request; undefined if the request has no id. */
export function named({ id }: { readonly id: string }): { readonly requestId: string } | undefined {
  return id === '' ? undefined : { requestId: id };
}

/**
 * UUIDs of version 4 (RFC 9562 §5.4), some at once: the random octets cost less so, and each id is a part of one flat
 * text. That of `crypto.randomUUID` is put together from 20 pieces, whenever somebody reads it.
 */
class NewIds {
  readonly #random = new Uint8Array(COUNT * OCTETS);
  readonly #text = Buffer.alloc(COUNT * LENGTH);
  #ids = '';
  #at = COUNT * LENGTH;

  next(): string {
    if (this.#at === this.#text.length) this.#draw();
    return this.#ids.slice(this.#at, this.#at += LENGTH);
  }

  #draw(): void {
    const random = crypto.getRandomValues(this.#random);
    const text = this.#text;
    let at = 0;
    for (let i = 0; i < random.length; i++) {
      const place = i % OCTETS;
      let octet = random[i] ?? 0;
      if (place === 6) octet = octet & 0x0f | 0x40;
      else if (place === 8) octet = octet & 0x3f | 0x80;
      if (place === 4 || place === 6 || place === 8 || place === 10) text[at++] = DASH;
      text[at++] = HEX[octet >> 4] ?? 0;
      text[at++] = HEX[octet & 15] ?? 0;
    }
    this.#ids = text.toString('latin1');
    this.#at = 0;
  }
}

const COUNT = 64;
const OCTETS = 16;
const LENGTH = 36;
const DASH = 0x2d;
const HEX = Buffer.from('0123456789abcdef');
const IDS = new NewIds();
/** What can be put into a log line and a header as it is. */
const ID = /^[\w.:/+=-]{1,128}$/;
