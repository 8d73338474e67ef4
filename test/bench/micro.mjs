/**
 * The time of the pieces that every request goes through, so that a regression is found where it happens.
 *
 *   npm run build && npm run bench:micro -- [part of a name]... [--json FILE]
 *
 * The results depend on the machine and its other load: compare only runs within minutes. Only
 * the requested pieces are run, since V8 compiles a piece for everything that it has seen.
 */
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { picking } from './pick-cost.mjs';
import { http1 } from './micro-http1.mjs';
import { sweep } from './micro-sweep.mjs';
import { shippedStrategies } from './shipped-strategies.mjs';
import { fail, printTable, progress } from './terminal.mjs';
import { nanoseconds } from './timing.mjs';

const { parts, json } = readArguments();
const wanted = (name) => parts.length === 0 || parts.some((part) => name.includes(part));
const pieces = [...http1, ...await picks(), ...sweep].filter(([name]) => wanted(name));
if (pieces.length === 0) fail(`no piece has ${parts.join(' or ')} in its name`);

const results = {};
for (const [name, make, times = 1] of pieces) {
  progress(name);
  const { ns, least, most } = nanoseconds(make());
  results[name] = { ns: ns / times, least: least / times, most: most / times };
}
printTable(`node ${process.versions.node}, ns for each: the median of batches`, [
  ['', 'ns', 'least', 'most'],
  ...Object.entries(results).map(([name, figures]) => [
    name, ...[figures.ns, figures.least, figures.most].map((ns) => ns.toFixed(ns < 100 ? 1 : 0)),
  ]),
]);
if (json !== undefined) writeFileSync(json, `${JSON.stringify({ node: process.versions.node, results }, null, 2)}\n`);

async function picks() {
  const { found } = await shippedStrategies();
  return found.flatMap(({ name, make }) => [3, 10_000].flatMap((size) => ['equal', 'mixed'].map((weights) => [
    `pick, ${name}, ${size} upstreams, ${weights} weights`, () => picking(make(), size, weights).pick,
  ])));
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
    return { parts: positionals, json: values.json };
  } catch (error) {
    return fail(error.message);
  }
}
