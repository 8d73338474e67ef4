/**
 * Responses drawn from a grammar: most are valid, with interim ones before them and, now and then, surplus after them.
 */
import type { Draw } from './draw.ts';
import { anyCase, chunks, CODINGS, CONNECTIONS, data, field, LENGTHS, type Part, plainField } from './parts.ts';

/** The parts of what an upstream sends for one request. */
export function drawResponses(draw: Draw, method: string, upgrade: boolean): Part[] {
  const parts: Part[] = [];
  if (draw.chance(0.2)) {
    for (let count = 1 + draw.below(draw.chance(0.95) ? 2 : 40); count > 0; count--) parts.push(...interim(draw));
  }
  parts.push(...drawResponse(draw, method, upgrade));
  if (draw.chance(0.08)) {
    if (draw.chance(0.5)) parts.push(...drawResponse(draw, method, false));
    else parts.push({ kind: 'data', text: draw.one(['\r\n', '\n', 'x', '\x00', 'HTTP/1.1', '0\r\n\r\n', ' ']) });
  }
  return parts;
}

function drawResponse(draw: Draw, method: string, upgrade: boolean): Part[] {
  const switches = upgrade ? draw.chance(0.6) : draw.chance(0.01);
  const status = switches ? '101' : draw.chance(0.6) ? '200' : draw.one(STATUSES);
  const version = draw.chance(0.88) ? 'HTTP/1.1' : 'HTTP/1.0';
  const lines: string[] = [];
  if (draw.chance(0.5)) lines.push(field(draw, 'Date', 'Sun, 06 Nov 1994 08:49:37 GMT'));
  for (let more = draw.below(4); more > 0; more--) lines.push(plainField(draw));
  if (draw.chance(0.3)) lines.push(special(draw));
  if (draw.chance(0.06)) lines.push(special(draw));
  if (switches) lines.push(field(draw, 'Connection', 'Upgrade'), field(draw, 'Upgrade', 'websocket'));
  const body = drawBody(draw, version, lines);
  const none = method === 'HEAD' || status === '204' || status === '304';
  if (draw.chance(0.4)) lines.sort(() => draw.below(3) - 1);
  return [
    { kind: 'start', text: `${version} ${status}${reason(draw)}\r\n` },
    ...lines.map((text): Part => ({ kind: 'field', text })),
    { kind: 'empty', text: '\r\n' },
    ...(none && draw.chance(0.9) ? [] : body),
  ];
}

const STATUSES = [
  '201', '204', '204', '205', '206', '304', '304', '301', '400', '404', '426', '500', '502', '503', '299', '599',
  '600', '999',
  '100', '103', '101', '000', '099', '20', '2000', '2 0', 'abc', '20\xb0', '+20', '-20', '0x2', '',
];

function reason(draw: Draw): string {
  return draw.chance(0.6) ? ' OK' : draw.one([
    '', ' ', '  ', ' Not Found', ' caf\xe9', ' a\tb', ' OK ', ' OK\t', '\t', ' \x01', ' 200', ' HTTP/1.1 200 OK',
    ' a:b', ' \x7f', ' \xff',
    '  OK', ' x'.repeat(20),
  ]);
}

function interim(draw: Draw): Part[] {
  const status = draw.one(['100', '100', '102', '103', '103', '104', '199']);
  const parts: Part[] = [{ kind: 'start', text: `HTTP/1.${draw.chance(0.9) ? 1 : 0} ${status}${reason(draw)}\r\n` }];
  for (let count = draw.below(3); count > 0; count--) {
    parts.push({ kind: 'field', text: draw.chance(0.6) ? plainField(draw) : special(draw) });
  }
  if (status === '103' && draw.chance(0.5)) parts.push({ kind: 'field', text: field(draw, 'Link', draw.one(LINKS)) });
  parts.push({ kind: 'empty', text: '\r\n' });
  return parts;
}

const LINKS = [
  '</a.css>; rel=preload', '</a>; rel=preload, </b>; rel=preload', '<//b.example/>; rel=preconnect; crossorigin',
  '</a>', '</a>; title="a, b"', '</caf\xe9>; rel=preload', '/a; rel=preload', '', '<>',
];

/** A field that the balancer, or Node, acts on. */
function special(draw: Draw): string {
  const [name, values] = draw.one(SPECIAL);
  return field(draw, name, draw.one(values));
}

const SPECIAL: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['Connection', CONNECTIONS],
  ['Connection', CONNECTIONS],
  ['Connection', CONNECTIONS],
  ['Keep-Alive', ['timeout=5', 'timeout=1', 'timeout=0', 'max=1', '']],
  ['Proxy-Connection', ['keep-alive', 'close', 'Close, x', '']],
  ['Upgrade', ['websocket', 'h2c', 'a, b', '']],
  ['TE', ['trailers']],
  ['Via', ['1.1 x', '']],
  ['Trailer', ['X-A']],
  ['Content-Length', LENGTHS],
  ['Transfer-Encoding', CODINGS],
];

/** Adds the fields that frame a body to the lines of the head, and returns its parts; some end with the connection. */
function drawBody(draw: Draw, version: string, lines: string[]): Part[] {
  const text = data(draw);
  const way = draw.below(20);
  if (way < 9) {
    lines.push(field(draw, 'Content-Length', draw.chance(0.9) ? String(text.length) : `0${text.length}`));
    return [{ kind: 'data', text }];
  }
  if (way < 16 && (version === 'HTTP/1.1' || draw.chance(0.2))) {
    lines.push(field(draw, 'Transfer-Encoding', draw.chance(0.9) ? 'chunked' : anyCase(draw, 'chunked')));
    return chunks(draw, text);
  }
  return [{ kind: 'data', text }];
}
