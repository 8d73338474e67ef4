/**
 * A header line that a strategy adds to a response.
 */
import { shown } from '../options/checks.ts';
import { isToken, trimmedValue, valueProblem, writeProblem } from '../options/header-rules.ts';

/** The line with its CRLF. Throws TypeError for what may not be sent. */
export function responseLine(name: unknown, value: unknown): string {
  if (typeof name !== 'string' || !isToken(name)) {
    throw new TypeError(`a header name must be a token such as 'set-cookie' (got ${shown(name)})`);
  }
  const fixed = writeProblem(name.toLowerCase(), 'response');
  if (fixed !== undefined) throw new TypeError(`header "${name}" cannot be added: it ${fixed}`);
  if (typeof value !== 'string') throw new TypeError(`header "${name}" must be a string (got ${shown(value)})`);
  const text = trimmedValue(value);
  const problem = valueProblem(text);
  if (problem !== undefined) throw new TypeError(`header "${name}" ${problem}`);
  return `${name}: ${text}\r\n`;
}
