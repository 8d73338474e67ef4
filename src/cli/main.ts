#!/usr/bin/env node
/**
 * The binary's first moments: signals, output and failures are taken care of before anything else is loaded.
 */
import { log, outliveReaders } from './output.ts';
import { Signals } from './signals.ts';
import { watchStart } from './startup.ts';

outliveReaders();
const signals = new Signals(log);
const started = watchStart(log);
const { main } = await import('./run.ts');
process.exitCode = await main(process.argv.slice(2), { signals, started });
// Where it was not ready for as much as a moment.
started();
