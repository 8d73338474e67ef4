/**
 * Under load with two workers, whoever counts comes to the same: the client, the upstreams, the metrics and the access
 * log; through reloads to the request, after a kill but for what the worker had not told.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { getKept } from '../support/kept.ts';
import { freePort, get, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { within } from '../support/wait.ts';

const CLIENTS = 16;
const RELOADS = 10;
const FIRST_WORKERS = 2;
/** What a worker that is killed may lose at most. */
const LOST_MS = 200;

/** Clients with kept connections, each with one request at a time, and what they got. */
class Load {
  /** When each response was complete, by the number in its target. */
  readonly answered = new Map<number, number>();
  /** Requests without a whole response. */
  broken = 0;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  readonly #port: number;
  readonly #request: typeof getKept;
  readonly #clients: Promise<void>[];
  #next = 0;
  #stopped = false;

  constructor(port: number, request: typeof getKept) {
    this.#port = port;
    this.#request = request;
    this.#clients = Array.from({ length: CLIENTS }, () => this.#client());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #client(): Promise<void> {
    while (!this.#stopped) {
      const number = this.#next++;
      try {
        // Targets and headers that would forge a line if nothing escaped them.
        const response = await this.#request({
          host: '127.0.0.1', port: this.#port, path: `/${number}?"}{"status":500,"target":"/x"`, agent: this.#agent,
          headers: { 'user-agent': 'a"\\\xff\x85 {"time":1}', 'referer': '"\t"' },
        });
        let body = '';
        for await (const part of response.setEncoding('latin1')) body += String(part);
        assert.deepEqual([response.statusCode, body], [200, 'here']);
        this.answered.set(number, performance.now());
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        this.broken++;
      }
    }
  }
}

/** Scrapes all the time, and checks that no counter falls. */
class Scraper {
  scrapes = 0;
  readonly #port: number;
  readonly #seen = new Map<string, number>();
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(port: number) {
    this.#port = port;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  /** Scrapes until a counter has come to `count`: what a process is late to tell is in the next answer. */
  async reaches(name: string, count: number): Promise<number> {
    let total = 0;
    const counted = async (): Promise<void> => {
      while (total < count) total = await this.total(name);
    };
    await within(counted(), () => `${name} to come to ${count}, not ${total}`);
    return total;
  }

  /** The sum of a counter over its labels, once somebody answers. */
  async total(name: string): Promise<number> {
    for (;;) {
      const samples = await this.#scrape();
      if (samples === undefined) continue;
      return samples.filter(([series]) => series.startsWith(`${name}{`)).reduce((sum, [, value]) => sum + value, 0);
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopped) await this.#scrape();
  }

  /** Undefined if there was no answer: the worker that it reached was about to leave. */
  async #scrape(): Promise<readonly (readonly [series: string, value: number])[] | undefined> {
    const answer = await get(this.#port, '/metrics').catch(() => undefined);
    if (answer?.status !== 200) return undefined;
    this.scrapes++;
    const counters = new Set<string>();
    const samples: [string, number][] = [];
    for (const line of answer.body.split('\n')) {
      const [, counter, histogram] = /^# TYPE (?:(\S+) counter|(\S+) histogram)$/.exec(line) ?? [];
      if (counter !== undefined) counters.add(counter);
      if (histogram !== undefined) for (const end of ['bucket', 'count', 'sum']) counters.add(`${histogram}_${end}`);
      const [, series = '', name = '', value] = /^(([a-z_]+)(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
      if (!counters.has(name)) continue;
      const now = Number(value);
      const before = this.#seen.get(series) ?? 0;
      assert.ok(now >= before, `${series} fell from ${before} to ${now}`);
      this.#seen.set(series, now);
      samples.push([series, now]);
    }
    return samples;
  }
}

async function started(t: TestContext, request: typeof getKept) {
  const counts = [0, 0];
  const upstreams = await Promise.all(counts.map((_, at) => startUpstream(t, (request, response) => {
    counts[at] = (counts[at] ?? 0) + 1;
    request.resume();
    response.end('here');
  })));
  const file = join(directory(t), 'access.log');
  const port = await freePort();
  const binary = start(t, [
    '-l', `127.0.0.1:${port}`, '-w', String(FIRST_WORKERS), '--admin', '127.0.0.1:0', '--access-log', file,
    ...upstreams,
  ]);
  await binary.port();
  await binary.logged(/admin listener: /);
  const admin = Number(/admin listener: http:\/\/127\.0\.0\.1:(\d+)/.exec(binary.stderr)?.[1]);
  return {
    binary, load: new Load(port, request), scraper: new Scraper(admin), counts,
    /** The numbers in the targets of all lines. */
    logged: (): readonly number[] => {
      const text = readFileSync(file, 'latin1');
      assert.ok(text.endsWith('\n'), 'whole lines');
      return text.split('\n').slice(0, -1).map(numberOf);
    },
  };
}

function numberOf(line: string): number {
  const { target, status } = JSON.parse(line) as { target: string; status: number };
  const [, number] = /^\/(\d+)\?"\}\{"status":500,"target":"\/x"$/.exec(target) ?? [];
  assert.ok(number !== undefined && (status === 200 || status === 499), line);
  return Number(number);
}

/** Resolves when the load has got `count` more responses. */
function more(load: Load, count: number): Promise<void> {
  const aim = load.answered.size + count;
  return within((async () => {
    while (load.answered.size < aim) await pause(5);
  })(), () => `${aim} responses, got ${load.answered.size}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function stop(binary: Binary): Promise<void> {
  binary.signal('SIGTERM');
  const { code, stderr } = await binary.exit();
  assert.equal(code, 0, stderr);
}

test('through ten reloads all counts are equal, no counter falls, and each request has one line', async (t) => {
  const { binary, load, scraper, counts, logged } = await started(t, getKept);
  await more(load, 200);
  for (let reload = 1; reload <= RELOADS; reload++) {
    binary.signal('SIGHUP');
    await binary.logged(new RegExp(`worker ${FIRST_WORKERS * (reload + 1)} .* is ready`));
    await more(load, 200);
  }
  await load.stop();
  await scraper.stop();
  const answered = load.answered.size;
  const requests = await scraper.reaches('equipoise_requests_total', answered);
  const attempts = await scraper.reaches('equipoise_upstream_requests_total', answered);
  const arrived = counts.reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${answered} answered, ${load.broken} broken, ${requests} requests, ${attempts} attempts, ` +
    `${arrived} at the upstreams, ${scraper.scrapes} scrapes`);
  await stop(binary);
  assert.deepEqual([requests, attempts, arrived, load.broken], [answered, answered, answered, 0]);
  const ascending = (a: number, b: number): number => a - b;
  assert.deepEqual([...logged()].sort(ascending), [...load.answered.keys()].sort(ascending));
  assert.ok(scraper.scrapes > RELOADS, `${scraper.scrapes} scrapes`);
});

test('a worker that is killed loses what it finished in its last 200 ms at most', async (t) => {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  // Sends nothing twice: a worker that is killed may have counted what it did not answer.
  const once = (options: http.RequestOptions): Promise<http.IncomingMessage> => new Promise((resolve, reject) => {
    http.get(options, resolve).on('error', reject);
  });
  const { binary, load, scraper, logged } = await started(t, once);
  await more(load, 500);
  await pause(1_000);
  delay.enable();
  const [victim] = childrenOf(binary.pid);
  assert.ok(victim !== undefined);
  process.kill(victim, 'SIGKILL');
  const killedAt = performance.now();
  await binary.logged(new RegExp(`worker ${FIRST_WORKERS + 1} .* is ready`));
  delay.disable();
  await more(load, 500);
  await load.stop();
  await scraper.stop();
  const requests = await scraper.total('equipoise_requests_total');
  await stop(binary);
  const answered = load.answered.size;
  // Of both workers: more than the one can have finished. A busy machine delays reports as it delays this process.
  const lateMs = LOST_MS + delay.max / 1e6;
  const inDoubt = [...load.answered].filter(([, at]) => at >= killedAt - lateMs && at <= killedAt + lateMs).length;
  const lines = new Set(logged());
  const unlogged = [...load.answered.keys()].filter((number) => !lines.has(number)).length;
  t.diagnostic(`${answered} answered, ${load.broken} broken, ${requests} requests, ${unlogged} without a line, ` +
    `${inDoubt} in doubt`);
  assert.ok(requests <= answered + load.broken, `${requests} requests of ${answered} and ${load.broken}`);
  assert.ok(answered - requests <= inDoubt, `${answered - requests} not counted, ${inDoubt} in doubt`);
  assert.ok(unlogged <= inDoubt, `${unlogged} not logged, ${inDoubt} in doubt`);
  assert.ok(load.broken <= CLIENTS, `${load.broken} requests broken`);
});

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' });
  return stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid).map(([child = 0]) => child);
}
