/** The access log of a process that ends in the middle of everything: lines that were gathered are not lost. */
import assert from 'node:assert/strict';
import { readFileSync, readSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { get, startNamed } from '../support/process-client.ts';
import { directory, namedPipe } from '../support/process-files.ts';
import { within } from '../support/wait.ts';

/** How a strategy ends its process, in the middle of a request. */
const EXIT = { name: 'process.exit', code: 3, program: 'process.exit(3)' };
const THROW = {
  name: 'an exception', code: 1, program: 'process.nextTick(() => { throw new Error("thrown by the strategy"); })',
};
const SIGTERMS = {
  name: 'a second SIGTERM', code: 1, program: 'for (let i = 0; i < 2; i++) process.emit("SIGTERM", "SIGTERM")',
};
const CASES = [
  { workers: '1', to: 'a file', end: EXIT }, { workers: '1', to: 'standard output', end: THROW },
  { workers: '1', to: 'a file', end: SIGTERMS }, { workers: '2', to: 'standard output', end: EXIT },
  { workers: '2', to: 'a file', end: THROW },
];
const REQUESTS = 50;

/** The binary, whose strategy runs `program` once the target is `/end`. */
async function begun(t: TestContext, program: string, args: readonly string[]): Promise<Binary> {
  const cwd = directory(t, {
    'strategy.mjs': `export default {
      name: 'ending',
      pick: ([first], { request: { target } }) => {
        if (target === '/end') { ${program}; }
        return first;
      },
    };`,
  });
  return start(t, ['-l', '127.0.0.1:0', '-s', './strategy.mjs', ...args, await startNamed(t, 'A')], { cwd });
}

/** Asks for `count` targets on one connection, then for the end. Resolves with the targets that were answered. */
async function ask(t: TestContext, binary: Binary, count: number, rest = ''): Promise<string[]> {
  const port = await binary.port();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => {
    agent.destroy();
  });
  const asked = Array.from({ length: count }, (_, at) => `/${at}${rest}`);
  for (const target of asked) assert.equal((await get(port, target, { agent })).body, 'A');
  await assert.rejects(get(port, '/end', { agent }));
  return asked;
}

/** The targets in whole lines of a log, others aside. */
function targetsIn(text: string): string[] {
  assert.ok(text.endsWith('\n'), 'whole lines');
  return text.split('\n').filter((line) => line.startsWith('{"time"'))
    .map((line) => (JSON.parse(line) as { target: string }).target);
}

for (const { workers, to, end } of CASES) {
  test(`${end.name} loses no line on its way to ${to}, with ${workers} to serve`, async (t) => {
    const file = to === 'a file' ? join(directory(t), 'access.log') : undefined;
    const binary = await begun(t, end.program, ['-w', workers, '--access-log', file ?? '-']);
    const asked = await ask(t, binary, REQUESTS);
    if (workers === '1') assert.equal((await binary.exit()).code, end.code);
    else {
      await binary.logged(new RegExp(`died: exit code ${end.code}`));
      await binary.stop();
    }
    const targets = targetsIn(file === undefined ? binary.stdout : readFileSync(file, 'latin1'));
    // Those that were being written may follow.
    assert.deepEqual(targets.filter((target) => target !== '/end').sort(), asked.sort());
  });
}

test('a pipe that is full does not hold up the exit, and the log says so', async (t) => {
  const made = namedPipe(t);
  if (made === undefined) return;
  const { pipe, reader } = made;
  const binary = await begun(t, 'process.exit(3)', ['--access-log', pipe]);
  // More than a pipe holds.
  await ask(t, binary, 60, 'x'.repeat(3_000));
  const { code, stderr } = await within(binary.exit(), () => 'the exit');
  assert.equal(code, 3);
  assert.match(stderr, /access log: the last lines are lost: EAGAIN/);
  const bytes = Buffer.alloc(1_000_000);
  const got = targetsIn(bytes.toString('latin1', 0, readSync(reader, bytes)));
  assert.ok(got.length > 0 && got.length < 60, `${got.length} lines`);
});
