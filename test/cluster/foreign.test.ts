/**
 * `launch` in the workers of another cluster.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { preparePm2 } from '../support/pm2.ts';
import { begin, freePort, get } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { Signal, turns, within } from '../support/wait.ts';
import { allGone, LAUNCHER, signalIfThere } from './program.ts';

const IMPORTS = `
  import cluster from 'node:cluster';
  import http from 'node:http';
  import { launch } from ${JSON.stringify(LAUNCHER.href)};`;

/** The last part of a program: `launch`, with a server that begins to answer `/held`, and finishes on SIGUSR2. */
const app = (listen: string, options = ''): string => `
  const held = [];
  process.on('SIGUSR2', () => { for (const response of held) response.end('released'); });
  const app = http.createServer((request, response) => {
    if (request.url === '/held') { response.write('begun '); held.push(response); }
    else response.end(process.pid + ' leads: ' + leads);
  });
  let leads;
  const code = await launch(({ channel, setup }) => {
    channel('news').join({ heard() {}, left() {}, leads(leading) { leads = leading; } });
    console.log('run by ' + process.pid + ' with ' + JSON.stringify(setup));
    return ${listen};
  }, { workers: 2, setup: { n: 1 }, drainTimeoutMs: 15_000, ${options} });
  console.log('launch resolved with ' + code);`;

/** A program with its own cluster: two workers, which it does not restart. It prints how they end. */
const parent = (worker: string): string => `${IMPORTS}
  if (cluster.isPrimary) {
    for (let i = 0; i < 2; i++) cluster.fork();
    let left = 2;
    cluster.on('listening', (worker, { port }) => {
      console.log('worker ' + worker.process.pid + ' port ' + port);
    });
    cluster.on('exit', (worker, code, signal) => {
      console.log('worker ' + worker.process.pid + ' ended: ' + code + ' ' + signal);
    });
  } else {${worker}
  }`;

describe('under the cluster of a program', () => {
  test('each worker runs it, leads its own channels, and is drained by SIGTERM', async (t) => {
    const tree = new Tree(t, parent(app("app.listen(0, '127.0.0.1')")));
    await tree.told(/(worker \d+ port \d+\n[^]*){2}/);
    const [one, other] = tree.all(/worker (\d+) port/g);
    const port = Number(tree.all(/port (\d+)/g)[0]);
    assert.ok(one !== undefined && other !== undefined);
    assert.equal(tree.all(/run by \d+ with (.*)/g).join(), '{"n":1},{"n":1}');
    const answer = await get(port);
    assert.match(answer.body, new RegExp(`^(${one}|${other}) leads: true$`));

    const response = await begin(port, '/held');
    process.kill(Number(one), 'SIGHUP');
    await tree.told(/SIGHUP: ignored; the cluster that this process belongs to reloads/);
    for (const pid of [one, other]) process.kill(Number(pid), 'SIGTERM');
    await tree.told(/worker \d+ ended: 0 null/);
    assert.equal(tree.all(/(ended)/g).length, 1, 'the other one has something in flight');
    for (const pid of [one, other]) signalIfThere(Number(pid), 'SIGUSR2');
    let body = '';
    for await (const part of response) body += String(part);
    assert.equal(body, 'begun released');
    await tree.ended();
    assert.equal(tree.all(/ended: (0 null)/g).length, 2);
    assert.equal(tree.all(/launch resolved with (0)/g).length, 2);
  });

  test('with dispatch, each worker accepts its own connections', async (t) => {
    const options = "dispatch: { name: 'first', pick: ([first]) => first }, listen: { port: 0, host: '127.0.0.1' },";
    const tree = new Tree(t, parent(app('app', options)));
    await tree.told(/(worker \d+ port \d+\n[^]*){2}/);
    assert.match((await get(Number(tree.all(/port (\d+)/g)[0]))).body, /leads: true/);
    for (const pid of tree.all(/run by (\d+)/g)) process.kill(Number(pid), 'SIGTERM');
    await tree.ended();
    assert.equal(tree.all(/ended: (0 null)/g).length, 2);
  });

  test('workers drain and end when their primary is gone', async (t) => {
    const tree = new Tree(t, parent(app("app.listen(0, '127.0.0.1')")));
    await tree.told(/(worker \d+ port \d+\n[^]*){2}/);
    const response = await begin(Number(tree.all(/port (\d+)/g)[0]), '/held');
    tree.kill('SIGKILL');
    await tree.told(/launch resolved with 0/);
    for (const pid of tree.all(/run by (\d+)/g)) signalIfThere(Number(pid), 'SIGUSR2');
    let body = '';
    for await (const part of response) body += String(part);
    assert.equal(body, 'begun released');
    await tree.ended();
  });
});

test('a program that a worker starts can launch workers of its own', async (t) => {
  const inner = join(directory(t, { 'inner.mjs': parent(app("app.listen(0, '127.0.0.1')")) }), 'inner.mjs');
  const primary = join(directory(t, { 'launch.mjs': `${IMPORTS}
    ${app("app.listen(0, '127.0.0.1')").replace('workers: 2', 'workers: 1')}` }), 'launch.mjs');
  const tree = new Tree(t, `${IMPORTS}
    import { spawn } from 'node:child_process';
    await launch(() => {
      const children = [${JSON.stringify(inner)}, ${JSON.stringify(primary)}].map((file) => {
        return spawn(process.execPath, [file], { stdio: 'inherit' });
      });
      return () => Promise.all(children.map((child) => new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill();
      })));
    }, { workers: 1 });`);
  await tree.told(/(worker \d+ port \d+\n[^]*){2}/);
  await tree.told(/(all workers are ready: 1\n[^]*){2}/);
  tree.kill('SIGTERM');
  await tree.ended();
});

test('under PM2, in cluster mode, each process serves, and is drained at a reload and at the end', async (t) => {
  const pm2 = preparePm2(t);
  const port = await freePort();
  const file = join(directory(t, { 'app.mjs': `${IMPORTS}
    ${app(`app.listen(${port}, '127.0.0.1')`)}` }), 'app.mjs');
  await pm2.run('start', file, '-i', '2', '--kill-timeout', '60000', '--listen-timeout', '60000');
  const processes = async (): Promise<number[]> => {
    return (JSON.parse(await pm2.run('jlist')) as { pid: number }[]).map(({ pid }) => pid);
  };
  const [one, other] = await processes();
  const seen = new Set<number>();
  // PM2 says that they have started when they may not listen yet.
  const bothServe = async (): Promise<void> => {
    while (seen.size < 2) await get(port).then(({ body }) => seen.add(Number.parseInt(body)), () => turns(1));
  };
  await within(bothServe(), () => `an answer of both; there were those of ${[...seen].join()}`);
  assert.deepEqual([...seen].sort(), [one, other].sort());
  await pm2.run('reload', 'all');
  const replaced = await processes();
  assert.ok(!replaced.includes(one ?? 0) && !replaced.includes(other ?? 0));
  assert.match((await get(port)).body, /leads: true/);
  await pm2.run('stop', 'all');
  await pm2.logged('app', 'out', /launch resolved with 0/, 4);
  await allGone(replaced);
});

/** A program and all processes that it starts. They end with the test. */
class Tree {
  #text = '';
  readonly #child: ChildProcess;
  readonly #signal = new Signal();
  #ended = false;

  constructor(t: TestContext, text: string) {
    const file = join(directory(t, { 'app.mjs': text }), 'app.mjs');
    this.#child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (part: string) => {
        this.#text += part;
        this.#signal.raise();
      });
    }
    // All processes share the output, so this comes when the last one ends.
    this.#child.on('close', () => {
      this.#ended = true;
      this.#signal.raise();
    });
    t.after(async () => {
      for (const pid of this.all(/run by (\d+)/g)) signalIfThere(Number(pid), 'SIGKILL');
      this.kill('SIGKILL');
      await this.ended();
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The first group of each match in the output. */
  all(pattern: RegExp): string[] {
    return [...this.#text.matchAll(pattern)].map(([, group = '']) => group);
  }

  async told(pattern: RegExp): Promise<void> {
    await this.#signal.until(() => pattern.test(this.#text), () => `${String(pattern)} in ${this.#text}`);
  }

  async ended(): Promise<void> {
    await this.#signal.until(() => this.#ended, () => `the end of all; ${this.#text}`);
  }
}
