/**
 * Metrics of real workers, which reload, crash and come back.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { counters, GET_200, Launched } from './launched.ts';

/** Less than a scrape waits for a worker, or a newcomer for what the others know. */
const PATIENCE_MS = 400;

describe('metrics of a launch', () => {
  test('under load and reloads, the sum equals what clients and upstreams counted, and no counter falls', async (t) => {
    const launched = await Launched.start(t, 2);
    const stop = launched.load(4);
    let before = new Map<string, number>();
    let scrapes = 0;
    const look = (scraped: Map<string, number>): void => {
      const now = counters(scraped);
      for (const [name, value] of before) assert.ok((now.get(name) ?? 0) >= value, `${name} fell from ${value}`);
      before = now;
    };
    for (let reload = 0; reload < 2; reload++) {
      launched.program.signal('SIGHUP');
      const complete = launched.program.logged(/reload: complete/, reload + 1);
      const state = { done: false };
      void complete.then(() => {
        state.done = true;
      });
      while (!state.done) {
        const begun = performance.now();
        const scraped = await launched.scrape();
        scrapes++;
        // For a worker that is later than this, its last report counts.
        if (performance.now() - begun < PATIENCE_MS) look(scraped);
      }
    }
    await stop();
    look(await launched.scrapeAll());
    assert.ok(scrapes > 3 && launched.answered > 20, `${scrapes} scrapes, ${launched.answered} requests`);
    assert.deepEqual([before.get(GET_200), launched.served], [launched.answered, launched.answered]);
    assert.equal(before.get('equipoise_request_duration_seconds_count{pool="default"}'), launched.answered);
  });

  test('counts survive the death of a worker', async (t) => {
    const launched = await Launched.start(t, 2);
    const { program } = launched;
    // With the only worker that listens, the ports would go.
    for (const worker of [1, 2]) await program.logged(new RegExp(`worker ${worker} \\(process \\d+\\) is ready`));
    for (let i = 0; i < 40; i++) await launched.ask();
    await launched.scrapeAll();
    process.kill(program.workers[0] ?? assert.fail('no worker'), 'SIGKILL');
    await program.logged(/worker 3 \(process \d+\) is ready/);
    assert.equal((await launched.scrapeAll()).get(GET_200), 40);
    for (let i = 0; i < 10; i++) await launched.ask();
    const scraped = await launched.scrapeAll();
    assert.deepEqual([scraped.get(GET_200), scraped.get('equipoise_workers')], [50, 2]);
  });

  test('a single worker that crashes is not forgotten', async (t) => {
    const launched = await Launched.start(t, 1);
    const { program } = launched;
    for (let i = 0; i < 20; i++) await launched.ask();
    await launched.scrape();
    process.kill(program.workers[0] ?? assert.fail('no worker'), 'SIGKILL');
    await program.printed(/(ports[^]*){2}/);
    [launched.port, launched.metricsPort] = ([...program.stdout.matchAll(/ports (\d+) (\d+)/g)].at(-1) ?? [])
      .slice(1).map(Number) as [number, number];
    assert.equal((await launched.scrape()).get(GET_200), 20);
  });
});
