/**
 * The benchmark of load balancers, side by side: `npm run bench -- --help` shows what it can measure.
 *
 * The balancers run on CPU 0; load and upstreams on CPU 1. All stay running and are loaded in turns. It installs
 * nothing: what is missing is named, with how to get it, and skipped.
 */
import { existsSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { readArguments } from './arguments.mjs';
import { buildHint } from './contestants.mjs';
import { plot } from './plot.mjs';
import { scenarios } from './scenarios.mjs';
import { Stage } from './stage.mjs';
import { fail, print, printTable } from './terminal.mjs';

const options = readArguments();
if (!existsSync(new URL('../../dist/src/index.js', import.meta.url))) fail(buildHint);
const stage = new Stage(options);
const startedAt = performance.now();
const results = {};
for (const name of options.scenario) {
  const { title, play, tables } = scenarios[name];
  print(`${name}: ${title}`);
  results[name] = { title, ...await play({ stage, options }) };
  for (const { title: heading, rows } of tables(results[name])) printTable(heading, rows);
}
const { rounds, seconds } = options;
const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
print(`median (least-most) of ${rounds} rounds of ${seconds} s; it took ${minutes} min`);

const { machine, versions } = stage;
const report = { date: new Date().toISOString(), machine, versions, rounds, seconds, results };
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
if (options.plot !== undefined) writeFileSync(options.plot, plot(report));
process.exit(process.exitCode ?? 0); // the servers go with it
