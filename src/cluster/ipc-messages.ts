/**
 * The messages between the primary and a worker, over the channel of node:cluster. Other messages on that channel are
 * left alone.
 *
 * From a worker: `hello` when it begins, `started` when `run` has resolved, `ready` when that was answered; `alive`,
 * `draining`, `drained` and `failed`, or `unserved` when it failed after it was told to drain; `fault` when the
 * program's code failed and nothing ended; with `dispatch`, `connections` and `load`; with channels, what it `said`.
 *
 * From the primary: `setup` in answer to `hello`, `check` in answer to `started`, `stopping` before a drain, `drain`
 * (again to leave it less time); with `dispatch`, a `connection`; with channels, what it `heard`.
 */
import { isRecord } from '../options/checks.ts';
import type { Heard, Said } from './channels/worker-channels.ts';
import type { ConnectionNews } from './dispatch/dispatcher.ts';

export type MessageType = typeof TYPES[number];

export interface Message {
  readonly equipoise: MessageType;
  readonly text?: string;
  /** With `setup`: the program's `setup`, and how long to drain if no `drain` says otherwise. */
  readonly setup?: unknown;
  readonly drainTimeoutMs?: number;
  /** With `drain`: how long that may take from now on. */
  readonly limitMs?: number;
  /** With `drained`: how many connections were cut. */
  readonly cut?: number;
  /** With `failed`: the Unix socket that the worker could not listen on, since something is there. */
  readonly path?: string;
  readonly connection?: number;
  readonly news?: ConnectionNews;
  readonly load?: number;
  readonly said?: Said;
  readonly heard?: readonly Heard[];
}

/** What a worker did that was told to drain before it served. That is not its failure. */
export const UNSERVED_FAULT = 'told to drain before it served, it failed to start';

/** The message, if it is one of ours. */
export function asMessage(value: unknown): Message | undefined {
  const isOurs = isRecord(value) && (TYPES as readonly unknown[]).includes(value['equipoise']);
  return isOurs ? value as unknown as Message : undefined;
}

const TYPES = [
  'hello', 'setup', 'started', 'check', 'ready', 'alive', 'stopping', 'drain', 'draining', 'drained', 'failed',
  'unserved', 'fault', 'connection', 'connections', 'load', 'said', 'heard',
] as const;
