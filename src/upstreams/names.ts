/**
 * Addresses of upstreams that are given by name. Each name is looked up once at a time, for all connections that wait
 * for it, and its last good answer stands in where a lookup fails or hangs. Nothing else is cached: each new connection
 * that finds no lookup under way begins one, so a name that moves is followed.
 */
import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import net, { type LookupFunction } from 'node:net';
import { lacksResources } from './connect-failure.ts';

/** Hears the outcome of a lookup: an error, or at least one address. */
type Found = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void;
/** Looks up all addresses of a name. */
export type Find = (name: string, found: Found) => void;

/** The machine's lookup. By way of the module object, so that programs that replace `dns.lookup` are heeded. */
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
 * Whether there is a descriptor to be had: the error where there is none. Without one, glibc can read neither its files
 * nor ask a name server, and says that it knows no such name.
 */
export function lack(told: (error: NodeJS.ErrnoException | undefined) => void): void {
  // Nobody listens there, and nothing is sent: it takes a descriptor for a moment.
  const socket = net.connect({ path: '/' });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    told(lacksResources(error) ? error : undefined);
  });
}

/** The names of one balancer. */
export class Names {
  readonly #find: Find;
  readonly #now: () => number;
  readonly #names = new Map<string, Name>();
  /** Lookups that wait for a slot, in the order of their first connection. */
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

  /** Gives those who wait for an overdue lookup the last good answer, and its slot to others. */
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
      // Whoever asks is not ready for an answer yet.
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

  /** Starts lookups while there are slots. A lookup that hangs has lost its own: libuv may have threads left. */
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

/** One name, and what is known of it. */
class Name {
  readonly text: string;
  /** Of the last good answer. */
  addresses: readonly LookupAddress[] = [];
  foundAt = -Infinity;
  /** Whether a lookup is under way, or waits for its slot. */
  asked = false;
  askedAt = 0;
  /** Whether that takes so long that it is not waited for any more, where there is an answer from before. */
  overdue = false;
  waiting: Found[] = [];

  constructor(text: string) {
    this.text = text;
  }
}

/** Whether the last good answer may stand in, after an `error` or while there is no answer. */
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

/** Lookups at a time: libuv gives them half of its threads, which are four unless UV_THREADPOOL_SIZE says otherwise. */
const MAX_RUNNING = 2;
/** How long an answer is waited for where there is one from before. Resolvers try again after 5 s. */
const PATIENCE_MS = 1_000;
/** For how long the last good answer stands in where no answer is to be had. */
const STALE_MS = 600_000;
/** And where the answer is that there is no such name (any more): its addresses may soon be somebody else's. */
const GONE_MS = 30_000;
