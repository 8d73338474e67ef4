/**
 * What a program gives to `launch`, and what it gets: types only.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Channel } from '../channel.ts';
import type { DrainLimit } from './drain/deadline.ts';

/**
 * What a worker runs: it starts to serve, and returns how to end that. Either a server of `node:http` (Express's
 * `listen` returns one), which `drainServer` drains, or a function. The worker is ready when `run` has resolved and the
 * server, if any, listens. With `dispatch` the server must not listen; it gets the connections.
 */
export type Run = (context: RunContext) => Server | Drain | Promise<Server | Drain>;

/**
 * Ends what a worker serves: stops accepting, answers what is in flight, and resolves when nothing is left. When
 * `limit.signal` aborts, it is time to cut; a worker that does not end within another second is killed. It may resolve
 * with how many connections it cut, `{ cut }`, as `drainServer` and a balancer's `close` do; the log says so.
 */
export type Drain = (limit: DrainLimit) => unknown;

/** What a worker is given. */
export interface RunContext {
  /**
   * The `setup` of the launch, or of the reload that started this worker. A worker that replaces a dead one gets that
   * of the launch or of the last reload that succeeded.
   */
  readonly setup: unknown;
  /**
   * Aborts when the launch is told to stop, `stopDelayMs` before this worker drains, or when this worker begins to
   * drain for another reason. For readiness probes, which should fail from then on.
   */
  readonly stopping: AbortSignal;
  /** With `dispatch`: `listener` serves the connections that this worker is handed. */
  readonly onConnection: (listener: (socket: Socket) => void) => void;
  /**
   * The channel of this name, on which workers talk to each other through the primary. A worker joins it once. The
   * worker that joined first leads until it drains or dies. While nobody has joined, nothing is sent.
   */
  readonly channel: (name: string) => Channel;
}
