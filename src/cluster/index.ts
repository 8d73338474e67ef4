/**
 * The public names of equipoise/cluster.
 */
export { type DrainOptions, drainServer } from './drain-server.ts';
export type { LaunchEvent } from './events.ts';
export { type Drain, launch, type Launched, type Run } from './launch.ts';
export type { LaunchOptions } from './options.ts';
export type { WorkerInfo, WorkerState } from './worker-state.ts';
