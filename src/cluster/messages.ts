/**
 * What the primary and a worker say to each other, over the channel of node:cluster. Messages of others on the same
 * channel are left alone.
 */

import { isRecord } from '../options/checks.ts';
import type { Heard, Said } from './channels/channels.ts';
import type { ConnectionNews } from './dispatch/dispatcher.ts';

/**
 * A worker: `hello` when it begins, `started` when `run` is done, `ready` when it has heard back; `alive`, `draining`,
 * `drained`, `failed`, and `fault` for code of the program that failed without ending anything.
 * The primary: `setup` in return to `hello`, `check` in return to `started`, `drain` (again for less time), and
 * `stopping` some time before that. With
 * `dispatch`: `connection` with a number and the connection itself; the worker tells `connections` and `load`. For
 * channels: a worker has `said` something, and is told what it has `heard`.
 */
export type Word = typeof WORDS[number];

export interface Message {
  readonly equipoise: Word;
  readonly text?: string;
  /** With `setup`: what the program gave its workers, and how long they may drain unless they are told otherwise. */
  readonly setup?: unknown;
  readonly drainTimeoutMs?: number;
  /** With `drain`: how long that may take from now. */
  readonly limitMs?: number;
  /** With `drained`: how many connections were cut. */
  readonly cut?: number;
  /** With `failed`: the Unix socket that could not be listened on, since something is there. */
  readonly path?: string;
  readonly connection?: number;
  readonly news?: ConnectionNews;
  readonly load?: number;
  readonly said?: Said;
  readonly heard?: readonly Heard[];
}

/** The message, if it is one of these. */
export function asMessage(value: unknown): Message | undefined {
  const isOne = isRecord(value) && (WORDS as readonly unknown[]).includes(value['equipoise']);
  return isOne ? value as unknown as Message : undefined;
}

const WORDS = [
  'hello', 'setup', 'started', 'check', 'ready', 'alive', 'stopping', 'drain', 'draining', 'drained', 'failed', 'fault',
  'connection', 'connections', 'load', 'said', 'heard',
] as const;
