/**
 * Response fields in the forms that Node's servers accept.
 */
import { fieldPairs } from '../http1/fields.ts';

/** All values of one field, with its name as first spelt. */
export interface Field {
  readonly name: string;
  readonly values: readonly string[];
}

/** A block of field lines as the flat list of names and values that `writeHead` of node:http takes. */
export function flatFields(block: string): string[] {
  const flat = fieldPairs(block);
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (name.length === CONTENT_DISPOSITION.length && name.toLowerCase() === CONTENT_DISPOSITION) {
      return withLengthLast(flat);
    }
  }
  return flat;
}

/** The fields of a block by lower-case name, Content-Length last: see {@link withLengthLast}. */
export function fieldsByName(block: string): Map<string, Field> {
  const fields = new Map<string, { readonly name: string; readonly values: string[] }>();
  const flat = withLengthLast(fieldPairs(block));
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? '';
    const value = flat[i + 1] ?? '';
    const field = fields.get(name.toLowerCase());
    if (field === undefined) fields.set(name.toLowerCase(), { name, values: [value] });
    else field.values.push(value);
  }
  return fields;
}

/**
 * Moves Content-Length to the end. node:http re-encodes a Content-Disposition that follows it, which changes octets
 * above 0x7f (Node.js issue 46528).
 */
function withLengthLast(flat: string[]): string[] {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i]?.toLowerCase() === 'content-length') {
      flat.push(...flat.splice(i, 2));
      break;
    }
  }
  return flat;
}

const CONTENT_DISPOSITION = 'content-disposition';
