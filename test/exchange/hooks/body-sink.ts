/**
 * A sink that notes what it is told, and streams to try it with.
 */
import assert from 'node:assert/strict';
import type { TransformSink } from '../../../src/exchange/hooks/body-transform.ts';

/** What a sink was told, in order: texts of pieces, `end`, `failed: ...`, `drained`. */
export class NotingSink implements TransformSink {
  readonly told: string[] = [];
  readonly pieces: Buffer[] = [];
  readonly over: Promise<void>;
  onData: (() => void) | undefined;
  #isOver: () => void = () => undefined;

  constructor() {
    this.over = new Promise((resolve) => { this.#isOver = resolve; });
  }

  data(bytes: Buffer): void {
    assert.ok(bytes.length > 0, 'an empty piece');
    this.pieces.push(bytes);
    this.told.push(bytes.toString('latin1'));
    this.onData?.();
  }

  end(): void {
    this.told.push('end');
    this.#isOver();
  }

  failed(cause: unknown): void {
    this.told.push(`failed: ${cause instanceof Error ? cause.message : String(cause)}`);
    this.#isOver();
  }

  drained(): void {
    this.told.push('drained');
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString('latin1');
  }
}

/** Some turns of the event loop: what can happen without time passing has happened then. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Unhandled rejections while `run` runs, and some turns after it. */
export async function unhandledDuring(run: () => Promise<void>): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  const hear = (cause: unknown): void => { unhandled.push(cause); };
  process.on('unhandledRejection', hear);
  try {
    await run();
    await turns();
  } finally {
    process.off('unhandledRejection', hear);
  }
  return unhandled;
}
