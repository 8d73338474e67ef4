#!/usr/bin/env node
/**
 * The binary's first moments: signals, output and failures are taken care of before anything else is loaded.
 */
import { Output } from './output.ts';
import { Signals } from './signals.ts';
import { watchStart } from './startup.ts';

const output = new Output(process.stdout, process.stderr);
const signals = new Signals(output.log);
const started = watchStart(output.log);
const { main } = await import('./run.ts');
process.exitCode = await main(process.argv.slice(2), { output, signals, started });
// Where it was not ready for as much as a moment.
started();
if (await output.finished()) process.exit();
