#!/usr/bin/env node
/**
 * The binary: arguments in, a balancer out. The only place that prints or exits.
 */
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { type Balancer, createBalancer } from '../balancer.ts';
import { readArguments, USAGE } from './arguments.ts';
import { configure } from './config.ts';
import { type Demo, startDemo } from './demo.ts';
import { reportLog } from './log.ts';

const FAILED = 1;
const WRONG_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));

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
  const { listen, drainTimeoutMs, options } = await configure(args, problems);
  if (problems.length > 0) {
    log(`${problems.join('\n')}\nSee equipoise --help.`);
    return WRONG_USAGE;
  }
  const stop = stopSignal();
  let demo: Demo | undefined;
  let balancer: Balancer | undefined;
  try {
    demo = args.demo ? await startDemo() : undefined;
    balancer = createBalancer({
      onReport: reportLog(log, () => performance.now()),
      ...options,
      ...(demo === undefined ? {} : { upstreams: demo.origins }),
    });
    const addresses: string[] = [];
    for (const where of listen) addresses.push(shown(await balancer.listen(where)));
    process.stdout.write(`Load balancer with ${balancer.strategy} strategy listening on ${addresses.join(', ')}\n`);
    log(`${await stop}: finishing what is in flight, for ${drainTimeoutMs / 1000} s at most`);
    const { cut } = await balancer.close({ timeoutMs: drainTimeoutMs });
    if (cut > 0) log(`${cut} connections were cut: they took longer than the drain timeout`);
    return cut > 0 ? FAILED : 0;
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    await balancer?.close({ timeoutMs: 0 });
    return FAILED;
  } finally {
    demo?.close();
  }
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

/** An address as it is typed into a browser. A wildcard is shown as the loopback address, where it answers too. */
function shown(address: AddressInfo | string): string {
  if (typeof address === 'string') return `unix:${address}`;
  const { family, port } = address;
  const host = address.address === '::' || address.address === '0.0.0.0' ? '127.0.0.1' : address.address;
  return `http://${family === 'IPv6' && host !== '127.0.0.1' ? `[${host}]` : host}:${port}`;
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('equipoise/package.json') as { readonly version: string };
  return text;
}

function log(text: string): void {
  process.stderr.write(`${text.replace(/^/gm, 'equipoise: ')}\n`);
}
