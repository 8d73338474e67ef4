/**
 * The units, the Dockerfile and the manifest of `src/cli/deploy.md`, checked as far as this is possible without their
 * systems.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readArguments } from '../../src/cli/arguments.ts';
import { documentAt, root } from '../support/documents.ts';
import { directory } from '../support/process-files.ts';

const blocks = (language: string): readonly string[] => (
  documentAt('src/cli/deploy.md').blocks.filter((block) => block.language === language).map(({ code }) => code));
const MAIN = 'node_modules/equipoise/dist/src/cli/main.js';

/** The arguments in `text`, which must be known. */
function checkArguments(args: readonly string[]): ReturnType<typeof readArguments> {
  const problems: string[] = [];
  const read = readArguments(args, problems);
  assert.deepEqual(problems, []);
  return read;
}

test('the document names the file that is the binary', () => {
  assert.ok(existsSync(join(root, MAIN.replace('node_modules/equipoise/', ''))));
});

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

describe('the units', () => {
  const [socket = '', service = ''] = blocks('ini');

  test('start the binary with arguments that it knows', () => {
    const [, command = ''] = /^ExecStart=((?:.*\\\n)*.*)$/m.exec(service) ?? [];
    const [program, main = '', ...args] = command.replace(/\\\n/g, ' ').split(/\s+/);
    assert.deepEqual([program, main.endsWith(MAIN)], ['/usr/bin/node', true]);
    assert.deepEqual(checkArguments(args).listen, ['systemd']);
  });

  test('are valid', { skip: hasSystemd ? false : 'needs systemd-analyze, which is not installed' }, (t) => {
    const cwd = directory(t, {
      'equipoise.socket': socket, 'equipoise.service': service.replace('/usr/bin/node', process.execPath),
    });
    const { stderr } = spawnSync('systemd-analyze', ['verify', './equipoise.socket', './equipoise.service'], {
      cwd, encoding: 'utf8',
    });
    // Others of the machine may have faults.
    assert.deepEqual(stderr.split('\n').filter((line) => line.includes('equipoise')), []);
  });
});

test('the Dockerfile runs the binary itself, not as root', () => {
  const [text = ''] = blocks('dockerfile');
  const last = text.slice(text.lastIndexOf('FROM '));
  const list = (name: string): readonly string[] => (
    JSON.parse(new RegExp(`^${name} (\\[.*\\])$`, 'm').exec(last)?.[1] ?? '[]') as readonly string[]);
  assert.deepEqual(list('ENTRYPOINT'), ['node', MAIN]);
  assert.equal(checkArguments(list('CMD')).config, 'config.json');
  assert.match(last, /^USER node$/m);
  assert.match(last, /^STOPSIGNAL SIGTERM$/m);
});

test('the manifest allows more time than a stop takes', () => {
  const [text = ''] = blocks('yaml');
  const [, grace] = /^ +terminationGracePeriodSeconds: (\d+)$/m.exec(text) ?? [];
  const args = (/^ +args: \[(.*)\]$/m.exec(text)?.[1] ?? '').split(', ').map((each) => each.replaceAll('"', ''));
  const { stopDelay, drainTimeout, config } = checkArguments(args);
  assert.equal(config, '/etc/equipoise/config.json');
  assert.ok(Number(grace) > Number(stopDelay) + Number(drainTimeout));
});
