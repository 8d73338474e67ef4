/**
 * A launch whose workers balance and are measured: real processes, real requests, both counted here as well.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { Program } from '../cluster/program.ts';
import { getKept } from '../support/kept.ts';
import { within } from '../support/wait.ts';

const SOURCE = ['index.js', 'observe/index.js'].map((file) => new URL(`../../dist/src/${file}`, import.meta.url).href);

export class Launched {
  readonly program: Program;
  /** Requests that the upstreams have read to their end, and responses that clients have. */
  served = 0;
  answered = 0;
  port = 0;
  metricsPort = 0;
  readonly #agent = new http.Agent({ keepAlive: true });

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(t: TestContext, workers: number): Promise<Launched> {
    let counted = (): void => undefined;
    const upstream = http.createServer((_request, response) => {
      counted();
      response.end('ok');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => upstream.once('listening', resolve));
    t.after(() => {
      upstream.close();
      upstream.closeAllConnections();
    });
    const origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    const launched = new Launched(new Program(t, `
      import { createBalancer } from ${JSON.stringify(SOURCE[0])};
      import { createMetrics } from ${JSON.stringify(SOURCE[1])};
      await launch(async ({ channel }) => {
        const balancer = createBalancer({ upstreams: [${JSON.stringify(origin)}], peers: channel('peers') });
        const metrics = createMetrics(balancer, { channel: channel('metrics') });
        const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
        const server = http.createServer(metrics.handle);
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        console.log('ports ' + port + ' ' + server.address().port);
        return async (drain) => {
          const { cut } = await balancer.close({ timeoutMs: drain.timeoutMs });
          // The close of node:http would cut a scrape that is on its way: Node 26 takes its connection for an idle one.
          await drainServer(server, { signal: drain.signal });
          await metrics.close();
          return { cut };
        };
      }, { workers: ${workers} });
      process.exit();`));
    counted = () => {
      launched.served++;
    };
    t.after(() => {
      launched.#agent.destroy();
    });
    await launched.program.printed(/ports \d+ \d+\n/);
    [launched.port, launched.metricsPort] = (/ports (\d+) (\d+)/.exec(launched.program.stdout) ?? [])
      .slice(1).map(Number) as [number, number];
    return launched;
  }

  /** Makes one request. Resolves when its response is there. */
  async ask(): Promise<void> {
    const { status } = await this.#get(this.port, this.#agent);
    assert.equal(status, 200);
    this.answered++;
  }

  /** Keeps so many requests in flight until the returned function is called, which resolves when all are answered. */
  load(clients: number): () => Promise<void> {
    let on = true;
    const loops = Array.from({ length: clients }, async () => {
      while (on) await this.ask();
    });
    return async () => {
      on = false;
      await Promise.all(loops);
    };
  }

  /** What a scrape shows, by whichever worker accepts its connection. */
  async scrape(): Promise<Map<string, number>> {
    const { text } = await this.#get(this.metricsPort);
    return new Map(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }));
  }

  /** Scrapes until it shows as many answers as there were: a process that is late for a scrape counts in the next. */
  async scrapeAll(): Promise<Map<string, number>> {
    let scraped = new Map<string, number>();
    const complete = async (): Promise<void> => {
      do {
        scraped = await this.scrape();
        assert.ok((scraped.get(GET_200) ?? 0) <= this.answered, 'it shows more answers than there were');
      } while (scraped.get(GET_200) !== this.answered);
    };
    await within(complete(), () => `${this.answered} answers to be shown, not ${scraped.get(GET_200) ?? 0}`);
    return scraped;
  }

  async #get(
    port: number, agent: http.Agent | false = false,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await getKept({ port, host: '127.0.0.1', agent });
    let text = '';
    for await (const part of response.setEncoding('latin1')) text += String(part);
    return { status: response.statusCode ?? 0, text };
  }
}

/** The counters of a scrape, without those of single processes, which end with them. */
export function counters(scraped: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...scraped].filter(([name]) => /^equipoise_\w+(?:_total|_bucket|_sum|_count)(?:\{|$)/.test(name)));
}

export const GET_200 = 'equipoise_requests_total{pool="default",method="GET",code="200"}';
