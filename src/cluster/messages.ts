/**
 * What the primary and a worker say to each other, over the channel of node:cluster. Messages of others on the same
 * channel are left alone.
 */

/**
 * A worker: `started` when `run` is done, `ready` when it has heard back; `alive`, `draining`, `drained`, `failed`.
 * The primary: `check` in return to `started`, `drain`.
 */
export type Word = 'started' | 'check' | 'ready' | 'alive' | 'drain' | 'draining' | 'drained' | 'failed';

export interface Message {
  readonly equipoise: Word;
  readonly text?: string;
}

/** The message, if it is one of these. */
export function asMessage(value: unknown): Message | undefined {
  const isOne = typeof value === 'object' && value !== null && 'equipoise' in value
    && WORDS.includes((value as Message).equipoise);
  return isOne ? value as Message : undefined;
}

const WORDS: readonly Word[] = ['started', 'check', 'ready', 'alive', 'drain', 'draining', 'drained', 'failed'];
