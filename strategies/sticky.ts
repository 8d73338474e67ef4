import type { Candidate, PickContext, PickRequest, Strategy, Upstream } from '../src/strategy.ts';

type Context<C> = PickContext<C extends Upstream ? PickRequest : undefined>;

export interface StickyOptions {
  /** The name of the cookie; default `equipoise`. */
  readonly cookie?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default: none, so that the cookie goes to the very host that set it. */
  readonly domain?: string;
  /** Default: none, which browsers take for `lax`. `none` needs `secure`. */
  readonly sameSite?: 'strict' | 'lax' | 'none';
  /** Whether browsers send it over https alone; default false. */
  readonly secure?: boolean;
  /** How long the cookie lasts after it was set. Default: as long as the browser's session. */
  readonly maxAgeSeconds?: number;
  /**
   * A long random text, the same for all that must understand each other's cookies. Without one, those who guess the
   * address of an upstream can check the guess, and choose their upstream. Another one moves all sessions.
   */
  readonly secret?: string;
  /**
   * What a request does if its upstream is at its `maxInFlight`: `wait`, the default, which needs `maxQueued`; or
   * `move`, with its session.
   */
  readonly whenFull?: 'wait' | 'move';
}

/**
 * Keeps each client on its upstream, by a cookie. `inner` picks for new clients, and for those whose upstream is gone,
 * is ejected, or has failed this very request; the response then sets the cookie. An upstream that `drain` took out of
 * service keeps its sessions until it is removed. Put it outside other strategies: `sticky(priority(...))`.
 *
 * The value is a hash of the upstream's id: the same in all workers and after a restart, without anything that they
 * share. `inner` hears of the attempts that it picked, and not of those that stay where they are.
 *
 * What it cannot know: which requests need their upstream, so all get the cookie; and how heavy a session is. After an
 * upstream was added, it gets new clients alone. Clients that keep no cookies are new each time. In layer 4 and for
 * workers there are no cookies, and `inner` picks.
 *
 * Cost of a pick: the search for the cookie, and O(1) in the array of the last `changed`, or if the upstream is
 * draining; O(n) in any other array. `changed` costs O(n), and hashes up to 1,024 newcomers, some 3 µs each; others
 * are hashed at the picks that follow, or when a cookie is not known yet. Source: HAProxy's `cookie insert`; RFC 6265;
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
export function sticky<C extends Candidate = Upstream>(inner: Strategy<C>, options: StickyOptions = {}): Strategy<C> {
  const { cookie: name = 'equipoise', secret = '', whenFull = 'wait' } = options;
  const attributes = attributesOf(name, options);
  if (whenFull as unknown !== 'wait' && whenFull as unknown !== 'move') {
    throw new RangeError(`sticky: whenFull must be 'wait' or 'move' (got ${JSON.stringify(whenFull)})`);
  }
  const key = keyOf(secret);
  let told: readonly C[] | undefined;
  let candidatesTold: ReadonlySet<C> = new Set();
  let members = new Map<string, C>();
  /** Members that are not in the map yet. */
  let newcomers: C[] = [];
  // Weak, so that candidates that are gone can be collected.
  const values = new WeakMap<C, string>();

  const valueOf = (candidate: C): string => {
    let value = values.get(candidate);
    if (value === undefined) values.set(candidate, value = hashed(candidate.id, key));
    return value;
  };
  const enter = (member: C, value: string): void => {
    const other = members.get(value);
    // Two of the same hash, which happens once in 10^11 lists of 10,000: all balancers agree on one of them.
    if (other === undefined || member.id <= other.id) members.set(value, member);
  };
  const enterSome = (most: number): void => {
    for (let done = 0; done < most; done++) {
      const member = newcomers.pop();
      if (member === undefined) return;
      enter(member, valueOf(member));
    }
  };
  const memberOf = (value: string): C | undefined => {
    const member = members.get(value);
    if (member !== undefined || newcomers.length === 0) return member;
    enterSome(newcomers.length);
    return members.get(value);
  };
  /** The one of these to which the client belongs, if it may go there now. */
  const homeOf = (value: string, candidates: readonly C[], context: Context<C>): C | undefined => {
    // Never told: there is no table.
    const home = told === undefined ? candidates.find((each) => valueOf(each) === value) : memberOf(value);
    if (home === undefined) return undefined;
    if (candidates === told ? candidatesTold.has(home) : candidates.includes(home)) return home;
    if (whenFull === 'move' && isFull(home)) return undefined;
    const isIn = (list: readonly Candidate[] | undefined): boolean => list?.includes(home) === true;
    return isIn(context.draining) || (whenFull === 'wait' && isIn(context.full)) ? home : undefined;
  };

  return {
    name: `sticky(${inner.name})`,
    // Also for `move`: an upstream that closed an idle connection keeps its sessions.
    picksFull: true,
    pick(candidates, context) {
      if (newcomers.length > 0) enterSome(SLICE);
      const cookies = context.request?.header('cookie');
      if (cookies !== undefined) {
        for (const value of valuesIn(cookies, name)) {
          const home = homeOf(value, candidates, context);
          if (home === undefined) continue;
          context.note = KEPT;
          return home;
        }
      }
      // Only one that asked for it is asked when all are full.
      if (candidates.length === 0 && inner.picksFull !== true) return undefined;
      const picked = inner.pick(candidates, context);
      if (picked !== undefined) context.respondWith('Set-Cookie', `${name}=${valueOf(picked)}${attributes}`);
      return picked;
    },
    ...(inner.answered !== undefined && {
      answered(candidate, head): void {
        if (head.note !== KEPT) inner.answered?.(candidate, head);
      },
    } satisfies Partial<Strategy<C>>),
    ...(inner.settled !== undefined && {
      settled(candidate, outcome): void {
        if (outcome.note !== KEPT) inner.settled?.(candidate, outcome);
      },
    } satisfies Partial<Strategy<C>>),
    changed(candidates, all = candidates) {
      told = candidates;
      candidatesTold = new Set(candidates);
      members = new Map();
      newcomers = [];
      for (const member of all) {
        const value = values.get(member);
        if (value === undefined) newcomers.push(member);
        else enter(member, value);
      }
      enterSome(AT_ONCE);
      inner.changed?.(candidates, all);
    },
  };
}

/** What follows the value in Set-Cookie. Throws RangeError for what would not make a cookie. */
function attributesOf(
  name: string, { path = '/', domain, sameSite, secure = false, maxAgeSeconds }: StickyOptions,
): string {
  const check = (option: string, value: unknown, isGood: boolean, wanted: string): void => {
    if (!isGood) throw new RangeError(`sticky: ${option} must be ${wanted} (got ${JSON.stringify(value)})`);
  };
  check('cookie', name, /^[!#$%&'*+.^_`|~\w-]+$/.test(name), 'a cookie name without spaces, e.g. "session"');
  check('path', path, /^\/[ -:<-~]*$/.test(path), 'a path that begins with a slash, without semicolons');
  check('domain', domain, domain === undefined || /^[\w.-]+$/.test(domain), 'a host name');
  check('sameSite', sameSite, [undefined, 'strict', 'lax', 'none'].includes(sameSite), '"strict", "lax" or "none"');
  check('secure', secure, sameSite !== 'none' || secure, 'true with sameSite: "none"');
  const isAge = maxAgeSeconds === undefined || (Number.isInteger(maxAgeSeconds) && maxAgeSeconds >= 1);
  check('maxAgeSeconds', maxAgeSeconds, isAge, 'an integer >= 1');
  return [
    `; Path=${path}`,
    domain === undefined ? '' : `; Domain=${domain}`,
    maxAgeSeconds === undefined ? '' : `; Max-Age=${maxAgeSeconds}`,
    '; HttpOnly',
    secure ? '; Secure' : '',
    sameSite === undefined ? '' : `; SameSite=${sameSite === 'none' ? 'None' : sameSite === 'lax' ? 'Lax' : 'Strict'}`,
  ].join('');
}

/**
 * The values of the cookies of this name that may be ours, at most eight: clients send what they like. There are
 * several where cookies were set for several paths or domains (RFC 6265 §4.2.2).
 */
function valuesIn(cookies: string, name: string): readonly string[] {
  const wanted = `${name}=`;
  if (!cookies.includes(wanted)) return NONE;
  const found: string[] = [];
  for (let at = 0; at < cookies.length && found.length < MOST_VALUES;) {
    const semicolon = cookies.indexOf(';', at);
    const end = semicolon < 0 ? cookies.length : semicolon;
    const pair = cookies.slice(at, end).trim();
    at = end + 1;
    if (!pair.startsWith(wanted)) continue;
    const isQuoted = pair.length === wanted.length + LENGTH + 2 && pair[wanted.length] === '"' && pair.endsWith('"');
    const value = isQuoted ? pair.slice(wanted.length + 1, -1) : pair.slice(wanted.length);
    if (value.length === LENGTH) found.push(value);
  }
  return found;
}

function isFull(candidate: Candidate & Partial<Upstream>): boolean {
  const { inFlight, inFlightElsewhere = 0, maxInFlight = Infinity } = candidate;
  return inFlight - inFlightElsewhere >= maxInFlight;
}

/** Two numbers of 64 bits, each as its low and its high half. */
type Key = readonly [number, number, number, number];

function keyOf(secret: string): Key {
  return [...sipHash(`0${secret}`, [0, 0, 0, 0]), ...sipHash(`1${secret}`, [0, 0, 0, 0])];
}

function hashed(id: string, key: Key): string {
  const [low, high] = sipHash(id, key);
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

/** SipHash-2-4 of a text as UTF-16, little-endian: the low and the high half. BigInt would take ten times as long. */
function sipHash(text: string, [k0, k1, k2, k3]: Key): readonly [number, number] {
  const state = new Uint32Array([
    k0 ^ 0x70736575, k1 ^ 0x736f6d65, k2 ^ 0x6e646f6d, k3 ^ 0x646f7261,
    k0 ^ 0x6e657261, k1 ^ 0x6c796765, k2 ^ 0x79746573, k3 ^ 0x74656462,
  ]);
  const { length } = text;
  for (let at = 0; at <= length; at += 4) {
    const isLast = length - at < 4;
    const low = unit(text, at) | (unit(text, at + 1) << 16);
    // The last block ends with the number of octets.
    const high = unit(text, at + 2) | (isLast ? (2 * length) << 24 : unit(text, at + 3) << 16);
    flip(state, 6, low, high);
    rounds(state, 2);
    flip(state, 0, low, high);
  }
  flip(state, 4, 0xff, 0);
  rounds(state, 4);
  let low = 0;
  let high = 0;
  for (let at = 0; at < 8; at += 2) {
    low ^= state[at] ?? 0;
    high ^= state[at + 1] ?? 0;
  }
  return [low >>> 0, high >>> 0];
}

function unit(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : 0;
}

function flip(state: Uint32Array, at: number, low: number, high: number): void {
  state[at] = (state[at] ?? 0) ^ low;
  state[at + 1] = (state[at + 1] ?? 0) ^ high;
}

function rounds(state: Uint32Array, count: number): void {
  for (let round = 0; round < count; round++) {
    mix(state, 0, 2, 13);
    swap(state, 0);
    mix(state, 4, 6, 16);
    mix(state, 0, 6, 21);
    mix(state, 4, 2, 17);
    swap(state, 4);
  }
}

/** Adds `b` to `a`, turns `b` by so many bits, and flips it by `a`. */
function mix(state: Uint32Array, a: number, b: number, bits: number): void {
  const low = state[b] ?? 0;
  const high = state[b + 1] ?? 0;
  const sum = (state[a] ?? 0) + low;
  state[a] = sum;
  state[a + 1] = (state[a + 1] ?? 0) + high + (sum > 0xffffffff ? 1 : 0);
  state[b] = (low << bits) | (high >>> (32 - bits));
  state[b + 1] = (high << bits) | (low >>> (32 - bits));
  flip(state, b, state[a] ?? 0, state[a + 1] ?? 0);
}

/** Turns a number by 32 bits. */
function swap(state: Uint32Array, at: number): void {
  const low = state[at] ?? 0;
  state[at] = state[at + 1] ?? 0;
  state[at + 1] = low;
}

/** The note of an attempt that stays where its client was: the inner strategy does not hear of it. */
const KEPT = Symbol('kept');
const NONE: readonly string[] = [];
/** 64 bits in hexadecimal. */
const LENGTH = 16;
const MOST_VALUES = 8;
const AT_ONCE = 1_024;
const SLICE = 64;
