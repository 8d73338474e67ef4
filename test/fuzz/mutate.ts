/**
 * Breaks messages as attackers, and broken senders, do: in their parts, then in their bytes.
 */
import type { Draw } from './draw.ts';
import { anyCase, chunks, CODINGS, data, field, LENGTHS, type Part, plainField, textOf } from './parts.ts';

/** The text of the parts after none to three mutations. */
export function mutated(draw: Draw, parts: Part[]): string {
  const way = draw.below(20);
  const count = way < 8 ? 0 : way < 15 ? 1 : way < 18 ? 2 : 3;
  let ofBytes = 0;
  for (let i = 0; i < count; i++) {
    if (draw.chance(0.35)) ofBytes++;
    else mutateParts(draw, parts);
  }
  let text = textOf(parts);
  for (let i = 0; i < ofBytes; i++) text = mutateBytes(draw, text);
  return text;
}

function mutateParts(draw: Draw, parts: Part[]): void {
  const at = draw.below(parts.length);
  const part = parts[at];
  if (part === undefined) return;
  const { kind, text } = part;
  switch (draw.below(13)) {
    case 0:
      parts.splice(draw.chance(0.7) ? at : draw.below(parts.length), 0, part);
      break;
    case 1:
      parts.splice(at, 1);
      break;
    case 2: {
      const other = draw.below(parts.length);
      [parts[at], parts[other]] = [parts[other] ?? part, part];
      break;
    }
    case 3:
      parts[at] = { kind, text: resized(draw, text) };
      break;
    case 4:
    case 5:
      parts[at] = { kind, text: text.replace(/\r\n$/, draw.one(LINE_ENDS)) };
      break;
    case 6:
    case 7:
      parts[at] = { kind, text: renumbered(draw, text, kind === 'size' ? /^[0-9a-f]+/i : /\d+/) };
      break;
    case 8:
      parts[at] = { kind, text: anyCase(draw, text) };
      break;
    case 9:
      parts[at] = { kind, text: text.replace(/:[ \t]*|;| /, draw.one(SEPARATORS)) };
      break;
    case 10:
      parts.splice(at, 0, { kind: 'field', text: draw.chance(0.3) ? plainField(draw) : framing(draw) });
      break;
    case 11:
      if (kind === 'start') parts[at] = { kind, text: text.replace(/HTTP\/1\.[01]/, draw.one(VERSIONS)) };
      else parts.splice(at, 0, { kind: 'field', text: draw.one(ODD_LINES) });
      break;
    default:
      if (draw.chance(0.5)) parts.splice(at, 0, ...chunks(draw, data(draw)));
      else parts.splice(at, 0, { kind: 'data', text: data(draw) });
  }
}

const LINE_ENDS = [
  '\n', '\r', '\r\r\n', '\n\r', '', ' \r\n', '\t\r\n', '\x00\r\n', '\r\n ', '\r\n\t', '\n\n', '\x0b\r\n', '\r \n',
  '\r\n\r\n',
];
const SEPARATORS = [
  ' : ', '\t:', ':\x0b', ':\x00', ':\r\n ', '::', '', '\x0b', '  ', '\t', '\r', '\x0c', ': ,', ';', ' ;', '; ',
  '\x7f', ':\n', ' :',
];
const VERSIONS = [
  'HTTP/1.0', 'HTTP/1.1', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'HTTP/1.10', 'HTTP/01.1', 'http/1.1', 'HTTP/1,1',
  'HTTP/1.1 ', 'HTTP/11',
  'HTTP/1', 'HTTP/', '', 'HTTPS/1.1', 'HTTP /1.1', 'HTTP/1.1\t', 'ICE/1.0', 'RTSP/1.0', 'HTTP/3.0', 'HTTP/1. 1',
  'HTTP/1.\xb1', 'HTTP/9.9',
];
const ODD_LINES = [
  ' folded\r\n', '\tfolded\r\n', ':\r\n', ': v\r\n', 'x\r\n', '\r\n', '\n', '\r', '0\r\n\r\n', 'a b: c\r\n',
  'x: \r\r\n', ' \r\n', '\x00: x\r\n',
  'Content-Length\r\n', 'Content-Length:\r\n', 'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer-Encoding:\n\tchunked\r\n', '\xe9: x\r\n',
  'Content-Length: 5\rTransfer-Encoding: chunked\r\n', 'x: y\nTransfer-Encoding: chunked\r\n', 'Host : x\r\n',
  '(x): y\r\n', '"x": y\r\n',
];

function framing(draw: Draw): string {
  return draw.chance(0.5)
    ? field(draw, 'Content-Length', draw.one(LENGTHS))
    : field(draw, draw.chance(0.9) ? 'Transfer-Encoding' : 'Transfer-Encoding ', draw.one(CODINGS));
}

function resized(draw: Draw, text: string): string {
  const at = draw.below(text.length + 1);
  if (draw.chance(0.4)) return text.slice(0, at) + text.slice(at + 1 + draw.below(8));
  // Now and then beyond the limit of a line or a head.
  const length = draw.chance(0.03) ? draw.one([8_150, 16_300, 20_000]) : 1 + draw.below(draw.chance(0.9) ? 12 : 300);
  return text.slice(0, at) + draw.one(['a', '0', ' ', '\t', '/', ',', '\xe9', '\r\n']).repeat(length) + text.slice(at);
}

/** The text with its first number, as `pattern` finds it, changed, or written in a dubious way. */
function renumbered(draw: Draw, text: string, pattern: RegExp): string {
  const digits = pattern.exec(text)?.[0];
  if (digits === undefined) return text;
  const value = parseInt(digits, 16);
  const other = draw.one([
    (value + 1).toString(16), Math.max(0, value - 1).toString(16), `0${digits}`,
    '0'.repeat(1 + draw.below(20)) + digits,
    `+${digits}`, `-${digits}`, `0x${digits}`, ` ${digits}`, `${digits} `, `\t${digits}`, `${digits}\t`,
    `${digits},${digits}`,
    `${digits}, ${value + 1}`, `${digits} ${digits}`, `1${'0'.repeat(16)}${digits}`, `ffffffff${digits}`,
    `fffffffffffffff${digits}`,
    '', `${digits}_`, `${digits}.0`, `${digits}h`, `${digits};`, digits.toUpperCase(), `\x00${digits}`, `${digits}\x0b`,
    String.fromCharCode(0xb0 + (value & 0xf)), `${digits}\xa0`,
  ]);
  return text.replace(digits, () => other);
}

const BYTES = '\r\n \t:,;0\x00\x0b\x7f\x80\xff\x85\xa0/?#"\\=5aZ\x0c\x1f@[-_+.';

function mutateBytes(draw: Draw, text: string): string {
  const at = draw.below(text.length + 1);
  const before = text.slice(0, at);
  switch (draw.below(9)) {
    case 0:
      return before + String.fromCharCode((text.charCodeAt(at) & 0xff) ^ (1 << draw.below(8))) + text.slice(at + 1);
    case 1:
      return before + String.fromCharCode(draw.below(256)) + text.slice(at + 1);
    case 2:
      return before + oneByte(draw) + text.slice(at + 1);
    case 3:
      return before + oneByte(draw) + text.slice(at);
    case 4:
      return before + text.slice(at + 1);
    case 5: {
      // Around the end of a line, where each byte matters most.
      const line = text.indexOf('\r\n', at);
      if (line < 0) return before;
      const near = line + draw.below(3);
      return text.slice(0, near) + oneByte(draw) + text.slice(near + draw.below(2));
    }
    case 6: {
      const length = 1 + draw.below(20);
      return before + text.slice(at, at + length) + text.slice(at);
    }
    case 7: {
      const from = draw.below(text.length + 1);
      return before + text.slice(from, from + draw.below(40)) + text.slice(at + draw.below(10));
    }
    default:
      return before;
  }
}

function oneByte(draw: Draw): string {
  return BYTES.charAt(draw.below(BYTES.length));
}
