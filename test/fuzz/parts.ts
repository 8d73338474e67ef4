/**
 * Messages in the parts that mutations work on, and what requests and responses have in common.
 */
import type { Draw } from './draw.ts';

/** One part of a message: a line with its end, or a piece of a body. */
export interface Part {
  readonly kind: 'start' | 'field' | 'empty' | 'data' | 'size' | 'dataEnd' | 'trailer';
  readonly text: string;
}

export function textOf(parts: readonly Part[]): string {
  let text = '';
  for (const part of parts) text += part.text;
  return text;
}

/** A field line, now and then with odd but legal spaces, case or value. */
export function field(draw: Draw, name: string, value: string): string {
  const before = draw.chance(0.85) ? ' ' : draw.one(['', '\t', '  ', ' \t ']);
  const behind = draw.chance(0.93) ? '' : draw.one([' ', '\t', ' \t']);
  return `${draw.chance(0.9) ? name : anyCase(draw, name)}:${before}${value}${behind}\r\n`;
}

export function anyCase(draw: Draw, text: string): string {
  const way = draw.below(3);
  if (way === 0) return text.toLowerCase();
  if (way === 1) return text.toUpperCase();
  let mixed = '';
  for (const c of text) mixed += draw.chance(0.5) ? c.toUpperCase() : c.toLowerCase();
  return mixed;
}

/** A field without meaning to the balancer. */
export function plainField(draw: Draw): string {
  return field(draw, draw.one(NAMES), draw.one(VALUES));
}

const NAMES = [
  'Accept', 'Accept-Encoding', 'User-Agent', 'Cookie', 'Set-Cookie', 'X-A', 'x-a', 'X-B', 'Content-Type', 'ETag',
  'Cache-Control', 'Authorization', 'a', "!#$%&'*+-.^_`|~09", 'X_Under', 'Close', 'Content-Lengt', 'Content-Length2',
  'Transfer-Encodin', 'Transfer_Encoding', 'Content_Length', 'Hos', 'Trailer', 'Max-Forwards', 'X-Forwarded-Port',
  'X_Forwarded_For', 'X-Forwarded-', 'x-forwarded-client-cert', 'X-Forwarde',
];
const VALUES = [
  '', 'v', 'a, b,c', '*/*', '"quoted \\" string"', 'caf\xe9 \x80\xff', 'a\tb', 'a  b', ':', 'x: y', 'chunked', 'close',
  '5', 'text/plain; charset=utf-8', 'a=1; b=2', '(comment)', 'GET / HTTP/1.1', '\xa0\x85', ',', '0', 'HTTP/1.1 200 OK',
];

/** Values of Connection: the usual ones, lists, and nominations of fields that must stay. */
export const CONNECTIONS = [
  'keep-alive', 'close', 'Close', 'keep-alive, x-a', 'close, X-B', 'x-a', 'X-A , x-b', '', ',', ', ,x-a', 'TE',
  'te,close',
  'upgrade', 'Upgrade, keep-alive', 'content-length', 'transfer-encoding', 'host', 'keep-alive, close',
  'close, keep-alive',
  'via', 'x-forwarded-for', 'date', 'x-close', 'closed', 'close;x', 'keep-alive\t', 'upgrade, close',
  'cookie, set-cookie',
];

/** Values of Transfer-Encoding and Content-Length that some parser somewhere misreads. */
export const CODINGS = [
  'chunked', 'Chunked', 'CHUNKED', ' chunked', 'chunked ', 'chunked\t', 'xchunked', 'chunked, chunked', 'gzip, chunked',
  'chunked, gzip', 'gzip', 'identity', 'chunked;q=1', '"chunked"', 'chunked,', ',chunked', 'chunk\xe9d', '', 'x',
  'chunke',
  '\x0bchunked', 'chunked\x0b', 'chunked\x00', 'chunked\x85', 'identity, chunked', 'chunked, identity',
];
export const LENGTHS = [
  '0', '1', '3', '5', '00', '05', '+5', '-1', '-0', '5 ', '5\t', '5 5', '5, 5', '5,5', '5;', '0x5', '5e0', '5.0', '',
  ' ',
  '\t', '\x0b5', '5\x0b', '5\x00', '18446744073709551616', '18446744073709551621', '9007199254740993', '4294967301',
  '0000000000000000005', '00000000000000000000000005', '2147483648', '5\xa0', '\xb2', '\x85', '1_0', 'x', '5x', 'five',
];

/** A body of at most some hundred bytes. */
export function data(draw: Draw): string {
  const way = draw.below(8);
  if (way < 3) return draw.one(['hello', 'a', '', '\r\n', '0\r\n\r\n', '\x00\xff', ' ', '{"a":1}']);
  if (way < 5) return draw.one(DECEPTIVE);
  let text = '';
  for (let length = draw.below(draw.chance(0.05) ? 300 : 30); length > 0; length--) {
    text += String.fromCharCode(draw.chance(0.7) ? 0x20 + draw.below(0x5f) : draw.below(0x100));
  }
  return text;
}

/** Bodies that look like what may surround them. */
const DECEPTIVE = [
  'GET /evil HTTP/1.1\r\nHost: e\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  '0\r\n\r\nGET /evil HTTP/1.1\r\n',
  '5\r\nhello\r\n0\r\n\r\n', '\r\n0\r\n\r\n', 'Content-Length: 5\r\n\r\nhello', '\r\n\r\n', 'X: y\r\n',
];

/** Chunks of `text`, with everything else that the coding allows. */
export function chunks(draw: Draw, text: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < text.length;) {
    const length = draw.chance(0.4) ? text.length - at : 1 + draw.below(text.length - at);
    parts.push({ kind: 'size', text: `${sizeOf(draw, length)}${extension(draw)}\r\n` });
    parts.push({ kind: 'data', text: text.slice(at, at + length) }, { kind: 'dataEnd', text: '\r\n' });
    at += length;
  }
  parts.push({ kind: 'size', text: `${draw.one(['0', '0', '0', '0', '00', '000'])}${extension(draw)}\r\n` });
  if (draw.chance(0.25)) {
    for (let count = 1 + draw.below(3); count > 0; count--) parts.push({ kind: 'trailer', text: trailer(draw) });
  }
  parts.push({ kind: 'empty', text: '\r\n' });
  return parts;
}

function trailer(draw: Draw): string {
  if (draw.chance(0.85)) return plainField(draw);
  return field(draw, draw.one(FOR_HEADS), draw.one(['x', '5', 'chunked', 'close', '']));
}

const FOR_HEADS = [
  'Host', 'Connection', 'Proxy-Connection', 'Cookie', 'Content-Length', 'Transfer-Encoding', 'TE', 'Via', 'Expect',
];

function sizeOf(draw: Draw, size: number): string {
  const hex = size.toString(16);
  if (draw.chance(0.85)) return hex;
  return draw.one([hex.toUpperCase(), `0${hex}`, `000000000000${hex}`.slice(-14)]);
}

function extension(draw: Draw): string {
  const way = draw.below(40);
  if (way > 3) return '';
  return way > 0 ? draw.one(EXTENSIONS) : draw.one(BAD_EXTENSIONS);
}

const EXTENSIONS = [
  ';a', ';a=b', ';a="b c"', ';a="\\""', ';a=b;c=d', ';a="";b', ';a="\xe9;\t"', ';a="0\\\x20"', ';a;b;c', ';1=2',
  `;a=${'x'.repeat(40)}`,
];
const BAD_EXTENSIONS = [
  ';=', ';', '; a', ';a =b', ';a= b', ' ;a', ';a="', ';a"b', ';a=b"c"', ';a="b"c', ';a;', ';a=;b', ';a="\\\xe9"',
  ';a="\x00"', ';\xe9',
];
