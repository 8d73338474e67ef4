import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { Output } from '../../src/cli/output.ts';
import { start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { refusingOrigin } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

test('one line on standard output says that it is ready, and how', async (t) => {
  const binary = start(t, ['-l', '127.0.0.1:0', await startNamed(t, 'A')]);
  const port = await binary.port();
  assert.equal(binary.stdout, `Load balancer with random strategy listening on http://127.0.0.1:${port}\n`);
  assert.equal((await get(port)).body, 'A', 'it is as ready as it says');
  binary.signal('SIGTERM');
  const { code, stdout } = await binary.exit();
  assert.equal(code, 0);
  assert.equal(stdout, `Load balancer with random strategy listening on http://127.0.0.1:${port}\n`);
});

test('the log goes to standard error', async (t) => {
  const origin = refusingOrigin();
  const binary = start(t, ['-l', '127.0.0.1:0', origin]);
  const port = await binary.port();
  const { status, headers, body } = await get(port);
  assert.equal(status, 502);
  assert.match(String(headers['proxy-status']), /^equipoise; error=connection_refused$/);
  assert.doesNotMatch(body, /127\.0\.0\.1/, 'the answer names no address');
  await binary.logged(/\n/);
  assert.match(binary.stderr, new RegExp(`^equipoise: CONNECT_REFUSED ${origin}: .*ECONNREFUSED.*\\n$`));
  assert.equal(binary.stdout.split('\n').length, 2, 'standard output has the one line');
});

test('a text that must arrive in full is waited for, unless its reader is gone', async () => {
  for (const end of [undefined, new Error('gone')]) {
    let finish = (): void => assert.fail('nothing was written');
    const slow = new Writable({
      write(_chunk, _encoding, done) {
        finish = () => { done(end); };
      },
    });
    const output = new Output(slow, new PassThrough());
    let printed = false;
    const printing = output.print('text').then(() => { printed = true; });
    await turns(3);
    assert.ok(!printed);
    finish();
    await turns(3);
    if (end === undefined) finish();
    await printing;
  }
});
