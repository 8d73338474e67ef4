/**
 * Plots of latency: by percentile, and over time.
 */
import type { Sample } from '../series.ts';
import { type Band, bandsIn, ejectionsIn } from './marks.ts';
import { type Area, axes, letters, line, type Panel } from './panel.ts';
import { type Drawn, timeAxis, timeName, timeText, type TimeUnit } from './runs.ts';
import { linear, logarithmic, type Scale } from './scale.ts';
import { roundPercent } from './text.ts';

/** Latency by percentile. The axis is that of one less the percentile: each further nine takes as much room. */
export function percentilePanel(runs: readonly Drawn[], unit: TimeUnit, width: number, height: number): Panel {
  const area = { left: 58, top: 50, right: width - 26, bottom: height - 42 };
  const fewest = Math.min(...runs.map(({ result }) => result.requests));
  // Beyond, a percentile is a matter of ten requests.
  const nines = Math.min(5, Math.max(1, Math.log10(fewest * 0.9 / 10)));
  const steps = Math.ceil(nines * 24);
  const shares = Array.from({ length: steps + 1 }, (_, at) => 10 ** (-nines * at / steps));
  const curves = runs.map(({ result }) => shares.map((share) => result.quantileMs(1 - share)));
  const y = latencyScale(curves.flat(), area, true);
  const from = logarithmic(10 ** -nines, 1, area.right, area.left, 6);
  const ticks = Array.from({ length: Math.floor(nines) + 1 }, (_, at) => 10 ** -at);
  const x: Scale = { ticks: [...ticks, 0.5], place: (share) => from.place(share) };
  const lines = runs.map(({ style }, at) => line(
    shares.map((share, step) => [x.place(share), y.place(curves[at]?.[step] ?? 0)]), style));
  const ends = runs.map(({ letter }, at) => ({ letter, x: area.right, y: y.place(curves[at]?.at(-1) ?? 0) }));
  return {
    width, height, label: `Latency by percentile of ${runs.map(({ name }) => name).join(', ')}`,
    body: axes({
      area, x, y, title: 'Latency by percentile', xName: 'share of requests that were faster',
      yName: timeName('latency', unit), xText: (share) => `${Number(((1 - share) * 100).toFixed(6))}%`,
      yText: (ms) => timeText(ms, unit),
    }) + lines.join('') + letters(ends, area),
  };
}

/** Mean latency over time, or the share that failed. */
export function overTimePanel(
  runs: readonly Drawn[], bands: readonly Band[], unit: TimeUnit, width: number, height: number,
  what: 'latency' | 'failed',
): Panel {
  const rows = runs.filter(({ result }) => result.marks.some(({ what: mark }) => mark === 'ejected'));
  const area = { left: 58, top: 50, right: width - 26, bottom: height - 42 - rows.length * ROW };
  const { x, xText } = timeAxis(endOf(runs), unit, area.left, area.right, width > 500 ? 8 : 4);
  const points = runs.map(({ result }) => joined(result.samples, POINTS).map((sample) => ({
    ms: sample.ms,
    value: sample.ended === 0 ? undefined : (what === 'latency' ? sample.latencySum : sample.failed) / sample.ended,
  })));
  const values = points.flat().flatMap(({ value }) => value ?? []);
  const y = what === 'latency'
    ? latencyScale(values, area, false)
    : linear(0, Math.max(0.01, ...values), area.bottom, area.top);
  const title = what === 'latency' ? 'Mean latency over time' : 'Share that failed, over time';
  const ends = runs.flatMap(({ letter }, at) => {
    const last = points[at]?.findLast(({ value }) => value !== undefined);
    return last?.value === undefined ? [] : [{ letter, x: x.place(last.ms), y: y.place(last.value) }];
  });
  const below = { ...area, bottom: area.bottom + rows.length * ROW };
  return {
    width, height, label: `${title} of ${runs.map(({ name }) => name).join(', ')}`,
    body: bandsIn(bands, area, x, true) + axes({
      area, x, y, title, xName: '', yName: what === 'latency' ? timeName('latency', unit) : '',
      xText, yText: what === 'latency' ? (ms) => timeText(ms, unit) : roundPercent,
    }) + runs.map(({ style }, at) => line((points[at] ?? []).map(({ ms, value }) => (
      value === undefined ? undefined : [x.place(ms), y.place(value)])), style)).join('') + letters(ends, area) +
      rows.map(({ result, style, letter }, at) => (
        ejectionsIn(result.marks, style, letter, area.left, area.bottom + 26 + at * ROW, x))).join('') +
      timeNameAt(below, unit) + (rows.length === 0
      ? ''
      : `<text class="name" x="2" y="${below.bottom + 33}">| ejected, o readmitted</text>`),
  };
}

/** The end of the longest run. */
export function endOf(runs: readonly Drawn[]): number {
  return Math.max(1e-9, ...runs.map(({ result }) => result.samples.at(-1)?.ms ?? result.durationMs));
}

/** The samples in at most `most`, each of several. */
export function joined(samples: readonly Sample[], most: number): readonly Sample[] {
  const each = Math.ceil(samples.length / most);
  if (each <= 1) return samples;
  return Array.from({ length: Math.ceil(samples.length / each) }, (_, at) => {
    const some = samples.slice(at * each, (at + 1) * each);
    const [first] = some;
    const last = some.at(-1) ?? first;
    if (first === undefined || last === undefined) throw new RangeError('no sample is left to join');
    const sum = (value: (sample: Sample) => number): number => some.reduce((all, sample) => all + value(sample), 0);
    const servers = first.present.map((_, server) => server);
    return {
      ms: last.ms, ended: sum(({ ended }) => ended), failed: sum(({ failed }) => failed),
      latencySum: sum(({ latencySum }) => latencySum),
      latencyMax: Math.max(...some.map(({ latencyMax }) => latencyMax)),
      present: servers.map((server) => Math.max(...some.map(({ present }) => present[server] ?? 0))),
      picks: servers.map((server) => sum(({ picks }) => picks[server] ?? 0)),
    };
  });
}

function timeNameAt({ right, bottom }: Area, unit: TimeUnit): string {
  return `<text class="name" x="${right}" y="${bottom + 33}" text-anchor="end">${timeName('time', unit)}</text>`;
}

/** From 0 evenly, or by the logarithm where that would press most of the values to the bottom. */
function latencyScale(values: readonly number[], { top, bottom }: Area, spread: boolean): Scale {
  const good = values.filter((value) => value > 0).sort((one, other) => one - other);
  const most = good.at(-1) ?? 1;
  const middle = good[Math.floor(good.length / 2)] ?? 1;
  if (most <= middle * (spread ? 6 : 12)) return linear(0, most * 1.05, bottom, top);
  // A few very short ones are not worth decades of the axis.
  const least = Math.max(good[Math.floor(good.length / 20)] ?? most / 10, most / 1e5);
  return logarithmic(least * 0.9, most * 1.1, bottom, top);
}

const POINTS = 120;
/** The height of a row of ejections. */
const ROW = 14;
