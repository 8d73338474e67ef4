/**
 * Which headers hooks and options may write, and what a name and a value may be.
 */

/** Whose headers they are: those of requests sent upstream, or of responses sent downstream. */
export type Side = 'request' | 'response';

/** How a header is written. */
export type Write = 'set' | 'append' | 'delete';

/**
 * Why a header may not be written so, and what to do instead; undefined where it may. `name` is in lower case. Such
 * headers frame the message, concern one connection (RFC 9110 §7.6.1), or are the balancer's to write.
 */
export function writeProblem(name: string, side: Side, how: Write = 'set'): string | undefined {
  if (side === 'response') return FIXED.get(name);
  if (name === 'host') return how === 'set' ? undefined : ONE_HOST;
  // Upstreams exist that take `_` for `-`, and would frame the message by such a header.
  const plain = dashed(name);
  return FIXED.get(plain) ?? OF_REQUESTS.get(plain);
}

/** A name as it is for an upstream that takes `_` for `-`, as CGI and its heirs do (RFC 3875 §4.1.18). */
export function dashed(name: string): string {
  return name.includes('_') ? name.replaceAll('_', '-') : name;
}

/** Whether a name is a token (RFC 9110 §5.1). */
export function isToken(name: string): boolean {
  return TOKEN.test(name);
}

/** What is wrong with a trimmed value (RFC 9110 §5.5); undefined where it can be sent. */
export function valueProblem(value: string): string | undefined {
  const at = value.search(NOT_IN_VALUES);
  if (at < 0) return undefined;
  const code = value.charCodeAt(at);
  const found = `\\u${code.toString(16).padStart(4, '0')}`;
  if (code > 0xff) {
    return `must hold characters up to \\u00ff (got ${found} at ${at}); write others as octets: ` +
      'Buffer.from(text).toString(\'latin1\')';
  }
  const what = code === 0x0d || code === 0x0a ? 'line ends' : 'control characters';
  return `must not hold ${what} (got ${found} at ${at})`;
}

/** A value without the white space around it. As WHATWG's `Headers` do, this takes line ends for white space. */
export function trimmedValue(value: string): string {
  let from = 0;
  let to = value.length;
  while (to > from && isSpace(value.charCodeAt(to - 1))) to--;
  while (to > from && isSpace(value.charCodeAt(from))) from++;
  return from === 0 && to === value.length ? value : value.slice(from, to);
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09 || c === 0x0d || c === 0x0a;
}

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
/** All but visible octets, spaces and tabs (RFC 9110 §5.5). */
const NOT_IN_VALUES = /[^\t\x20-\x7e\x80-\xff]/;

const FRAMING = 'frames the message, which the balancer does; change the body instead';
const ONE_CONNECTION = 'concerns one connection only (RFC 9110 §7.6.1), and the balancer writes its own; leave it out';
const ONE_HOST = 'must be there exactly once (RFC 9112 §3.2); use set';

const FIXED: ReadonlyMap<string, string> = new Map([
  ['content-length', FRAMING],
  ['transfer-encoding', FRAMING],
  ['trailer', 'announces trailers, which pass as they come; leave it out'],
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade'].map((name) => [name, ONE_CONNECTION] as const),
]);

const OF_REQUESTS: ReadonlyMap<string, string> = new Map([
  ['http2-settings', ONE_CONNECTION],
  ['expect', 'asks for a 100 (Continue), which the balancer passes on itself; leave it out'],
  ['max-forwards', 'counts the hops of OPTIONS and TRACE, which the balancer does; leave it out'],
  ['via', 'names the balancers on the way (RFC 9110 §7.6.3); the option via sets our name, or sends none'],
]);
