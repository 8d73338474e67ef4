/** Values of the command line: a mistake is reported with what to write instead. */
import { fail } from './terminal.mjs';

/** A list of known names, or `'all'` alone if that is known. */
export function listOf(option, value, known) {
  const names = value.split(',');
  for (const name of names) {
    if (!known.includes(name)) fail(`--${option}: '${name}' is none of ${known.join(', ')}`);
    if (name === 'all' && names.length > 1) fail(`--${option}: 'all' stands alone`);
  }
  return [...new Set(names)];
}

export function whole(option, value, least) {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
  return number >= least ? number : fail(`--${option}: '${value}' is not a whole number of ${least} or more`);
}

/** The values of these options, whole numbers of 1 or more. */
export function counts(values, options) {
  return Object.fromEntries(options.map((option) => [option, whole(option, values[option], 1)]));
}
