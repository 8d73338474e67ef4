/**
 * Dot segments (RFC 3986 §5.2.4), by which a path means another one than it seems to.
 */

/**
 * Whether the path of a target holds `.` or `..` as a segment for any server that we know of: with `%2e` for a dot,
 * `%2f`, `\` or `%5c` for a slash (Windows, WHATWG's URL), or parameters behind the dots (`..;x`, as Java servers drop
 * them). The query does not count.
 */
export function hasDotSegments(target: string): boolean {
  // Most targets have no dot at all, neither plain nor encoded.
  if (!target.includes('.') && !target.includes('%2')) return false;
  // Dots of the segment so far, -1 where it holds anything else.
  let dots = 0;
  for (let at = 0; at < target.length; at++) {
    let c = target.charCodeAt(at);
    if (c === PERCENT) {
      const decoded = decodedAt(target, at);
      if (decoded !== 0) {
        c = decoded;
        at += 2;
      }
    }
    switch (c) {
      case DOT:
        if (dots >= 0) dots++;
        break;
      case QUERY:
        return dots === 1 || dots === 2;
      case SLASH:
      case BACKSLASH:
        if (dots === 1 || dots === 2) return true;
        dots = 0;
        break;
      case SEMICOLON:
        if (dots === 1 || dots === 2) return true;
        dots = -1;
        break;
      default:
        dots = -1;
    }
  }
  return dots === 1 || dots === 2;
}

/** The dot or the slash that is encoded at `at`, 0 where there is none. */
function decodedAt(target: string, at: number): number {
  const high = target.charCodeAt(at + 1);
  const low = target.charCodeAt(at + 2) | 0x20;
  if (high === TWO) return low === E ? DOT : low === F ? SLASH : 0;
  return high === FIVE && low === C ? BACKSLASH : 0;
}

const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const SEMICOLON = 0x3b;
const QUERY = 0x3f;
const PERCENT = 0x25;
const TWO = 0x32;
const FIVE = 0x35;
const C = 0x63;
const E = 0x65;
const F = 0x66;
