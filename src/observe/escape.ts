/**
 * Text of a request as part of a line: in visible ASCII, so that no request can end a line, forge one, or write to the
 * terminal of its reader.
 */

/** A JSON string. */
export function jsonText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text).replace(NOT_ASCII, unicode);
}

/** Part of a line in quotes, as nginx writes it: `\x22`. */
export function quotable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(NOT_PLAIN, octets);
}

/** A line that somebody else has made: without control characters. */
export function oneLine(text: string): string {
  return text.replace(LAST_END, '').replace(CONTROL, octets);
}

function unicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Text of a request is latin1: a character is an octet. Others are shown in UTF-8. */
function octets(character: string): string {
  const bytes = Buffer.from(character, character <= '\xff' ? 'latin1' : 'utf8');
  return `\\x${bytes.toString('hex').toUpperCase().match(/../g)?.join('\\x') ?? ''}`;
}

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const NOT_PLAIN = /[^\x20\x21\x23-\x5b\x5d-\x7e]/gu;
const NOT_ASCII = /[\x7f-\uffff]/g;
const LAST_END = /\r?\n$/;
/** All but the tab; C1 and the separators of Unicode end lines or start sequences for some readers. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/gu;
