/**
 * What goes wrong with a server, and when.
 */

import { shown } from '../options/checks.ts';

/** Something that is wrong with one server from `fromMs` to `toMs` (default: until the end). */
export interface Fault {
  /** The index of the server. */
  readonly server: number;
  readonly fromMs: number;
  readonly toMs?: number;
  /**
   * `slow`: work that arrives takes `factor` times as long. `stopped`: nothing moves, as in a garbage collection or a
   * stopped process; what is there waits. `down`: connections are refused. `failing`: a `share` (default 1) of the
   * requests is answered with `status` (default 500) after `afterMs` (default 1), without waiting for others: errors
   * that are fast.
   */
  readonly kind: 'slow' | 'stopped' | 'down' | 'failing';
  readonly factor?: number;
  readonly status?: number;
  readonly afterMs?: number;
  readonly share?: number;
  /** Repeats the fault this long after its beginning, again and again: flapping, or pauses of a collector. */
  readonly everyMs?: number;
}

/** What is wrong with a server now. */
export interface Trouble {
  readonly slow: number;
  readonly stopped: boolean;
  readonly down: boolean;
  readonly failing: { readonly status: number; readonly afterMs: number; readonly share: number } | undefined;
}

/** The faults of one server, as they come and go. */
export class Troubles {
  readonly #current = new Set<Fault>();

  begin(fault: Fault): void {
    this.#current.add(fault);
  }

  end(fault: Fault): void {
    this.#current.delete(fault);
  }

  /** Those that are current, taken together. */
  get now(): Trouble {
    let slow = 1;
    let stopped = false;
    let down = false;
    let failing: Trouble['failing'];
    for (const fault of this.#current) {
      if (fault.kind === 'slow') slow *= fault.factor ?? 10;
      else if (fault.kind === 'stopped') stopped = true;
      else if (fault.kind === 'down') down = true;
      else failing = { status: fault.status ?? 500, afterMs: fault.afterMs ?? 1, share: fault.share ?? 1 };
    }
    return { slow, stopped, down, failing };
  }
}

/** Lists what is wrong with a fault; nothing if it is sound. */
export function faultProblems(fault: Fault, path: string, servers: number): string[] {
  const problems: string[] = [];
  const { server, fromMs, toMs = Infinity, kind, factor = 10, everyMs = Infinity, share = 1, afterMs = 1 } = fault;
  const must = (good: boolean, name: string, rule: string, value: unknown): void => {
    if (!good) problems.push(`${path}.${name}: must be ${rule} (got ${shown(value)})`);
  };
  must(Number.isInteger(server) && server >= 0 && server < servers, 'server', `an index below ${servers}`, server);
  must(fromMs >= 0 && fromMs < Infinity, 'fromMs', 'a number ≥ 0', fromMs);
  must(toMs > fromMs, 'toMs', 'a number > fromMs', toMs);
  must(KINDS.includes(kind), 'kind', `one of ${KINDS.join(', ')}`, kind);
  must(factor > 0 && factor < Infinity, 'factor', 'a number > 0', factor);
  must(share > 0 && share <= 1, 'share', 'in (0, 1]', share);
  must(afterMs >= 0 && afterMs < Infinity, 'afterMs', 'a number ≥ 0', afterMs);
  must(everyMs > toMs - fromMs, 'everyMs', 'longer than the fault, toMs - fromMs', everyMs);
  return problems;
}

const KINDS: readonly string[] = ['slow', 'stopped', 'down', 'failing'] satisfies Fault['kind'][];
