/**
 * A report of simulations in one file, HTML or SVG, that needs neither network nor script.
 */
import { overTimePanel, endOf, percentilePanel } from './latency.ts';
import { type Band, bandsOf, bandTexts } from './marks.ts';
import type { Panel } from './panel.ts';
import { type Drawn, drawn, type ReportedGroup, timeText, type TimeUnit } from './runs.ts';
import { serverPanels, sharePanel } from './servers.ts';
import { styleSheet } from './style.ts';
import { clipped, escaped } from './text.ts';

export interface ReportOptions {
  readonly title: string;
  /** Runs that belong into the same plots, or several such groups. */
  readonly groups: readonly ReportedGroup[];
  /** Default: milliseconds. */
  readonly unit?: TimeUnit;
  /** What was simulated, such as servers, load and seed: a line each. */
  readonly facts?: readonly string[];
  /** How to make this report again. */
  readonly command?: string;
}

/** The report as a page. */
export function reportHtml({ title, groups, unit = MS, facts = [], command }: ReportOptions): string {
  const sections = groups.map((group) => {
    const { title: subtitle, findings = [], table } = group;
    const runs = drawn(group.runs);
    return (subtitle === undefined ? '' : `<h2>${escaped(subtitle)}</h2>`) +
      list('findings', findings) + tableHtml(table, runs) + keyHtml(runs) + plotsHtml(runs, unit);
  });
  return '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<title>${escaped(title)}</title><style>${styleSheet(true)}</style></head><body><h1>${escaped(title)}</h1>` +
    facts.map((fact) => `<p class="soft">${escaped(fact)}</p>`).join('') +
    (command === undefined ? '' : `<pre><code>${escaped(command)}</code></pre>`) +
    `${sections.join('')}</body></html>\n`;
}

/** The plots alone, as one drawing. */
export function reportSvg({ title, groups, unit = MS, facts = [], command }: ReportOptions): string {
  const parts: string[] = [];
  let y = 34;
  const text = (line: string, style: string, step: number): void => {
    parts.push(`<text class="${style}" x="20" y="${y}">${escaped(clipped(line, 130))}</text>`);
    y += step;
  };
  text(title, 'title', 22);
  for (const fact of facts) text(fact, 'name', 16);
  if (command !== undefined) text(command, 'name', 16);
  for (const { title: subtitle, runs: given, findings = [] } of groups) {
    const runs = drawn(given);
    y += 14;
    if (subtitle !== undefined) text(subtitle, 'title', 20);
    for (const finding of findings) text(finding, 'note', 16);
    for (const { letter, name, style } of runs) {
      parts.push(`<path class="line ${style}" d="M20 ${y - 4}H58"/><text class="letter" x="64" y="${y}">${letter}` +
        `</text><text x="80" y="${y}">${escaped(clipped(name, 90))}</text>`);
      y += 18;
    }
    const { main, small, notes } = plots(runs, unit, WIDE);
    for (const note of notes) text(note, 'note', 16);
    y += 8;
    for (const panel of main) {
      parts.push(placed(panel, 20, y));
      y += panel.height + 16;
    }
    for (const kind of small) {
      for (const [at, panel] of kind.entries()) {
        parts.push(placed(panel, 20 + (at % 3) * 280, y));
        if (at % 3 === 2 || at === kind.length - 1) y += panel.height + 10;
      }
    }
  }
  const width = WIDE + 40;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 10}" width="${width}" height="${y + 10}" ` +
    `role="img"><title>${escaped(title)}</title><style>${styleSheet(false)}</style>` +
    `<rect class="ground" width="100%" height="100%"/>${parts.join('')}</svg>\n`;
}

interface Plots {
  readonly main: readonly Panel[];
  readonly small: readonly (readonly Panel[])[];
  /** Faults in words, and what is not shown. */
  readonly notes: readonly string[];
}

function plots(runs: readonly Drawn[], unit: TimeUnit, width: number): Plots {
  const [first] = runs;
  // Faults are the same for all, and last until the longest run ends.
  const bands: readonly Band[] = first === undefined ? [] : bandsOf(first.result.marks, endOf(runs));
  const height = width < 500 ? 290 : 330;
  const { panels: small, note } = serverPanels(runs, bands, unit);
  const failed = runs.some(({ result }) => result.failed > 0);
  const faults = bandTexts(bands, (ms) => timeText(ms, unit));
  return {
    main: [
      percentilePanel(runs, unit, width, height),
      overTimePanel(runs, bands, unit, width, height, 'latency'),
      ...(failed ? [overTimePanel(runs, bands, unit, width, height - 60, 'failed')] : []),
      sharePanel(runs, width, height - 40),
    ],
    small,
    notes: [...(faults.length === 0 ? [] : [`Shaded: ${faults.join('; ')}`]), ...(note === '' ? [] : [note])],
  };
}

function plotsHtml(runs: readonly Drawn[], unit: TimeUnit): string {
  const wide = plots(runs, unit, WIDE);
  const narrow = plots(runs, unit, NARROW);
  return wide.notes.map((note) => `<p class="soft">${escaped(note)}</p>`).join('') +
    wide.main.map((panel, at) => {
      const other = narrow.main[at];
      return `<figure>${inline(panel, 'wide')}${other === undefined ? '' : inline(other, 'narrow')}</figure>`;
    }).join('') +
    wide.small.map((kind) => `<div class="small">${kind.map((panel) => inline(panel, '')).join('')}</div>`).join('');
}

function inline({ width, height, label, body }: Panel, kind: string): string {
  return `<svg class="panel ${kind}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">` +
    `${body}</svg>`;
}

function placed({ width, height, label, body }: Panel, x: number, y: number): string {
  return `<svg x="${x}" y="${y}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `aria-label="${escaped(label)}">${body}</svg>`;
}

function keyHtml(runs: readonly Drawn[]): string {
  const entries = runs.map(({ letter, name, style }) => (
    `<li><b>${letter}</b><svg viewBox="0 0 38 10" aria-hidden="true"><path class="line ${style}" d="M0 5H38"/></svg>` +
    `${escaped(name)}</li>`));
  return `<ul class="key">${entries.join('')}</ul>`;
}

function tableHtml(table: ReportedGroup['table'], runs: readonly Drawn[]): string {
  if (table === undefined) return '';
  const row = (cells: readonly string[], tag: string): string => (
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`);
  const rows = table.rows.map(([name = '', ...cells], at) => (
    row([`${runs[at]?.letter ?? ''} ${name}`, ...cells], 'td')));
  return `<div class="scroll"><table>${row(table.head, 'th')}${rows.join('')}</table></div>`;
}

function list(kind: string, lines: readonly string[]): string {
  return lines.length === 0
    ? ''
    : `<ul class="${kind}">${lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`;
}

const MS: TimeUnit = { name: 'ms', ms: 1 };
const WIDE = 840;
const NARROW = 380;
