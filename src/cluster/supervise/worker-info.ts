/**
 * What others see of a worker, and why its process ended, in words.
 */

/** `starting`: not ready. `ready`: serves. `draining`: finishes what is in flight. `gone`: its process has ended. */
export type WorkerState = 'starting' | 'ready' | 'draining' | 'gone';

/** A worker at one moment. */
export interface WorkerInfo {
  /** 1, 2, 3, ... in the order in which they started; never used twice in a launch. */
  readonly id: number;
  /** Its process id; undefined if its process could not be started. */
  readonly pid: number | undefined;
  readonly state: WorkerState;
  /** 0 for the workers of the launch, one more after each reload. */
  readonly generation: number;
}

/** How a process ended. Neither a code nor a signal: it never started. */
export interface Death {
  readonly code: number | null;
  readonly signal: string | null;
}

export function whyItDied({ code, signal }: Death): string {
  if (signal === 'SIGKILL') return 'killed by SIGKILL, perhaps out of memory';
  if (signal !== null) return `killed by ${signal}`;
  return code === null ? 'its process could not be started' : `exit code ${code}`;
}
