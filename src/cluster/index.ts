/**
 * The public names of equipoise/cluster.
 */
export type { Channel, ChannelMember, ChannelSeat } from '../channel.ts';
export type { DrainLimit } from './deadline.ts';
export { type DrainOptions, drainServer } from './drain-server.ts';
export type { WorkerCandidate } from '../strategy.ts';
export type { LaunchEvent } from './events.ts';
export { type Drain, launch, type Launched, type Run, type RunContext } from './launch.ts';
export type { ListenOptions } from '../options/listen.ts';
export type { LaunchOptions } from './options.ts';
export type { ReloadOptions } from './supervise/plan.ts';
export type { WorkerInfo, WorkerState } from './supervise/worker-state.ts';
