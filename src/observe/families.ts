/**
 * The metrics, as they are exposed: their names, and the samples of each.
 */
import { BOUNDS } from './histogram.ts';
import { type Kind, KINDS, type Row, type Totals } from './totals.ts';

/** One metric with all its series. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Each call reads the totals anew: scrapes that share a family each have their own. */
  readonly samples: () => Iterable<Sample>;
}

export type Labels = Readonly<Record<string, string | number>>;

/** One series. A histogram has a `value` for each line of it. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number | HistogramValue;
}

export interface HistogramValue {
  readonly sum: number;
  readonly count: number;
  /** How many were within each of {@link BOUNDS}. */
  readonly within: readonly number[];
}

/** What one process says of itself when it is asked. */
export interface Gauges {
  /** The label `worker`. */
  readonly worker: string;
  readonly openConnections: number;
  readonly queued: Readonly<Record<string, number>>;
  readonly upstreams: readonly UpstreamGauges[];
  /** Values of `PROCESS_METRICS`, by their names. */
  readonly process: Readonly<Record<string, number>>;
}

export interface UpstreamGauges {
  readonly pool: string;
  readonly upstream: string;
  readonly up: boolean;
  readonly weight: number;
  readonly inFlight: number;
}

/** A metric of each process, as Node users know it from prom-client. */
export interface ProcessMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
}

/** What this program and the Node below it are. */
export interface Build {
  readonly version: string;
  readonly node: string;
}

/** All metrics of the balancer, from the counters and from what each process says of itself. */
export function balancerFamilies(totals: Totals, gauges: readonly Gauges[], build: Build): Family[] {
  const counter = (name: string, help: string, kind: Kind, at = 0): Family => ({
    name, help, type: 'counter', samples: () => counts(totals, kind, at),
  });
  const histogram = (name: string, help: string, kind: Kind, at: number): Family => ({
    name, help, type: 'histogram', samples: () => histograms(totals, kind, at),
  });
  const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
    name, help, type: 'gauge', samples: () => samples,
  });
  const upstreams = merged(gauges);
  const ofUpstreams = (read: (upstream: UpstreamGauges) => number): Sample[] => upstreams.map((each) => ({
    labels: { pool: each.pool, upstream: each.upstream }, value: read(each),
  }));
  const open = gauges.reduce((sum, { openConnections }) => sum + openConnections, 0);
  return [
    counter('equipoise_requests_total', 'Finished exchanges, by the status that went downstream.', 'requests'),
    histogram('equipoise_request_duration_seconds', 'From the request head to the end of the exchange.',
      'durations', 0),
    counter('equipoise_upstream_requests_total', 'Settled attempts, by status or error code.', 'attempts'),
    histogram('equipoise_upstream_response_seconds', 'From the pick to the response head.', 'upstream', 2),
    gauge('equipoise_upstream_in_flight', 'Attempts begun and not settled.', ofUpstreams(({ inFlight }) => inFlight)),
    gauge('equipoise_upstream_up', '0 while the upstream is ejected or on trial, else 1.',
      ofUpstreams(({ up }) => Number(up))),
    gauge('equipoise_upstream_weight', 'The weight that strategies see.', ofUpstreams(({ weight }) => weight)),
    counter('equipoise_upstream_ejections_total', 'Ejections, each counted where it was decided.', 'upstream', 0),
    counter('equipoise_upstream_retries_total', 'Attempts that were followed by another one.', 'upstream', 1),
    gauge('equipoise_open_connections', 'Downstream connections that are open.', [{ labels: {}, value: open }]),
    counter('equipoise_connections_total', 'Downstream connections that were opened.', 'carried', 0),
    gauge('equipoise_queued', 'Requests that wait for room at an upstream.', queued(gauges)),
    counter('equipoise_refused_total', 'Requests that the balancer answered itself, by error code.', 'refused'),
    counter('equipoise_received_bytes_total', 'Octets read from downstream connections.', 'carried', 1),
    counter('equipoise_sent_bytes_total', 'Octets written to downstream connections.', 'carried', 2),
    counter('equipoise_shadow_picks_total', 'Picks at which the strategy in the shadow was asked.', 'shadow'),
    counter('equipoise_shadow_upstream_picks_total', 'What upstreams would have got from the strategy in the shadow.',
      'shadowUpstreams'),
    counter('equipoise_shadow_faults_total', 'Throws and wrong picks of the strategy in the shadow.', 'shadowFaults'),
    gauge('equipoise_workers', 'Processes that serve, or finish what they have in flight.',
      [{ labels: {}, value: gauges.length }]),
    gauge('equipoise_build_info', 'Always 1.', [{ labels: { version: build.version, node: build.node }, value: 1 }]),
  ];
}

/** The metrics of each process. */
export function processFamilies(metrics: readonly ProcessMetric[], gauges: readonly Gauges[]): Family[] {
  return metrics.map(({ name, help, type }) => ({
    name, help, type,
    samples: () => gauges.flatMap(({ worker, process }): Sample[] => {
      const value = process[name];
      return value === undefined ? [] : [{ labels: { worker }, value }];
    }),
  }));
}

function* counts(totals: Totals, kind: Kind, at: number): Generator<Sample> {
  for (const row of totals.of(kind)) yield { labels: labelsOf(row), value: row.values[at] ?? 0 };
}

function* histograms(totals: Totals, kind: Kind, at: number): Generator<Sample> {
  for (const row of totals.of(kind)) yield { labels: labelsOf(row), value: histogramAt(row.values, at) };
}

/** The histogram whose sum in microseconds, and counts, begin at index `at`. */
function histogramAt(values: readonly number[], at: number): HistogramValue {
  let count = 0;
  const within: number[] = [];
  for (let range = 0; range < BOUNDS.length; range++) {
    count += values[at + 1 + range] ?? 0;
    within.push(count);
  }
  return { sum: (values[at] ?? 0) / 1e6, count: count + (values[at + 1 + BOUNDS.length] ?? 0), within };
}

function labelsOf({ kind, labels }: Row): Labels {
  return Object.fromEntries(KINDS[kind].map((name, i) => [name, labels[i] ?? '']));
}

/** The upstreams of all processes: what they have in flight is added; one is up if it is anywhere. */
function merged(gauges: readonly Gauges[]): UpstreamGauges[] {
  const found = new Map<string, UpstreamGauges>();
  for (const { upstreams } of gauges) {
    for (const each of upstreams) {
      const key = `${each.pool}\0${each.upstream}`;
      const before = found.get(key);
      found.set(key, before === undefined ? each : {
        ...each,
        up: before.up || each.up,
        weight: Math.max(before.weight, each.weight),
        inFlight: before.inFlight + each.inFlight,
      });
    }
  }
  return [...found.values()];
}

function queued(gauges: readonly Gauges[]): Sample[] {
  const sums = new Map<string, number>();
  for (const each of gauges) {
    for (const [pool, count] of Object.entries(each.queued)) sums.set(pool, (sums.get(pool) ?? 0) + count);
  }
  return [...sums].map(([pool, value]) => ({ labels: { pool }, value }));
}
