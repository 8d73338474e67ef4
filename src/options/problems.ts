/**
 * Turns the problems that checks have collected into one error.
 */
import { BalancerError } from '../errors.ts';
import { messageOf } from '../guard.ts';

/** Returns what `read` returns. Throws OPTIONS_INVALID if it found problems, listing all of them. */
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

/** The problem of an object that cannot be read: it has a getter that throws, or is a Proxy. */
export function unreadable(path: string, cause: unknown): string {
  return `${path}: reading it threw: ${messageOf(cause)}`;
}

export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw invalid(problems);
}

export function invalid(problems: readonly string[]): BalancerError {
  return new BalancerError('OPTIONS_INVALID', `invalid options:\n${problems.map((line) => `  ${line}`).join('\n')}`);
}
