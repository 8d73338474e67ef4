#!/usr/bin/env node
/**
 * The entry point of the binary: handles signals, output and failures before it loads anything else.
 */
import { Output } from './output.ts';
import { Signals } from './signals.ts';
import { watchStart } from './startup.ts';

/** Time for modules to end by themselves. */
const LINGER_MS = 1_000;

const output = new Output(process.stdout, process.stderr);
const signals = new Signals(output.log);
const started = watchStart(output.log);
const { main } = await import('./run.ts');
process.exitCode = await main(process.argv.slice(2), { output, signals, started });
// In case it never became ready.
started();
if (await output.finished()) process.exit();
// Timers and connections of the user's modules must not keep a process that is done.
setTimeout(() => process.exit(), LINGER_MS).unref();
