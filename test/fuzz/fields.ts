/**
 * Which fields are passed on, written a second time, independently of src: what a hop owns, what Connection
 * nominates (RFC 9110 §7.6.1), what trailers may not carry (§6.5.1).
 */
import type { FieldLine } from '../support/wire-decoder.ts';

export const HOP_BY_HOP: readonly string[] = ['connection', 'keep-alive', 'proxy-connection'];

/** Options of Connection, not fields: RFC 9110 §18.4 reserves the first so that no field has that name. */
const NO_FIELDS: readonly string[] = ['close', 'keep-alive'];

const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization', 'cache-control', 'connection', 'content-encoding', 'content-length', 'content-range', 'content-type',
  'cookie', 'expect', 'forwarded', 'host', 'keep-alive', 'max-forwards', 'proxy-authenticate', 'proxy-authorization',
  'proxy-connection', 'range', 'set-cookie', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'www-authenticate',
]);

/** Node's flat list of names and values. */
export function pairs(raw: readonly string[]): FieldLine[] {
  const lines: FieldLine[] = [];
  for (let i = 0; i < raw.length; i += 2) lines.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return lines;
}

export function valuesOf(lines: readonly FieldLine[], lowerName: string): string[] {
  return lines.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
}

/** The items of list fields, in lower case. */
export function itemsOf(values: readonly string[]): string[] {
  return values.join().toLowerCase().split(',').map(trimmed);
}

/** Not by trim(): it strips more than the spaces of HTTP. */
export function trimmed(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** The lines without those of `owned` names and those that are nominated, but for Content-Length, which frames. */
export function endToEnd(
  lines: readonly FieldLine[], nominated: readonly string[], owned: ReadonlySet<string>,
): FieldLine[] {
  return lines.filter(([name]) => {
    const lower = name.toLowerCase();
    if (owned.has(lower) || NO_FIELDS.includes(lower)) return false;
    return lower === 'content-length' || !nominated.includes(lower);
  });
}

/** The name under which CGI and its successors read a field: they do not distinguish `_` from `-`. */
function unposed(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/** The lines without what an untrusted downstream says about earlier hops: only the balancer may say that. */
export function withoutForwarded(lines: readonly FieldLine[]): FieldLine[] {
  return lines.filter(([name]) => !unposed(name).startsWith('x-forwarded-'));
}

/**
 * The lines without those that `handle` and `upgrade` leave out, as middleware before them cannot have seen them: a
 * second line of credentials, which Node drops from `headers`, and a name with `_` beside the same one with `-`.
 */
export function asMiddlewareSaw(lines: readonly FieldLine[]): FieldLine[] {
  const names = new Set(lines.map(([name]) => name.toLowerCase()));
  return lines.filter(([name], i) => {
    const lower = name.toLowerCase();
    if (CREDENTIALS.includes(lower)) return lines.findIndex(([other]) => other.toLowerCase() === lower) === i;
    return !lower.includes('_') || !names.has(unposed(lower));
  });
}

const CREDENTIALS: readonly string[] = ['authorization', 'proxy-authorization'];

export function withoutForbiddenTrailers(lines: readonly FieldLine[]): FieldLine[] {
  return lines.filter(([name]) => !NOT_IN_TRAILERS.has(unposed(name)));
}

/** The first difference between lines that must be the same, in the same order. */
export function differenceOfLines(ours: readonly FieldLine[], node: readonly FieldLine[]): string | undefined {
  for (let i = 0; i < Math.max(ours.length, node.length); i++) {
    const [name, value] = ours[i] ?? [];
    const [nodeName, nodeValue] = node[i] ?? [];
    if (name !== nodeName || value !== nodeValue) {
      return `${shown(name, value)} was sent in place of ${shown(nodeName, nodeValue)}`;
    }
  }
  return undefined;
}

function shown(name: string | undefined, value: string | undefined): string {
  return name === undefined ? 'nothing' : JSON.stringify(`${name}: ${value ?? ''}`);
}
