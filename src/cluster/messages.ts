/**
 * What the primary and a worker say to each other, over the channel of node:cluster. Messages of others on the same
 * channel are left alone.
 */

import type { Heard, Said } from './channels.ts';
import type { ConnectionNews } from './dispatcher.ts';

/**
 * A worker: `started` when `run` is done, `ready` when it has heard back; `alive`, `draining`, `drained`, `failed`.
 * The primary: `check` in return to `started`, `drain`. With `dispatch`: `connection` with a number and the connection
 * itself; the worker tells `connections` and `load`. For channels: a worker has `said` something, and is told what it
 * has `heard`.
 */
export type Word = typeof WORDS[number];

export interface Message {
  readonly equipoise: Word;
  readonly text?: string;
  readonly connection?: number;
  readonly news?: ConnectionNews;
  readonly load?: number;
  readonly said?: Said;
  readonly heard?: readonly Heard[];
}

/** The message, if it is one of these. */
export function asMessage(value: unknown): Message | undefined {
  const isOne = typeof value === 'object' && value !== null && 'equipoise' in value
    && WORDS.includes((value as Message).equipoise);
  return isOne ? value as Message : undefined;
}

const WORDS = [
  'started', 'check', 'ready', 'alive', 'drain', 'draining', 'drained', 'failed', 'connection', 'connections', 'load',
  'said', 'heard',
] as const;
