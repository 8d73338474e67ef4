/**
 * How a check of options ends: with what was read, or with one error that lists every problem.
 */
import { BalancerError } from '../errors.ts';
import { messageOf } from '../guard.ts';

/** What `read` makes of its input. Throws OPTIONS_INVALID with all problems that it found. */
export function checked<T>(read: (problems: string[]) => T): T {
  const problems: string[] = [];
  try {
    const made = read(problems);
    if (problems.length === 0) return made;
  } catch (cause) {
    problems.push(unreadable('options', cause));
  }
  throw invalid(problems);
}

/** The problem of an object with a getter that throws, or of a Proxy. */
export function unreadable(path: string, cause: unknown): string {
  return `${path}: reading this threw: ${messageOf(cause)}`;
}

export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw invalid(problems);
}

export function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `invalid options:\n${problems.map((line) => `  ${line}`).join('\n')}`);
}
