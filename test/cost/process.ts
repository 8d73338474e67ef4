/**
 * The balancer of `program.ts` in a separate process.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';
import type { Memory, Message } from './program.ts';

const PROGRAM = fileURLToPath(new URL('./program.ts', import.meta.url));

export interface MeasuredBalancer {
  readonly port: number;
  /** What it has allocated and promoted since this was last called. */
  memory(): Promise<Memory>;
}

/** Starts one with these Node flags; it ends with the test. */
export async function startMeasured(
  t: TestContext, flags: readonly string[], front: string, origin: string,
): Promise<MeasuredBalancer> {
  // Coverage would count in each function, and keep V8 from compiling as it does for users.
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  const child = fork(PROGRAM, [front, origin], { env, execArgv: [...flags, '--import', 'tsx'] });
  atEnd(t, async () => {
    const exit = once(child, 'exit');
    child.disconnect();
    await exit;
  });
  const next = async (what: string): Promise<Message> => {
    const [message] = await within(once(child, 'message'), () => what) as [Message];
    return message;
  };
  const started = await next('the balancer to listen');
  assert.ok('port' in started);
  return {
    port: started.port,
    memory: async () => {
      child.send('');
      const memory = await next('the balancer to tell its memory');
      assert.ok('allocatedBytes' in memory);
      return memory;
    },
  };
}
