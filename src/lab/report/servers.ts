/**
 * Plots of single servers: how much each got, and what it had in flight over time.
 */
import type { Sample } from '../series.ts';
import { endOf, joined } from './latency.ts';
import { type Band, bandsIn } from './marks.ts';
import { axes, letters, line, type Panel, round } from './panel.ts';
import { type Drawn, timeAxis, type TimeUnit } from './runs.ts';
import { counting, linear } from './scale.ts';
import { clipped, roundPercent, serverName } from './text.ts';

/** The share of the picks that each server got, a mark for each strategy; of many servers, by their rank. */
export function sharePanel(runs: readonly Drawn[], width: number, height: number): Panel {
  const area = { left: 58, top: 50, right: width - 26, bottom: height - 42 };
  const servers = runs[0]?.result.upstreams ?? [];
  const many = servers.length > MOST_COLUMNS;
  const shares = runs.map(({ result }) => {
    const all = result.upstreams.map(({ share }) => share);
    return many ? all.sort((one, other) => other - one) : all;
  });
  const most = shares.flat().reduce((high, share) => Math.max(high, share), 0);
  const y = linear(0, most * 1.1 || 1, area.bottom, area.top);
  const room = (area.right - area.left) / servers.length;
  const fair = round(y.place(1 / servers.length));
  const every = Math.ceil(servers.length / (width / 45));
  const x = {
    ticks: servers.map((_, at) => at + 1).filter((number) => every === 1 || number === 1 || number % every === 0),
    place: (number: number) => area.left + room * (number - 0.5),
  };
  const marks = runs.map(({ letter, style }, run) => {
    const list = shares[run] ?? [];
    if (many) return line(list.map((share, at) => [x.place(at + 1), y.place(share)]), style);
    const gap = room / (runs.length + 1);
    return list.map((share, at) => {
      const left = round(area.left + room * at + gap * (run + 1));
      const tip = round(y.place(share));
      const text = `<text class="letter" x="${left}" y="${tip - 5}" text-anchor="middle">${letter}</text>`;
      // Without room for letters, dashes tell them apart.
      const [kind, name] = gap >= 9 ? ['bar lettered', text] : ['bar', ''];
      return `<path class="${kind} ${style}" d="M${left} ${area.bottom}V${tip}"/>${name}`;
    }).join('');
  });
  const ends = many
    ? runs.map(({ letter }, run) => ({ letter, x: area.right, y: y.place(shares[run]?.at(-1) ?? 0) }))
    : [];
  return {
    width, height, label: `Share of the picks that each server got, of ${runs.map(({ name }) => name).join(', ')}`,
    body: axes({
      area, x, y, title: many ? 'Share of each server, the largest first' : 'Share of each server', yText: roundPercent,
      xText: String, xName: many ? 'rank' : 'server', yName: 'of all picks',
    }) + `<path class="fair" d="M${area.left} ${fair}H${area.right}"/>` + marks.join('') + letters(ends, area),
  };
}

/** Small plots of single servers: of what is in flight, then of their shares, each kind with the same scales. */
export function serverPanels(
  runs: readonly Drawn[], bands: readonly Band[], unit: TimeUnit,
): { readonly panels: readonly (readonly Panel[])[]; readonly note: string } {
  const ids = (runs[0]?.result.upstreams ?? []).map(({ id }) => id);
  const kept = runs[0]?.result.samples[0]?.present.length ?? 0;
  const shown = interesting(runs, bands, ids.slice(0, kept)).slice(0, MOST_SERVERS);
  const endMs = endOf(runs);
  const samples = runs.map(({ result }) => joined(result.samples, POINTS));
  const parts = ([['in flight', inFlightOf], ['share', shareOf]] as const).map(([what, read]) => {
    const values = new Map(shown.map((at) => [at, samples.map((list) => list.map((sample) => read(sample, at)))]));
    const most = [...values.values()].flat(2).reduce<number>((high, value) => Math.max(high, value ?? 0), 0);
    return { what, values, most };
  });
  const panels = parts.map(({ what, values, most }) => shown.map((server): Panel => {
    const area = { left: 40, top: 28, right: SMALL.width - 18, bottom: SMALL.height - 24 };
    const { x, xText } = timeAxis(endMs, unit, area.left, area.right, 3);
    const y = what === 'share' ? linear(0, most || 1, area.bottom, area.top, 3) : counting(most, area.bottom, area.top);
    const lists = values.get(server) ?? [];
    const points = lists.map((list, run) => list.map((value, at) => (
      value === undefined ? undefined : [x.place(samples[run]?.[at]?.ms ?? 0), y.place(value)] as const)));
    const ends = runs.flatMap(({ letter }, run) => {
      const last = points[run]?.findLast((point) => point !== undefined);
      return last === undefined ? [] : [{ letter, x: last[0], y: last[1] }];
    });
    const name = clipped(serverName(ids[server] ?? ''), 24);
    return {
      ...SMALL, label: `${name}: ${what} over time`,
      body: bandsIn(bands.filter((band) => band.server === ids[server]), area, x, false) + axes({
        area, x, y, title: `${name}: ${what}`, xName: '', yName: '', xText,
        yText: what === 'share' ? roundPercent : String,
      }) + runs.map(({ style }, run) => line(points[run] ?? [], style)).join('') + letters(ends, area),
    };
  }));
  const note = shown.length === ids.length
    ? ''
    : `${shown.length} of ${ids.length} servers: those with faults, then those with the most unequal shares`;
  return { panels, note };
}

/** Indexes of servers: those with faults, then those whose shares are furthest from equal; shown in their order. */
function interesting(runs: readonly Drawn[], bands: readonly Band[], ids: readonly string[]): readonly number[] {
  const faulty = new Set(bands.map(({ server }) => server));
  const worth = (at: number): number => {
    const shares = runs.map(({ result }) => Math.abs((result.upstreams[at]?.share ?? 0) * result.upstreams.length - 1));
    return (faulty.has(ids[at] ?? '') ? 1e9 : 0) + Math.max(0, ...shares);
  };
  const all = ids.map((_, at) => ({ at, worth: worth(at) }));
  const best = all.sort((one, other) => other.worth - one.worth || one.at - other.at).slice(0, MOST_SERVERS);
  return best.map(({ at }) => at).sort((one, other) => one - other);
}

function inFlightOf(sample: Sample, server: number): number | undefined {
  return sample.present[server];
}

/** Of the picks in a sample, the part that this server got. */
function shareOf({ picks }: Sample, server: number): number | undefined {
  const all = picks.reduce((sum, each) => sum + each, 0);
  return all === 0 ? undefined : (picks[server] ?? 0) / all;
}

const SMALL = { width: 270, height: 150 };
const POINTS = 60;
const MOST_SERVERS = 12;
const MOST_COLUMNS = 32;
