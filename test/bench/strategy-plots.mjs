/**
 * Draws how each strategy fares in three scenarios of the lab, with the same seed for all: the picture of
 * strategies/README.md. After a build: `node test/bench/strategy-plots.mjs [file.svg]`, by default
 * strategies/scenarios.svg. The same version draws the same picture.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { SCENARIOS, simulate } from '../../dist/src/lab/index.js';
import { shippedStrategies } from './shipped-strategies.mjs';

const scenarios = ['one-slow', 'gc-pauses', 'rolling-deploy'];
const seed = 1;
/** Not for upstreams, or nothing to go by: simulated servers report no load. */
const leftOut = new Set(['least-busy', 'weighted-by-load']);
const slots = 90; // of a curve

const width = 860;
const margin = 12;
const nameWidth = 130;
const gap = 14;
const titleHeight = 26;
const cellHeight = 62;
const cellWidth = (width - 2 * margin - nameWidth - (scenarios.length - 1) * gap) / scenarios.length;
/** Latencies from 10 ms to 10 s, on a logarithmic scale. */
const [least, most] = [10, 10_000];

export async function strategyPlots() {
  const { found } = await shippedStrategies();
  const rows = found.filter(({ name }) => !leftOut.has(name));
  const parts = rows.map(({ name }, row) => (
    `<text class="name" x="${margin}" y="${topOf(row) + cellHeight / 2 + 4}">${name}</text>`));
  for (const [column, name] of scenarios.entries()) {
    parts.push(`<text class="title" x="${leftOf(column)}" y="${margin + 14}">${name}</text>`);
    const { options } = SCENARIOS.get(name).variants[0];
    const results = rows.map(({ make }) => (
      simulate({ ...options, seed, strategy: ({ rng }) => make({ rng }) })));
    // Those that are late with much work take longer than the arrivals do.
    const untilMs = Math.min(...results.map(({ durationMs }) => durationMs));
    for (const [row, result] of results.entries()) {
      parts.push(cell(result, options.faults, untilMs, leftOf(column), topOf(row)));
    }
  }
  const height = margin + titleHeight + rows.length * (cellHeight + gap) + 34;
  const caption = 'Latency over time, 10 ms to 10 s on a logarithmic scale: the mean (line) and the slowest (band). ' +
    'Grey: something is wrong with a server.';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>How each strategy fares in three scenarios</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title, .name { font-weight: 600 } .note { font-size: 11px; fill: #57606a }
.mean { fill: none; stroke: #0063a8; stroke-width: 1.6 } .slowest { fill: #0063a8; opacity: .18 }
.fault { fill: #8c959f; opacity: .25 } .grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9198a1 }
.mean { stroke: #5cb3f5 } .slowest { fill: #5cb3f5; opacity: .25 } .fault { fill: #6e7681; opacity: .35 }
.grid { stroke: #30363d }
}
</style>
${parts.join('\n')}
<text class="note" x="${margin}" y="${height - 16}">${caption}</text>
</svg>
`;
}

function topOf(row) {
  return margin + titleHeight + row * (cellHeight + gap);
}

function leftOf(column) {
  return rounded(margin + nameWidth + column * (cellWidth + gap));
}

/** One strategy in one scenario. */
function cell(result, faults, untilMs, left, top) {
  const { failed, requests, samples } = result;
  const x = (ms) => rounded(left + Math.min(1, ms / untilMs) * cellWidth);
  const y = (ms) => {
    const part = Math.log(Math.max(least, Math.min(most, ms)) / least) / Math.log(most / least);
    return rounded(top + cellHeight * (1 - part));
  };
  const curve = joined(samples.filter(({ ms }) => ms <= untilMs)).map(({ ms, mean, slowest }) => [x(ms), y(mean), y(slowest)]);
  const there = curve.map(([at, mean]) => `${at},${mean}`);
  const back = curve.map(([at, , slowest]) => `${at},${slowest}`).reverse();
  const marks = stretches(faults, untilMs).map(([from, to]) => (
    `M${x(from)} ${top}h${rounded(x(to) - x(from))}v${cellHeight}h${rounded(x(from) - x(to))}z`));
  const lines = [100, 1_000].map((ms) => (
    `<line class="grid" x1="${left}" x2="${rounded(left + cellWidth)}" y1="${y(ms)}" y2="${y(ms)}"/>`));
  const share = failed === 0 ? '' : `, ${rounded(failed / requests * 100)}% failed`;
  return [
    `<path class="fault" d="${marks.join('')}"/>`, ...lines,
    `<polygon class="slowest" points="${[...there, ...back].join(' ')}"/>`,
    `<polyline class="mean" points="${there.join(' ')}"/>`,
    `<text class="note" x="${left + 4}" y="${top + 11}">p99 ${Math.round(result.quantileMs(0.99))} ms${share}</text>`,
  ].join('');
}

/** Some hundred points of a curve, of as many samples each. */
function joined(samples) {
  const each = Math.ceil(samples.length / slots);
  const points = [];
  for (let from = 0; from < samples.length; from += each) {
    const part = samples.slice(from, from + each);
    const ended = part.reduce((sum, sample) => sum + sample.ended, 0);
    if (ended === 0) continue;
    points.push({
      ms: part.at(-1).ms,
      mean: part.reduce((sum, { latencySum }) => sum + latencySum, 0) / ended,
      slowest: Math.max(...part.map(({ latencyMax }) => latencyMax)),
    });
  }
  return points;
}

/** When something is wrong, those that overlap as one. */
function stretches(faults, untilMs) {
  const all = faults.flatMap(({ fromMs, toMs = fromMs + 2_000, everyMs = Infinity }) => {
    const list = [];
    for (let at = 0; fromMs + at < untilMs; at += everyMs) list.push([fromMs + at, toMs + at]);
    return list;
  }).sort((one, other) => one[0] - other[0]);
  const joint = [];
  for (const [from, to] of all) {
    const last = joint.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else joint.push([from, to]);
  }
  return joint;
}

function rounded(value) {
  return Math.round(value * 10) / 10;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = process.argv[2] ?? fileURLToPath(new URL('../../strategies/scenarios.svg', import.meta.url));
  writeFileSync(file, await strategyPlots());
  process.stdout.write(`${file}\n`);
}
