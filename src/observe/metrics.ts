/**
 * The metrics of a balancer, for Prometheus: counted in each process, added over all of them.
 */
import cluster from 'node:cluster';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { systemTime } from '../loop/clock.ts';
import { Counters } from './counters.ts';
import { CONTENT_TYPES, textOf } from './exposition.ts';
import { balancerFamilies, type Build, type Family, processFamilies } from './families.ts';
import { Members } from './members.ts';
import { checkMetrics, type Measured, type MetricsOptions } from './metrics-options.ts';
import { negotiated } from './negotiate.ts';
import { Observation } from './observation.ts';
import { PROCESS_METRICS } from './process-metrics.ts';
import { type PromRegistry, register } from './registry.ts';
import { Totals } from './totals.ts';

/** What a scraper wants. */
export interface Scrape {
  /** The value of its Accept header. */
  readonly accept?: string | undefined;
}

export interface Metrics {
  /** All metrics as text: OpenMetrics if the scraper prefers that, else the format of Prometheus. */
  text(scrape?: Scrape): Promise<string>;
  /** The Content-Type of that text. */
  contentType(scrape?: Scrape): string;
  /** Answers a scrape: a listener for `node:http`. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Adds the metrics of the balancer to a registry of prom-client, whose own default metrics are those of Node. */
  registry(registry: PromRegistry): void;
  /**
   * Stops counting, after a last report to the other workers. Call it last, when the balancer has closed and nothing
   * scrapes here any more: of several workers, this one knows the sums no longer, and answers 503.
   */
  close(): Promise<void>;
}

/** Measures `balancer` from now on. Throws OPTIONS_INVALID. */
export function createMetrics(balancer: Measured, options: MetricsOptions = {}): Metrics {
  checkMetrics(balancer, options);
  return new BalancerMetrics(balancer, options);
}

class BalancerMetrics implements Metrics {
  readonly #observation: Observation;
  readonly #members: Members;
  readonly #build: Build = { version: versionOf(), node: process.versions.node };
  /** What a scrape is reading: scrapes at the same time share it. */
  #reading: Promise<Reading> | undefined;

  constructor(balancer: Measured, { channel, worker, time = systemTime }: MetricsOptions) {
    const counters = new Counters(() => {
      this.#members.report();
    });
    this.#observation = new Observation(balancer, counters, worker ?? String(cluster.worker?.id ?? 0));
    try {
      this.#members = new Members(this.#observation, channel, time);
    } catch (cause) {
      this.#observation.stop();
      throw cause;
    }
  }

  async text({ accept }: Scrape = {}): Promise<string> {
    const { balancer, node } = await this.#read();
    return await textOf([...balancer, ...node], negotiated(accept));
  }

  contentType({ accept }: Scrape = {}): string {
    return CONTENT_TYPES[negotiated(accept)];
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const { accept } = request.headers;
    this.text({ accept }).then((text) => {
      const headers = { 'content-type': this.contentType({ accept }), 'content-length': Buffer.byteLength(text) };
      response.writeHead(200, { ...headers, vary: 'accept' }).end(method === 'HEAD' ? undefined : text);
    }).catch(() => {
      // It has left the other workers. The server of the response may have closed, too.
      if (response.headersSent) response.destroy();
      else response.writeHead(503, { 'retry-after': '1' }).end();
    });
  };

  registry(registry: PromRegistry): void {
    register(registry, balancerFamilies(new Totals(), [], this.#build), async () => (await this.#read()).balancer);
  }

  async close(): Promise<void> {
    await this.#members.close();
    this.#observation.stop();
  }

  #read(): Promise<Reading> {
    this.#reading ??= this.#gather().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #gather(): Promise<Reading> {
    const { totals, gauges } = await this.#members.gather();
    return {
      balancer: balancerFamilies(totals, gauges, this.#build), node: processFamilies(PROCESS_METRICS, gauges),
    };
  }
}

interface Reading {
  readonly balancer: readonly Family[];
  readonly node: readonly Family[];
}

function versionOf(): string {
  try {
    const { version } = createRequire(import.meta.url)('equipoise/package.json') as { readonly version: string };
    return version;
  } catch {
    // A bundler has put everything into one file.
    return '';
  }
}
