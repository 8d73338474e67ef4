import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectTo } from '../support/client.ts';
import { start, run } from '../support/process-binary.ts';
import { directory } from '../support/process-files.ts';
import { echo, rawUpstream } from '../support/tcp.ts';

test('--tcp balances raw connections, logs them, and drains', async (t) => {
  const upstream = await rawUpstream(t, echo('hello\n'));
  const log = join(directory(t), 'log');
  const binary = start(t, ['--tcp', '-l', '127.0.0.1:0', '--access-log', log, upstream.origin]);
  const [, port] = /^TCP load balancer with random strategy listening on tcp:\/\/127\.0\.0\.1:(\d+)$/
    .exec(await binary.ready()) ?? [];
  const client = await connectTo(t, Number(port));
  assert.equal(await client.inbox.until('\n'), 'hello\n');
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM/);
  client.send('still here\n');
  assert.equal(await client.inbox.until('\n'), 'still here\n');
  client.end();
  const { code } = await binary.exit();
  assert.equal(code, 0);
  const line = JSON.parse(readFileSync(log, 'utf8')) as Record<string, unknown>;
  assert.equal(line['scheme'], 'tcp');
  assert.equal(line['upstream'], upstream.origin);
  assert.equal(line['bytesIn'], 11);
  assert.equal(line['bytesOut'], 17);
  assert.equal(line['serverName'], null);
});

test('tcp in a file, with workers and without; a single process follows a reload', async (t) => {
  const [one, two] = [await rawUpstream(t, echo('1')), await rawUpstream(t, echo('2'))];
  for (const workers of [1, 2]) {
    const file = join(directory(t), 'tcp.json');
    const write = (origin: string): void => {
      const pools = { a: { upstreams: [origin], idleTimeoutMs: 60_000 } };
      writeFileSync(file, JSON.stringify({ tcp: true, workers, listen: '127.0.0.1:0', pools, helloTimeoutMs: 500 }));
    };
    write(one.origin);
    const binary = start(t, ['-c', file]);
    const port = Number(/tcp:\/\/127\.0\.0\.1:(\d+)/.exec(await binary.ready())?.[1]);
    const before = await connectTo(t, port);
    assert.equal((await before.inbox.exactly(1)).toString(), '1');
    if (workers > 1) {
      before.end();
      await binary.stop();
      continue;
    }
    write(two.origin);
    binary.signal('SIGHUP');
    await binary.logged(/reloaded/);
    const after = await connectTo(t, port);
    assert.equal((await after.inbox.exactly(1)).toString(), '2');
    before.send('x');
    assert.equal((await before.inbox.exactly(1)).toString(), 'x');
    before.end();
    after.end();
    await binary.stop();
  }
});

test('--tcp refuses what does not go with it', async () => {
  const { code, stderr } = await run(['--tcp', '--demo', 'http://127.0.0.1:3001']);
  assert.equal(code, 2);
  assert.match(stderr, /--tcp: the upstreams of --demo speak HTTP/);
  assert.match(stderr, /must be tcp:\/\/host:port.*did you mean tcp:\/\/127\.0\.0\.1:3001\?/);
  const http = await run(['tcp://127.0.0.1:3001']);
  assert.equal(http.code, 2);
  assert.match(http.stderr, /is for raw connections \(--tcp, createTcpBalancer\)/);
});

test('--check shows what --tcp would serve', async () => {
  const { code, stdout } = await run(['--tcp', '-l', '127.0.0.1:7000', '--check', 'tcp://10.0.0.1:6379']);
  assert.equal(code, 0);
  assert.match(stdout, /Listen\n {2}tcp:\/\/127\.0\.0\.1:7000\n\nPool default: random\n {2}tcp:\/\/10\.0\.0\.1:6379\n/);
  assert.doesNotMatch(stdout, /Hooks/);
});
