/**
 * The public names of equipoise/cluster.
 */
export type { Channel, ChannelMember, ChannelSeat } from '../channel.ts';
export type { ListenOptions } from '../options/listen.ts';
export type { WorkerCandidate } from '../strategy.ts';
export type { DrainLimit } from './drain/deadline.ts';
export { type DrainOptions, drainServer } from './drain/drain-server.ts';
export type { LaunchEvent } from './events.ts';
export { launch } from './launch.ts';
export type { Launched } from './launched.ts';
export type { LaunchOptions } from './options.ts';
export type { ReloadOptions } from './reload-options.ts';
export type { Drain, Run, RunContext } from './run.ts';
export type { WorkerInfo, WorkerState } from './supervise/worker-info.ts';
