/**
 * Draws the results of a run: the CPU time of each contestant beside nginx's, scenario by scenario. From a report that
 * was written with --json: `node test/bench/plot.mjs <report.json> <file.svg>`
 */
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { median } from './statistics.mjs';

const width = 760;
const nameWidth = 150;
const valueWidth = 50; // to the right of the longest bar
const rowHeight = 16;
const barHeight = 11;
const titleHeight = 30;
const margin = 12;

/** The SVG, as text. Its colours suit light and dark pages. */
export function plot({ results, versions, machine }) {
  const groups = Object.values(results).map(groupOf).filter((group) => group !== undefined);
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio)));
  const scale = (width - nameWidth - valueWidth - 2 * margin) / most;
  const parts = [];
  let y = margin;
  for (const { title, bars } of groups) {
    parts.push(`<text class="title" x="${margin}" y="${y + 18}">${escaped(title)}</text>`);
    y += titleHeight;
    const top = y;
    for (const bar of bars) {
      parts.push(drawn(bar, y, scale));
      y += rowHeight;
    }
    const one = coordinate(margin + nameWidth + scale);
    parts.push(`<line x1="${one}" x2="${one}" y1="${top - 3}" y2="${y - 2}"/>`);
  }
  y += 24;
  const shown = ['node', 'nginx', 'haproxy'].filter((name) => name in versions);
  const made = shown.map((name) => `${name} ${versions[name]}`);
  const caption = `CPU time for the same work, nginx = 1 (the line); less is better. ${machine}, ${made.join(', ')}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + margin}" role="img">
<title>CPU time of load balancers beside nginx</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .note { font-size: 11px; fill: #57606a }
.ours { fill: #1a7f5a } .other { fill: #8c959f } line { stroke: #cf222e; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9198a1 }
.ours { fill: #3fb98a } .other { fill: #6e7681 } line { stroke: #ff7b72 }
}
</style>
${parts.join('\n')}
<text class="note" x="${margin}" y="${y}">${escaped(caption)}</text>
</svg>
`;
}

/** The bars of one scenario, ours first, then the cheapest. Undefined where nothing was compared with nginx. */
function groupOf({ title, perMiB, samples }) {
  if (perMiB === undefined || samples.nginx === undefined) return undefined;
  const cost = ({ cpuUs, cpuUsPerMiB }) => perMiB ? cpuUsPerMiB : cpuUs;
  const bars = Object.entries(samples).filter(([name]) => name !== 'nginx').map(([name, list]) => ({
    name,
    ours: name.startsWith('equipoise'),
    ratio: median(list.map((sample, round) => cost(sample) / cost(samples.nginx[round]))),
  }));
  return { title, bars: bars.sort((a, b) => b.ours - a.ours || a.ratio - b.ratio) };
}

function drawn({ name, ours, ratio }, y, scale) {
  const from = margin + nameWidth;
  const length = coordinate(Math.max(1, ratio * scale));
  const baseline = y + barHeight - 1;
  // Clear of the line at 1.
  const end = from + Math.max(length, ratio < 1 ? scale : 0);
  return `<text x="${from - 8}" y="${baseline}" text-anchor="end">${escaped(name)}</text>`
    + `<rect class="${ours ? 'ours' : 'other'}" x="${from}" y="${y}" width="${length}" height="${barHeight}"/>`
    + `<text class="note" x="${coordinate(end + 6)}" y="${baseline}">${ratio.toFixed(2)}</text>`;
}

function coordinate(number) {
  return Number(number.toFixed(1));
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , report, file] = process.argv;
  if (file === undefined) {
    process.stderr.write('node test/bench/plot.mjs <report.json> <file.svg>\n');
    process.exit(2);
  }
  writeFileSync(file, plot(JSON.parse(readFileSync(report, 'utf8'))));
}
