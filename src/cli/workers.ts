/**
 * Serves in workers: what the primary does, and what a worker does.
 */
import cluster from 'node:cluster';
import { launch } from '../cluster/index.ts';
import type { Arguments } from './arguments.ts';
import { type Configuration, configure } from './config.ts';
import { log, say } from './output.ts';
import type { PidFile } from './pid-file.ts';
import type { Beginning } from './run.ts';
import { serve } from './serve.ts';

/** A worker that answers nobody for so long will not come back by itself. */
const HUNG_TIMEOUT_MS = 10_000;
/** What a worker has beyond the drain timeout to cut what is left by itself, and say so. */
const CUT_GRACE_MS = 1_000;

/** In the primary: has workers serve until it is told to stop. Resolves with the exit code. */
export function supervise(
  _args: Arguments, configuration: Configuration, pidFile: PidFile, { signals, started }: Beginning,
): Promise<number> {
  const { workers = 'auto', drainTimeoutMs } = configuration;
  signals.leave();
  let line: unknown;
  cluster.on('message', (_worker, told: { readonly line?: unknown } | undefined) => {
    line ??= told?.line;
  });
  return launch(() => () => undefined, {
    workers,
    drainTimeoutMs: drainTimeoutMs + CUT_GRACE_MS,
    hungTimeoutMs: HUNG_TIMEOUT_MS,
    log,
    onEvent: ({ type }) => {
      if (type !== 'launched') return;
      pidFile.write(configuration.pidFile);
      started();
      say(String(line));
    },
  });
}

/** In a worker: serves until it is told to stop. Resolves with the exit code. */
export async function work(args: Arguments, { started }: Beginning): Promise<number> {
  const configuration = await configure(args, []);
  const { drainTimeoutMs } = configuration;
  return await launch(async ({ channel }) => {
    const serving = await serve(configuration, { demo: args.demo, log, peers: channel('upstreams') });
    process.send?.({ line: serving.line });
    started();
    return () => serving.close({ timeoutMs: drainTimeoutMs, delayMs: 0 });
  }, {
    drainTimeoutMs: drainTimeoutMs + CUT_GRACE_MS,
    hungTimeoutMs: HUNG_TIMEOUT_MS,
    log,
  });
}
