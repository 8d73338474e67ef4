/**
 * Requests drawn from a grammar: most are valid, all are of the kind that clients, or attackers, send.
 */
import type { Draw } from './draw.ts';
import { anyCase, chunks, CODINGS, CONNECTIONS, data, field, LENGTHS, type Part, plainField } from './parts.ts';

/** The parts of one to four requests, one after the other. */
export function drawRequests(draw: Draw): Part[] {
  const count = draw.chance(0.65) ? 1 : 2 + draw.below(3);
  const parts: Part[] = [];
  for (let i = 0; i < count; i++) {
    if (draw.chance(0.04)) parts.push({ kind: 'empty', text: '\r\n' });
    parts.push(...drawRequest(draw));
  }
  return parts;
}

export function drawRequest(draw: Draw): Part[] {
  const method = draw.chance(0.7) ? draw.one(['GET', 'POST', 'PUT']) : draw.one(METHODS);
  const version = draw.chance(0.88) ? 'HTTP/1.1' : 'HTTP/1.0';
  const lines: string[] = [];
  if (version === 'HTTP/1.1' || draw.chance(0.6)) {
    lines.push(field(draw, 'Host', draw.chance(0.8) ? 'a.example' : draw.one(draw.chance(0.75) ? HOSTS : BAD_HOSTS)));
  }
  for (let more = draw.below(4); more > 0; more--) lines.push(plainField(draw));
  if (draw.chance(0.3)) lines.push(special(draw));
  if (draw.chance(0.06)) lines.push(special(draw));
  const body = drawBody(draw, method, lines);
  if (draw.chance(0.4)) shuffle(draw, lines);
  return [
    { kind: 'start', text: `${method} ${targetOf(draw, method)} ${version}\r\n` },
    ...lines.map((text): Part => ({ kind: 'field', text })),
    { kind: 'empty', text: '\r\n' },
    ...body,
  ];
}

const METHODS = [
  'HEAD', 'OPTIONS', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'M-SEARCH', 'QUERY', 'SOURCE', 'LINK', 'PURGE',
  // Unknown to Node, or to HTTP; PRI begins the preface of HTTP/2, the last three are of RTSP.
  'get', 'FOO', 'X-Y', 'G', 'GETX', 'POS', "!#$%&'*+-.^_`|~", 'PRI', 'CONNECT', 'connect', 'SETUP', 'DESCRIBE', 'FLUSH',
];
const HOSTS = [
  '', 'a', 'a.example:80', '[::1]', '[::1]:8080', '127.0.0.1', 'a:', ':80', 'A.Example', 'a_b', 'xn--a',
  "a%20b~!$&'()*+;=",
  'upstream.example:8080',
];
const BAD_HOSTS = [
  'a,b', 'a b', 'u@a', 'a/b', 'a?b', 'a#b', '\xe9', 'a:b', 'a:808080', '[', '[::1', 'a\tb', '"a"', 'a\x7f', '\x00',
];
const TARGETS = [
  '/a/b?c=d', '//a//b', '/a/../b', '/%2e%2F%zz?%41', '/?a=[1]&b={x}|y^z`w"<>', '/a;b', '/*', '/?', '/a?b?c', '/:',
  '/http://a.example/', '/a\\b',
];
const BAD_TARGETS = [
  '/a#b', '/a\x7f', '/\xe9', '/a b', '/a\tb', 'a', '', '*', '/\x00', '?a', '/\x80', '\\', '//\xff', '/ ',
];
const ABSOLUTE = [
  'http://b.example', 'http://b.example/', 'http://b.example/p?q', 'http://b.example?q', 'HTTP://B.example:80/p',
  'https://b.example/p', 'http://[::1]:80/', 'http://b.example:/', 'http://b.example/http://c/', 'http://b%20c/',
  'http://b.example/?',
];
const BAD_ABSOLUTE = [
  'http:///p', 'http://u:p@b.example/', 'http://b.example#f', 'ftp://b.example/', 'http:/p', 'http://b,c/',
  'http://:80/', 'b.example',
  'b:80', 'http://', 'http://[::1/', 'http://b.example:x/', 'http:b', '://b/', 'http://b.example\\p',
  'http://b.example/p#q?r',
];

function targetOf(draw: Draw, method: string): string {
  if (method === 'CONNECT') return draw.one(['a.example:443', '/a']);
  if (method === 'OPTIONS' ? draw.chance(0.5) : draw.chance(0.01)) return '*';
  if (draw.chance(0.07)) return draw.one(draw.chance(0.7) ? ABSOLUTE : BAD_ABSOLUTE);
  if (draw.chance(0.6)) return draw.one(['/', '/a', '/1?b=c']);
  return draw.one(draw.chance(0.93) ? TARGETS : BAD_TARGETS);
}

/** A field that the balancer, or Node, acts on. */
function special(draw: Draw): string {
  const [name, values] = draw.one(SPECIAL);
  return field(draw, name, draw.one(values));
}

const UPGRADES = ['websocket', 'h2c', 'foo/1, bar', '', 'WebSocket, h2c', 'h2c-14', 'a', 'TLS/1.0'];
const SPECIAL: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['Connection', CONNECTIONS],
  ['Connection', CONNECTIONS],
  ['Connection', CONNECTIONS],
  ['Expect', ['100-continue', '100-Continue', '100-continue', 'x', '', '100-continue, x', '100-continue\t']],
  ['Upgrade', UPGRADES],
  ['TE', ['trailers', 'gzip', 'trailers, deflate;q=0.5', '', 'Trailers', 'xtrailers']],
  ['Keep-Alive', ['timeout=5', '']],
  ['Proxy-Connection', ['keep-alive', 'close']],
  ['X-Forwarded-For', ['6.6.6.6', '']],
  ['X-Forwarded-Proto', ['https']],
  ['X-Forwarded-Host', ['evil.example']],
  ['Max-Forwards', ['0', '1', '010', '99999999', '-1', 'a']],
  ['Forwarded', ['for=6.6.6.6']],
  ['Via', ['1.1 x', '']],
  ['HTTP2-Settings', ['AAMAAABkAARAAAAAAAIAAAAA']],
  ['Host', ['b.example', '']],
  ['Content-Length', LENGTHS],
  ['Transfer-Encoding', CODINGS],
];

/** Adds the fields that frame a body to the lines of the head, and returns its parts. */
function drawBody(draw: Draw, method: string, lines: string[]): Part[] {
  const likely = method !== 'GET' && method !== 'HEAD';
  if (!draw.chance(likely ? 0.75 : 0.1)) return [];
  const text = data(draw);
  if (draw.chance(0.05)) lines.push(field(draw, 'Connection', 'Upgrade'), field(draw, 'Upgrade', draw.one(UPGRADES)));
  if (draw.chance(0.5)) {
    const length = draw.chance(0.9) ? String(text.length) : `0${text.length}`;
    lines.push(field(draw, 'Content-Length', length));
    return [{ kind: 'data', text }];
  }
  lines.push(field(draw, 'Transfer-Encoding', draw.chance(0.9) ? 'chunked' : anyCase(draw, 'chunked')));
  return chunks(draw, text);
}

function shuffle(draw: Draw, lines: string[]): void {
  for (let i = lines.length - 1; i > 0; i--) {
    const j = draw.below(i + 1);
    [lines[i], lines[j]] = [lines[j] ?? '', lines[i] ?? ''];
  }
}
