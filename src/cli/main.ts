#!/usr/bin/env node
/**
 * The binary: arguments in, a balancer out, in this process or in workers. The only place that prints or exits.
 */
import cluster from 'node:cluster';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Balancer } from '../balancer.ts';
import { launch } from '../cluster/index.ts';
import { type Arguments, readArguments, USAGE } from './arguments.ts';
import { type Configuration, configure } from './config.ts';

const FAILED = 1;
const WRONG_USAGE = 2;
/** A worker that answers nobody for so long will not come back by itself. */
const HUNG_TIMEOUT_MS = 10_000;
/** What a worker has beyond the drain timeout to cut what is left by itself, and say so. */
const CUT_GRACE_MS = 1_000;

process.exitCode = await main(process.argv.slice(2));
// The channel to the primary would keep a worker that failed to start.
if (cluster.isWorker && process.exitCode !== 0) process.exit();

/** Runs until it is told to stop. Returns the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const problems: string[] = [];
  const args = readArguments(argv, problems);
  if (args.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (args.version) {
    process.stdout.write(`${version()}\n`);
    return 0;
  }
  const configuration = await configure(args, problems);
  if (problems.length > 0) {
    log(`${problems.join('\n')}\nSee equipoise --help.`);
    return WRONG_USAGE;
  }
  const { pidFile } = configuration;
  try {
    if (pidFile !== undefined && cluster.isPrimary) writeFileSync(pidFile, `${process.pid}\n`);
    // A worker is one, whatever the configuration says by now.
    const run = configuration.workers === undefined && cluster.isPrimary ? alone : inWorkers;
    return await run(args, configuration);
  } catch (error) {
    log(message(error));
    return FAILED;
  } finally {
    if (pidFile !== undefined && cluster.isPrimary) rmSync(pidFile, { force: true });
  }
}

/** Serves in this process. */
async function alone(args: Arguments, configuration: Configuration): Promise<number> {
  const { drainTimeoutMs } = configuration;
  const stop = stopSignal();
  // Before that, a signal to reload would end the process.
  let reload = (): void => undefined;
  process.on('SIGHUP', () => {
    reload();
  });
  const { serve } = await import('./serve.ts');
  const serving = await serve(configuration, { demo: args.demo, log });
  process.stdout.write(`${serving.line}\n`);
  reload = () => {
    reloadUpstreams(args, serving.balancer, drainTimeoutMs).catch((error: unknown) => {
      log(`not reloaded, all goes on as before:\n${message(error)}`);
    });
  };
  log(`${await stop}: finishing what is in flight, for ${drainTimeoutMs / 1000} s at most`);
  return await serving.close(drainTimeoutMs) > 0 ? FAILED : 0;
}

/** Takes the upstreams from the configuration as it is now. Whatever else changed takes a new process. */
async function reloadUpstreams(args: Arguments, balancer: Balancer, timeoutMs: number): Promise<void> {
  const problems: string[] = [];
  const { options } = await configure(args, problems);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  if (args.demo) return;
  const drained = balancer.update(options.upstreams, { timeoutMs });
  log('reloaded: the upstreams are those of the configuration now; other options take a restart, or --workers');
  await drained;
}

/** Serves in workers, each with the configuration as it is when the worker starts. */
async function inWorkers(args: Arguments, configuration: Configuration): Promise<number> {
  const { workers = 'auto', drainTimeoutMs } = configuration;
  let line: unknown;
  let cut = 0;
  cluster.on('message', (_worker, told: { readonly line?: unknown } | undefined) => {
    line ??= told?.line;
  });
  const code = await launch(async ({ channel }) => {
    // The primary never loads what serves.
    const { serve } = await import('./serve.ts');
    const serving = await serve(configuration, { demo: args.demo, log, peers: channel('upstreams') });
    process.send?.({ line: serving.line });
    return async () => {
      cut = await serving.close(drainTimeoutMs);
    };
  }, {
    workers,
    drainTimeoutMs: drainTimeoutMs + CUT_GRACE_MS,
    hungTimeoutMs: HUNG_TIMEOUT_MS,
    log,
    onEvent: ({ type }) => {
      if (type === 'launched') process.stdout.write(`${String(line)}\n`);
    },
  });
  // In a worker: that something was cut is for the primary to know.
  return cut > 0 ? FAILED : code;
}

/** Resolves with the first signal to stop; the second one exits. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: string): void => {
      if (asked) process.exit(FAILED);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('equipoise/package.json') as { readonly version: string };
  return text;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function log(text: string): void {
  process.stderr.write(`${text.replace(/^/gm, 'equipoise: ')}\n`);
}
