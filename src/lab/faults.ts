/**
 * What goes wrong with a server, and when.
 */
import { isRecord, onlyKnown, shown } from '../options/checks.ts';

/** Something that is wrong with one server from `fromMs` to `toMs` (default: until the end). */
export interface Fault {
  /** The index of the server. */
  readonly server: number;
  readonly fromMs: number;
  readonly toMs?: number;
  /**
   * `slow`: work that arrives takes `factor` times as long. `cold`: the same, and the excess shrinks to 37% with every
   * `warmMs`, and with every `warmRequests` that arrive: a process that has just started, a cache that is empty.
   * `stopped`: nothing moves, as in a garbage collection or a stopped process; what is there waits. `down`: connections
   * are refused. `failing`: a `share` (default 1) of the requests is answered with `status` (default 500) after
   * `afterMs` (default 1), without waiting for others: errors that are fast. `removed`: the balancers remove it from
   * their pools, which drains it, and add it again at the end, as in a deploy. `drained`: they take it out of service
   * by `drain`, and back by `activate`.
   */
  readonly kind: 'slow' | 'cold' | 'stopped' | 'down' | 'failing' | 'removed' | 'drained';
  /** Default 10. */
  readonly factor?: number;
  readonly warmMs?: number;
  readonly warmRequests?: number;
  readonly status?: number;
  readonly afterMs?: number;
  readonly share?: number;
  /** Repeats the fault this long after its beginning, again and again: flapping, or pauses of a collector. */
  readonly everyMs?: number;
}

/** What is wrong with a server now. */
export interface Trouble {
  readonly slow: number;
  readonly cold: Fault | undefined;
  readonly stopped: boolean;
  readonly down: boolean;
  readonly failing: { readonly status: number; readonly afterMs: number; readonly share: number } | undefined;
  readonly removed: boolean;
  readonly drained: boolean;
}

/** The faults of one server, as they come and go. */
export class Troubles {
  readonly #current = new Set<Fault>();

  begin(fault: Fault): void {
    // The one that began last counts where only one can.
    this.#current.delete(fault);
    this.#current.add(fault);
  }

  end(fault: Fault): void {
    this.#current.delete(fault);
  }

  /** Those that are current, taken together. */
  get now(): Trouble {
    const all = [...this.#current];
    const has = (kind: Fault['kind']): boolean => all.some((fault) => fault.kind === kind);
    const last = (kind: Fault['kind']): Fault | undefined => all.findLast((fault) => fault.kind === kind);
    const failing = last('failing');
    return {
      slow: all.reduce((slow, { kind, factor = 10 }) => (kind === 'slow' ? slow * factor : slow), 1),
      cold: last('cold'),
      stopped: has('stopped'),
      down: has('down'),
      failing: failing && { status: failing.status ?? 500, afterMs: failing.afterMs ?? 1, share: failing.share ?? 1 },
      removed: has('removed'),
      drained: has('drained'),
    };
  }
}

/** How many times as long work takes at a server that has been cold for `ms`, and got so many `requests` since. */
export function coldFactor({ factor = 10, warmMs = Infinity, warmRequests = Infinity }: Fault, ms: number,
  requests: number): number {
  return 1 + (factor - 1) * Math.exp(-ms / warmMs - requests / warmRequests);
}

/** Lists what is wrong with a fault; nothing if it is sound. */
export function faultProblems(fault: unknown, path: string, servers: number): string[] {
  if (!isRecord(fault)) return [`${path}: must be an object (got ${shown(fault)})`];
  const problems: string[] = [];
  onlyKnown(fault, `${path}.`, KNOWN, problems);
  const { server, fromMs, toMs = Infinity, kind, warmMs, warmRequests, everyMs } = fault as unknown as Fault;
  const must = (good: boolean, name: keyof Fault, rule: string): void => {
    if (!good) problems.push(`${path}.${name}: must be ${rule} (got ${shown(fault[name])})`);
  };
  const number = (name: keyof Fault, least: number, most: number, rule: string): void => {
    const value = fault[name];
    must(value === undefined || (typeof value === 'number' && value >= least && value <= most), name, rule);
  };
  must(Number.isInteger(server) && server >= 0 && server < servers, 'server', `an index below ${servers}`);
  must(typeof fromMs === 'number' && fromMs >= 0 && fromMs < Infinity, 'fromMs', 'a number ≥ 0');
  must(typeof toMs === 'number' && toMs > fromMs, 'toMs', 'a number > fromMs');
  must(KINDS.includes(kind), 'kind', `one of ${KINDS.join(', ')}`);
  number('factor', Number.MIN_VALUE, Number.MAX_VALUE, 'a number > 0');
  number('warmMs', Number.MIN_VALUE, Infinity, 'a number > 0');
  number('warmRequests', Number.MIN_VALUE, Infinity, 'a number > 0');
  number('share', Number.MIN_VALUE, 1, 'in (0, 1]');
  number('status', 100, 599, 'a status from 100 to 599');
  number('afterMs', 0, Number.MAX_VALUE, 'a number ≥ 0');
  if (everyMs !== undefined) {
    must(typeof everyMs === 'number' && everyMs > toMs - fromMs, 'everyMs', 'longer than the fault, toMs - fromMs');
  }
  if (kind === 'cold' && warmMs === undefined && warmRequests === undefined) {
    problems.push(`${path}: a cold server needs warmMs or warmRequests; without either, it is slow`);
  }
  return problems;
}

const KINDS: readonly string[] = [
  'slow', 'cold', 'stopped', 'down', 'failing', 'removed', 'drained',
] satisfies Fault['kind'][];
const KNOWN: ReadonlySet<string> = new Set<keyof Fault>([
  'server', 'fromMs', 'toMs', 'kind', 'factor', 'warmMs', 'warmRequests', 'status', 'afterMs', 'share', 'everyMs',
]);
