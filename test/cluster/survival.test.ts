/**
 * Failures that must not end the primary.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { get } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { lives, Program } from './program.ts';

const app = (options = '', run = '', more = ''): string => `
  import cluster from 'node:cluster';
  ${more}
  const app = http.createServer((request, response) => response.end('hello\\n'));
  await launch(async (context) => {
    ${run}
    await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
    process.stdout.write('port ' + app.address().port + '\\n');
    return app;
  }, { workers: 2, ${options} });`;

async function endsWell(program: Program): Promise<void> {
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.stderr);
}

test('the launch survives the loss of its log reader', async (t) => {
  const onEvent = "onEvent: ({ type }) => { if (type === 'ready') process.stdout.write('one is ready\\n'); }";
  const program = new Program(t, app(onEvent));
  const port = await program.port();
  program.closeStderr();
  for (let i = 1; i <= 3; i++) {
    program.signal('SIGHUP');
    await program.printed(new RegExp(`(one is ready\\n[^]*){${2 + 2 * i}}`));
  }
  assert.equal((await get(port)).body, 'hello\n');
  program.signal('SIGTERM');
  assert.deepEqual(await program.exit(), { code: 0, signal: null });
});

describe('if a worker cannot be forked', () => {
  const BREAK = `
    if (cluster.isPrimary) {
      const { execPath } = process;
      process.on('SIGUSR2', () => {
        process.execPath = process.execPath === execPath ? '/nowhere/node' : execPath;
        process.stdout.write('now ' + process.execPath + '\\n');
      });
    }`;

  test('the launch tries again until it can', async (t) => {
    const program = new Program(t, app('', '', BREAK));
    const port = await program.port();
    program.signal('SIGUSR2');
    await program.printed(/now \/nowhere/);
    process.kill(program.workers[0] ?? assert.fail('no worker'), 'SIGKILL');
    await program.logged(/died: its process could not be started: spawn \/nowhere\/node ENOENT/, 3);
    await program.logged(/a new worker starts in \d+ ms/);
    assert.equal((await get(port)).body, 'hello\n');
    program.signal('SIGHUP');
    await program.logged(/reload failed, .* could not be started: spawn/);
    program.signal('SIGUSR2');
    await program.logged(/is ready$/, 3);
    await endsWell(program);
  });

  test('at the start, the launch ends with 1 and says why', async (t) => {
    const program = new Program(t, app('', '', "if (cluster.isPrimary) process.execPath = '/nowhere/node';"));
    assert.deepEqual(await program.exit(), { code: 1, signal: null });
    assert.match(program.stderr, /its process could not be started: spawn \/nowhere\/node ENOENT/);
    assert.match(program.stderr, /failed before it was ready: the launch ends with exit code 1/);
  });
});

describe('the launch survives failing functions of the program:', () => {
  const hooks: readonly [what: string, options: string, line: RegExp][] = [
    ['onEvent throws', "onEvent: () => { throw new Error('no luck'); }", /^equipoise: onEvent threw: no luck$/],
    ['onEvent rejects', "onEvent: async () => { throw new Error('no luck'); }",
      /^equipoise: onEvent rejected: no luck$/],
    ['log throws', "log: () => { throw new Error('no luck'); }", /^equipoise: log threw: no luck$/],
    ['log rejects', "log: async () => { throw new Error('no luck'); }", /^equipoise: log rejected: no luck$/],
  ];
  for (const [what, options, line] of hooks) {
    test(what, async (t) => {
      const program = new Program(t, app(`workers: 1, ${options}`));
      await program.printed(/port \d+\n/);
      await program.logged(line, 2);
      await endsWell(program);
    });
  }

  test('members of channels', async (t) => {
    const program = new Program(t, app('', `
      const fail = () => { throw new Error('no luck'); };
      const seat = context.channel('news').join({ heard: async () => fail(), left: fail, leads: fail });
      seat.send('news');`));
    await program.logged(/worker \d: the member of channel 'news' threw in leads: no luck/);
    await program.logged(/worker \d: the member of channel 'news' rejected in heard: no luck/);
    await program.port();
    await endsWell(program);
  });

  test('the strategy of dispatch', async (t) => {
    const fail = "() => { throw new Error('no luck'); }";
    const strategy = `{ name: 'bad', pick: ([first]) => first, settled: async ${fail}, changed: async ${fail} }`;
    const program = new Program(t, app(`workers: 1, dispatch: ${strategy}, listen: { port: 0, host: '127.0.0.1' },
      onEvent: ({ address }) => { if (address) process.stdout.write('port ' + address.port + '\\n'); }`)
      .replace('await new Promise((resolve) => app.listen(0, \'127.0.0.1\', resolve));', 'return app;'));
    assert.equal((await get(await program.port())).body, 'hello\n');
    await program.logged(/strategy bad rejected in changed: no luck/);
    await program.logged(/strategy bad rejected in settled: no luck/);
    await endsWell(program);
  });
});

test('a release behind a link: a reload follows the link, and the old release may be removed', async (t) => {
  const root = directory(t);
  const release = (name: string): string => {
    mkdirSync(join(root, name));
    return join(root, name);
  };
  const text = (name: string): string => app().replace("'hello\\n'", `'${name}\\n'`);
  const link = join(root, 'current');
  symlinkSync(release('one'), link);
  const program = new Program(t, text('one'), { at: link, cwd: link });
  const port = await program.port();
  assert.equal((await get(port)).body, 'one\n');
  symlinkSync(release('two'), join(root, 'next'));
  unlinkSync(link);
  symlinkSync(join(root, 'two'), link);
  program.write(text('two'));
  program.signal('SIGHUP');
  await program.logged(/reload: complete/);
  assert.equal((await get(port)).body, 'two\n');
  rmSync(join(root, 'one'), { recursive: true });
  process.kill(program.workers.at(-1) ?? assert.fail('no worker'), 'SIGKILL');
  await program.logged(/is ready$/, 5);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).body, 'two\n');
  assert.ok(lives(program.pid));
  await endsWell(program);
});
