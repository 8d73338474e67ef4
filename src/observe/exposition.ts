/**
 * The text that Prometheus reads, in its own format or as OpenMetrics.
 */
import type { Family, HistogramValue, Labels } from './families.ts';
import { BOUNDS } from './histogram.ts';

export type Exposition = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Exposition, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/**
 * The families as text. Thousands of upstreams have tens of thousands of lines: they are written in slices, between
 * which requests are served.
 */
export async function textOf(families: readonly Family[], as: Exposition): Promise<string> {
  const open = as === 'openmetrics';
  let text = '';
  let series = 0;
  for (const { name, help, type, samples } of families) {
    // OpenMetrics names a counter without its suffix.
    const family = open && type === 'counter' ? name.replace(/_total$/, '') : name;
    text += `# HELP ${family} ${escapedHelp(help, open)}\n# TYPE ${family} ${type}\n`;
    for (const { labels, value } of samples()) {
      const inside = labelText(labels);
      text += typeof value === 'number'
        ? `${name}${inside === '' ? '' : `{${inside}}`} ${number(value)}\n`
        : histogramText(name, inside, value, open);
      if (++series % SERIES_AT_ONCE === 0) await turn();
    }
  }
  return open ? `${text}# EOF\n` : text;
}

function histogramText(name: string, inside: string, { sum, count, within }: HistogramValue, open: boolean): string {
  const before = inside === '' ? '' : `${inside},`;
  const bounds = open ? OPEN_BOUNDS : PLAIN_BOUNDS;
  let text = '';
  for (const [i, bound] of bounds.entries()) {
    text += `${name}_bucket{${before}le="${bound}"} ${number(within[i] ?? 0)}\n`;
  }
  const all = inside === '' ? '' : `{${inside}}`;
  return `${text}${name}_bucket{${before}le="+Inf"} ${number(count)}\n` +
    `${name}_sum${all} ${number(sum)}\n${name}_count${all} ${number(count)}\n`;
}

function labelText(labels: Labels): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escapedLabel(String(value))}"`).join(',');
}

function escapedLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replace(/["\\\n]/g, escape) : value;
}

/** In the format of Prometheus, quotes in a help text are not escaped. */
function escapedHelp(help: string, open: boolean): string {
  return help.replace(open ? /["\\\n]/g : /[\\\n]/g, escape);
}

function escape(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}

function number(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const PLAIN_BOUNDS = BOUNDS.map(String);
/** OpenMetrics wants them as floating point numbers. */
const OPEN_BOUNDS = BOUNDS.map((bound) => Number.isInteger(bound) ? `${bound}.0` : String(bound));
/** Some thousands of lines: a few milliseconds. */
const SERIES_AT_ONCE = 200;
