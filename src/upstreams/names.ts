/**
 * The addresses of upstreams that are given by name. There is one lookup per name at a time, shared by all connections
 * that wait for it, and the last good answer is used if a lookup fails or hangs. Nothing else is cached: a new
 * connection begins a lookup unless one is in progress, so a name that moves is followed. A name's addresses depend on
 * nothing but the name, so all pools of a balancer share one instance.
 */
import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import net, { type LookupFunction } from 'node:net';
import { lacksResources } from './connect-failure.ts';

/** Receives the outcome of a lookup: an error, or at least one address. */
type Found = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void;
/** Looks up all addresses of a name. */
export type Find = (name: string, found: Found) => void;

/** The machine's lookup. Goes through the module object, so that it honours a replaced `dns.lookup`. */
export const systemFind: Find = (name, found) => {
  dns.lookup(name, { all: true }, (error, addresses) => {
    if (error === null) found(null, addresses);
    else {
      lack((lacking) => {
        found(lacking ?? error, []);
      });
    }
  });
};

/**
 * Whether a file descriptor is available; `told` gets the error if not. Without one, glibc can neither read its files
 * nor ask a name server, and reports that the name is unknown.
 */
export function lack(told: (error: NodeJS.ErrnoException | undefined) => void): void {
  // Nothing listens there and nothing is sent: this only takes a descriptor for a moment.
  const socket = net.connect({ path: '/' });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    told(lacksResources(error) ? error : undefined);
  });
}

/** The names that one balancer looks up. */
export class Names {
  readonly #find: Find;
  readonly #now: () => number;
  readonly #names = new Map<string, Name>();
  /** Lookups that wait for a slot, in the order of the first connection that needs them. */
  readonly #queue: Name[] = [];
  readonly #running: Name[] = [];
  #forgetAt: number;

  /** `now` gives monotonic milliseconds. */
  constructor(find: Find, now: () => number) {
    this.#find = find;
    this.#now = now;
    this.#forgetAt = now() + STALE_MS;
  }

  /** For the option `lookup` of `net.connect` and `tls.connect`. */
  readonly lookup: LookupFunction = (host, options, callback) => {
    this.#resolve(host, (error, all) => {
      const addresses = ofFamily(all, options.family);
      const [first] = addresses;
      if (error !== null || first === undefined) callback(error ?? notFound(host), '', 0);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };

  /** Answers those who wait for an overdue lookup with the last good answer, and gives its slot to another. */
  sweep(now: number): void {
    for (const name of [...this.#running, ...this.#queue]) {
      if (name.overdue || now - name.askedAt < PATIENCE_MS) continue;
      name.overdue = true;
      if (usable(name, now, undefined)) tell(name, null, name.addresses);
    }
    this.#next();
    if (now < this.#forgetAt) return;
    this.#forgetAt = now + STALE_MS;
    for (const name of this.#names.values()) {
      if (!name.asked && !usable(name, now, undefined)) this.#names.delete(name.text);
    }
  }

  #resolve(text: string, found: Found): void {
    let name = this.#names.get(text);
    if (name === undefined) {
      name = new Name(text);
      this.#names.set(text, name);
    }
    const now = this.#now();
    if (name.overdue && usable(name, now, undefined)) {
      const { addresses } = name;
      // The caller does not expect an answer before this returns.
      process.nextTick(found, null, addresses);
      return;
    }
    name.waiting.push(found);
    if (name.asked) return;
    name.asked = true;
    name.askedAt = now;
    this.#queue.push(name);
    this.#next();
  }

  /** Starts lookups while there are slots. One that hangs does not count: libuv may have threads left. */
  #next(): void {
    while (this.#queue.length > 0) {
      let busy = 0;
      for (const name of this.#running) if (!name.overdue) busy++;
      if (busy >= MAX_RUNNING) return;
      const name = this.#queue.shift();
      if (name !== undefined) this.#start(name);
    }
  }

  #start(name: Name): void {
    this.#running.push(name);
    const found: Found = (error, addresses) => {
      const at = this.#running.indexOf(name);
      if (at < 0) return;
      this.#running.splice(at, 1);
      this.#found(name, error, addresses);
    };
    try {
      this.#find(name.text, found);
    } catch (cause) {
      process.nextTick(found, cause, []);
    }
  }

  #found(name: Name, error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]): void {
    const now = this.#now();
    name.asked = name.overdue = false;
    this.#next();
    if (error === null && addresses.length > 0) {
      name.addresses = addresses;
      name.foundAt = now;
      tell(name, null, addresses);
    } else if (usable(name, now, error)) tell(name, null, name.addresses);
    else tell(name, error ?? notFound(name.text), []);
  }
}

/** A name, and what is known about it. */
class Name {
  readonly text: string;
  /** Those of the last good answer. */
  addresses: readonly LookupAddress[] = [];
  foundAt = -Infinity;
  /** Whether a lookup is in progress, or waits for a slot. */
  asked = false;
  askedAt = 0;
  /** Whether that takes so long that an earlier answer, if there is one, is used instead. */
  overdue = false;
  waiting: Found[] = [];

  constructor(text: string) {
    this.text = text;
  }
}

/** Whether the last good answer may be used, after an `error` or while there is no answer. */
function usable({ foundAt }: Name, now: number, error: NodeJS.ErrnoException | null | undefined): boolean {
  return now - foundAt <= (error?.code === 'ENOTFOUND' ? GONE_MS : STALE_MS);
}

function tell(name: Name, error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]): void {
  const { waiting } = name;
  name.waiting = [];
  for (const found of waiting) found(error, addresses);
}

function ofFamily(addresses: readonly LookupAddress[], wanted: LookupOptions['family']): LookupAddress[] {
  const family = wanted === 'IPv4' ? 4 : wanted === 'IPv6' ? 6 : wanted;
  return addresses.filter((address) => family === undefined || family === 0 || address.family === family);
}

function notFound(name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', syscall: 'getaddrinfo' });
}

/** Lookups at a time: libuv allows them half of its threads, of which there are four by default. */
const MAX_RUNNING = 2;
/** How long a lookup may take before an earlier answer is used. Resolvers try again after 5 s. */
const PATIENCE_MS = 1_000;
/** For how long the last good answer is used if there is no other. */
const STALE_MS = 600_000;
/** The same if the name no longer exists: its addresses may soon belong to someone else. */
const GONE_MS = 30_000;
