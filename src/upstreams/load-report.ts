/**
 * What an upstream reports of its own load, in the header `endpoint-load-metrics` of ORCA (Open Request Cost
 * Aggregation) or `endpoint-load-metrics-bin`. An upstream may send anything: what is no sound number is left out.
 */
import type { ResponseHead } from '../http1/response.ts';
import type { LoadReport } from '../strategy.ts';
import { binaryMetrics, type TakeMetric } from './load-report-binary.ts';

/** The last report of one upstream. Made when `load` is read for the first time: until then, nothing is kept. */
export class ReportedLoad {
  #text = '';
  #at = 0;
  #report: LoadReport | undefined;

  /** A response head is there. */
  heard(head: Pick<ResponseHead, 'header'>, now: number): void {
    const plain = head.header(HEADER);
    const binary = plain === undefined ? head.header(`${HEADER}-bin`) : undefined;
    const text = plain ?? (binary === undefined ? undefined : `BIN ${binary}`);
    if (text === undefined) return;
    this.#at = now;
    this.#report = undefined;
    // A copy: a slice would keep the whole head.
    this.#text = text.length > MOST_BYTES ? '' : Buffer.from(text, 'latin1').toString('latin1');
  }

  /** Read from its text when it is asked for; undefined without one, and where it says nothing that can be read. */
  get current(): LoadReport | undefined {
    if (this.#text !== '') {
      this.#report = parseLoadReport(this.#text, this.#at);
      this.#text = '';
    }
    return this.#report;
  }
}

/** The report in a header's value, which came at `at`; undefined if there is none. */
export function parseLoadReport(text: string, at: number): LoadReport | undefined {
  const metrics = new Map<string, number>();
  const take: TakeMetric = (name, value) => {
    if (metrics.size < MOST_METRICS && Number.isFinite(value)) metrics.set(name, value);
  };
  const space = text.indexOf(' ');
  const rest = text.slice(space + 1).trim();
  switch (text.slice(0, space)) {
    case 'TEXT':
      textMetrics(rest, take);
      break;
    case 'JSON':
      jsonMetrics(rest, take);
      break;
    case 'BIN':
      binaryMetrics(Buffer.from(rest, 'base64'), take);
      break;
    default:
      return undefined;
  }
  if (metrics.size === 0) return undefined;
  const sound = (name: string): number | undefined => {
    const value = metrics.get(name);
    return value !== undefined && value >= 0 && value <= MOST ? value : undefined;
  };
  const under = (prefix: string): Readonly<Record<string, number>> => {
    const named = Object.create(null) as Record<string, number>;
    for (const [name, value] of metrics) if (name.startsWith(prefix)) named[name.slice(prefix.length)] = value;
    return Object.freeze(named);
  };
  return Object.freeze({
    at,
    applicationUtilization: sound('application_utilization'),
    cpuUtilization: sound('cpu_utilization'),
    memUtilization: sound('mem_utilization'),
    rps: sound('rps_fractional') ?? sound('rps'),
    eps: sound('eps'),
    utilization: under('utilization.'),
    namedMetrics: under('named_metrics.'),
  });
}

/** `cpu_utilization=0.3,named_metrics.queue=7`. */
function textMetrics(text: string, take: TakeMetric): void {
  for (const pair of text.split(',', MOST_METRICS)) {
    const equals = pair.indexOf('=');
    const value = pair.slice(equals + 1).trim();
    if (equals > 0 && NUMBER.test(value)) take(pair.slice(0, equals).trim(), Number(value));
  }
}

/** `{"cpu_utilization": 0.3, "named_metrics": {"queue": 7}}`, in snake case or, as protobuf's JSON, in camel case. */
function jsonMetrics(text: string, take: TakeMetric): void {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return;
  }
  if (typeof report !== 'object' || report === null) return;
  for (const [key, value] of Object.entries(report)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (typeof value !== 'object' || value === null) take(name, numberIn(value));
    else for (const [inner, one] of Object.entries(value as object)) take(`${name}.${inner}`, numberIn(one));
  }
}

/** Protobuf's JSON may write a number as a string. */
function numberIn(value: unknown): number {
  return typeof value === 'number' || (typeof value === 'string' && NUMBER.test(value)) ? Number(value) : NaN;
}

const HEADER = 'endpoint-load-metrics';
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** A longer report is not read. */
const MOST_BYTES = 4_096;
const MOST_METRICS = 64;
/** No rate and no utilisation is above this. */
const MOST = 1e9;
