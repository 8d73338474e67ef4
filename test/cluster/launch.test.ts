import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import { begin, get, listening } from '../support/process-client.ts';
import { turns, within } from '../support/wait.ts';
import { ANSWER_MS, allGone, EXPRESS, lives, Load, Program, signalIfThere } from './program.ts';

/** A server that answers with its process id, and can hold a response or hang. */
const app = (options: string, drain = '() => drainServer(server)'): string => `
  const held = [];
  const paths = {
    '/': (request, response) => setTimeout(() => response.end(process.pid + '\\n'), ${ANSWER_MS}),
    '/held': (request, response) => { process.stdout.write('held\\n'); held.push(response); },
    '/begun': (request, response) => { response.write('begun '); held.push(response); },
    '/hang': () => { process.stdout.write('hung ' + process.pid + '\\n'); for (;;); },
  };
  process.on('SIGUSR2', () => { for (const response of held) response.end('released\\n'); });
  process.on('exit', () => { process.stdout.write('exit of ' + process.pid + '\\n'); });
  const app = http.createServer((request, response) => paths[request.url](request, response));
  ${launching(options, drain)}`;

/** The same in Express. */
const expressApp = (options: string, drain?: string): string => `
  import express from ${JSON.stringify(EXPRESS)};
  ${app(options, drain).replace(/const app = .*/, EXPRESS_APP)}`;
const EXPRESS_APP = 'const app = express(); for (const path in paths) app.get(path, paths[path]);';

const launching = (options: string, drain: string): string => `
  const code = await launch(async () => {
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    process.stdout.write('port ' + server.address().port + '\\n');
    return ${drain};
  }, { workers: 2, drainTimeoutMs: 15_000, ${options} });
  process.stdout.write('launch resolved with ' + code + '\\n');`;

describe('an Express app with two workers', () => {
  test('serves from both, replaces one that is killed, and ends with 0', async (t) => {
    const program = new Program(t, expressApp(''));
    const port = await program.port();
    const seen = new Set<string>();
    const both = async (): Promise<void> => {
      // At once, so that both have something to do.
      while (seen.size < 2) {
        const answers = await Promise.all(Array.from({ length: 8 }, () => get(port)));
        for (const { body } of answers) seen.add(body.trim());
      }
    };
    await within(both(), () => `answers of both workers; got those of ${[...seen].join()}`);
    assert.deepEqual([...seen].sort(), program.workers.map(String).sort());

    const [victim = 0, other = 0] = program.workers;
    process.kill(victim, 'SIGKILL');
    await program.logged(/^equipoise: worker \d+ \(process \d+\) died: killed by SIGKILL, perhaps out of memory$/);
    await program.logged(/is ready$/, 3);
    assert.ok(!lives(victim) && lives(other) && lives(program.pid));
    assert.equal((await get(port)).status, 200);

    program.signal('SIGTERM');
    assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
    assert.match(program.stdout, new RegExp(`^exit of ${program.pid}$`, 'm'));
    assert.equal([...program.stdout.matchAll(/^launch resolved with 0$/gm)].length, 3, 'the primary and two workers');
  });

  test('can drain by server.close', async (t) => {
    const program = new Program(t, expressApp('workers: 1', '() => new Promise((done) => server.close(done))'));
    const answer = get(await program.port(), '/held');
    await program.printed(/^held$/m);
    program.signal('SIGINT');
    await program.logged(/SIGINT: all workers drain/);
    release(program);
    assert.equal((await answer).body, 'released\n');
    assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
  });

  test('also runs with connections that the primary hands out', async (t) => {
    const program = new Program(t, app("distribution: 'primary'"));
    const load = new Load(await program.port(), 8, true);
    await load.answered(50);
    program.signal('SIGHUP');
    await program.logged(/reload: complete/);
    await load.answered(50);
    await load.end();
    program.signal('SIGTERM');
    assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
  });
});

describe('SIGTERM', () => {
  test('under load: every request gets its answer, exit code 0', async (t) => {
    const program = new Program(t, app(''));
    const port = await program.port();
    const load = new Load(port, 32, false);
    const begun = await begin(port, '/begun');
    const slow = get(port, '/held');
    await program.printed(/^held$/m);
    await load.answered(200);
    program.signal('SIGTERM');
    await load.end(false);
    release(program);
    const { body, headers } = await slow;
    assert.deepEqual([body, headers.connection], ['released\n', 'close'], 'told that the connection ends');
    let text = '';
    for await (const part of begun.setEncoding('latin1')) text += String(part);
    assert.equal(text, 'begun released\n');
    assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
  });

  test('twice: kills the workers', async (t) => {
    const program = new Program(t, app('workers: 1'));
    const cut = assert.rejects(get(await program.port(), '/held'), /socket hang up|ECONNRESET/);
    await program.printed(/^held$/m);
    program.signal('SIGTERM');
    await program.logged(/SIGTERM: all workers drain/);
    program.signal('SIGINT');
    assert.deepEqual(await program.exit(), { code: 1, signal: null }, program.stderr);
    assert.match(program.stderr, /killing worker \d \(process \d+\): second signal \(SIGINT\)/);
    await cut;
  });

  test('cuts requests that take longer than the drain timeout', async (t) => {
    const program = new Program(t, app('workers: 1').replace('15_000', '200'));
    const cut = assert.rejects(get(await program.port(), '/held'), /socket hang up|ECONNRESET/);
    await program.printed(/^held$/m);
    program.signal('SIGTERM');
    assert.deepEqual(await program.exit(), { code: 1, signal: null }, program.stderr);
    assert.match(program.stderr, /killing worker \d \(process \d+\): it did not drain within 200 ms/);
    await cut;
  });

  test('to one worker: it drains and is replaced', async (t) => {
    const program = new Program(t, app(''));
    const load = new Load(await program.port(), 8, true);
    await load.answered(20);
    process.kill(program.workers[0] ?? assert.fail('no worker'), 'SIGTERM');
    await program.logged(/is ready$/, 3);
    await load.answered(20);
    await load.end();
    assert.doesNotMatch(program.stderr, /died/);
  });
});

describe('a worker that fails at the start ends the launch', { concurrency: 2 }, () => {
  const table: readonly [what: string, text: string, code: number, error: RegExp][] = [
    ['a run that rejects', "await launch(async () => { throw new Error('no luck'); }, { workers: 1 })", 1, /no luck/],
    ['a run that exits', 'await launch(() => process.exit(7), { workers: 1 })', 7, /exit code 7/],
    ['a run that returns nothing', 'await launch(() => {}, { workers: 1 })', 1,
      /run: must return a server, or a function .* \(got undefined\)/],
    ['a module that throws', `
      import cluster from 'node:cluster';
      if (cluster.isWorker) throw new Error('no luck');
      await launch(() => () => {}, { workers: 1 })`, 1, /no luck/],
    ['an error that is caught', `
      try {
        await launch(() => { throw new Error('no luck'); }, { workers: 1 });
      } catch {
        setInterval(() => {}, 1000);
      }`, 1, /no luck/],
  ];
  for (const [what, text, code, error] of table) {
    test(what, async (t) => {
      const program = new Program(t, text);
      assert.deepEqual(await program.exit(), { code, signal: null }, program.stderr);
      assert.match(program.stderr, error);
      assert.match(program.stderr, /failed before it was ready: the launch ends with exit code/);
    });
  }

  for (const [what, run] of [
    ['by a server that run returned', '() => app.listen(PORT)'],
    ['reported by an event', 'async () => { app.listen(PORT); return () => {}; }'],
  ] as const) {
    test(`a port in use: ${what}`, async (t) => {
      const port = await listening(t, http.createServer());
      const program = new Program(t, `
        const app = http.createServer();
        await launch(${run.replace('PORT', String(port))}, { workers: 1 });`);
      assert.deepEqual(await program.exit(), { code: 1, signal: null }, program.stderr);
      assert.match(program.stderr, /EADDRINUSE/);
    });
  }
});

describe('SIGHUP', () => {
  test('under load: new workers, new code, no request fails', async (t) => {
    const program = new Program(t, app(''));
    const load = new Load(await program.port(), 16, true);
    for (let i = 1; i <= 2; i++) {
      await load.answered(50);
      program.signal('SIGHUP');
      await program.logged(/reload: complete/, i);
    }
    await load.answered(50);
    program.signal('SIGTTIN');
    await program.logged(/workers wanted: 3/);
    await program.logged(/is ready$/, 7);
    program.signal('SIGTTOU');
    await program.logged(/is draining: fewer workers are wanted/);
    await load.answered(50);
    await load.end();
    await allGone(program.workers.slice(0, 4));

    program.write('throw new Error("no luck");');
    program.signal('SIGHUP');
    await program.logged(/reload failed, the old workers keep serving: exit code 1/);
    assert.match(program.stderr, /no luck/);
    assert.equal((await get(await program.port())).status, 200);
  });
});

test('a hung worker is replaced', async (t) => {
  const program = new Program(t, app('workers: 1, hungTimeoutMs: 1_000'));
  await program.port();
  const hang = async (): Promise<string> => {
    // A worker that an overloaded machine stopped for a second is replaced as well, and the next one gets the request.
    for (;;) {
      const port = Number([...program.stdout.matchAll(/^port (\d+)$/gm)].at(-1)?.[1]);
      const end = await get(port, '/hang').then(({ body }) => body, String);
      if (/^hung /m.test(program.stdout)) return end;
      await turns(10);
    }
  };
  const end = hang();
  await program.printed(/^hung \d+$/m);
  const [, pid = ''] = /^hung (\d+)$/m.exec(program.stdout) ?? [];
  const why = `killing worker \\d+ \\(process ${pid}\\): its event loop was blocked for more than 1000 ms`;
  await program.logged(new RegExp(why));
  assert.match(await end, /socket hang up|ECONNRESET/);
  const before = program.workers.indexOf(Number(pid));
  await program.logged(/is ready$/, before + 2);
});

test('without the primary, workers drain and end', async (t) => {
  const program = new Program(t, app(''));
  const answer = get(await program.port(), '/held');
  await program.printed(/^held$/m);
  program.signal('SIGKILL');
  await allGone([program.pid]);
  release(program);
  assert.equal((await answer).body, 'released\n');
  await program.exit();
  // Their output closes shortly before they exit.
  await allGone(program.workers);
});

/** Makes all workers answer the requests that they hold. */
function release(program: Program): void {
  for (const pid of program.workers) signalIfThere(pid, 'SIGUSR2');
}
