import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Exit, run } from '../support/process-binary.ts';
import { runsInOneProcess } from '../support/runs.ts';

const UPSTREAM = 'http://127.0.0.1:3001';

for (const option of ['--help', '-h']) {
  test(`${option} names every option, on standard output`, async () => {
    const { code, stdout, stderr } = await run([option]);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: equipoise \[options\] <upstream>\.\.\.\n/);
    for (const name of ['--listen', '--strategy', '--workers', '--config', '--check', '--demo', '--drain-timeout',
      '--stop-delay', '--reload-timeout', '--pid-file', '--version', '--help']) {
      assert.match(stdout, new RegExp(`^ .*${name}\\b`, 'm'));
    }
    assert.equal(stderr, '');
  });
}

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  assert.deepEqual(await run(['--version']), { code: 0, signal: null, stdout: `${version}\n`, stderr: '' });
});

describe('wrong usage exits with 2; each problem has its path and what to write instead', () => {
  const runHere = runsInOneProcess();
  const table: readonly [args: readonly string[], problems: readonly RegExp[]][] = [
    [[], [/^upstreams: none given; name at least one, e\.g\. http:\/\/127\.0\.0\.1:3001, or try --demo$/]],
    [['--nonsense', UPSTREAM], [/^--nonsense: unknown option; see equipoise --help$/]],
    [['--no-demo', UPSTREAM], [/^--no-demo: unknown option/]],
    [['-x', UPSTREAM], [/^-x: unknown option/]],
    [['--listn=1', '--stratgy', UPSTREAM], [/^--listn: unknown option; did you mean --listen\?$/,
      /^--stratgy: unknown option; did you mean --strategy\?$/]],
    [['--port', '8080', UPSTREAM], [/^--port: unknown option; did you mean --listen\?$/]],
    [['-p', '8080', UPSTREAM], [/^-p: unknown option; did you mean --listen\?$/]],
    [['--threads=4', UPSTREAM], [/^--threads: unknown option; did you mean --workers\?$/]],
    [['--pidfile', 'x', UPSTREAM], [/^--pidfile: unknown option; did you mean --pid-file\?$/]],
    [['--upstream', '127.0.0.1:3001'],
      [/^--upstream: unknown option; name upstreams without one, e\.g\. equipoise http/]],
    [['--listen', '--demo'], [/^--listen: needs a value before --demo/]],
    [['-s', UPSTREAM], [/^-s: needs a value before the upstream http:\/\/127\.0\.0\.1:3001/]],
    [[UPSTREAM, '--listen'], [/^--listen: needs a value/]],
    [[UPSTREAM, '-s'], [/^-s: needs a value/]],
    [['-c', ''], [/^-c: needs a value/]],
    [['-l', '', UPSTREAM], [/^-l: needs a value/]],
    [['--stop-delay', '', '--pid-file=', UPSTREAM], [/^--stop-delay: needs a value/, /^--pid-file: needs a value/]],
    [['--demo=yes'], [/^--demo: takes no value/]],
    [['--demo=yes', UPSTREAM], [/^--demo: takes no value/]],
    ...['nonsense', '65536', '99999', '1.5', '127.0.0.1', '127.0.0.1:', ':8080', '::1', '::1:8080', '[::1]', 'unix:',
      'fd:', 'fd:x', 'http://127.0.0.1:8080', 'a b:80:80'].map((value): [readonly string[], RegExp[]] => (
      [['--listen', value, UPSTREAM], [/^listen: (the port )?must be .* \(got .+\)$/]])),
    [['-l', '127.0.0.1:8080', '-l', 'tls:127.0.0.1:8080', UPSTREAM],
      [/^listen: "tls:127\.0\.0\.1:8080": is there twice; list it once$/, /^tls: /]],
    ...['soon', 'NaN', '-1', '86401', '1e9', 'Infinity', ' '].map((value): [readonly string[], RegExp[]] => (
      [[`--drain-timeout=${value}`, UPSTREAM],
        [/^drain-timeout: must be a number of seconds from 0 to 86400 \(got ".*"\)$/]])),
    [['-s', 'rondom', UPSTREAM],
      [/^strategy: must be random, .* or a \.\/file \(got "rondom"\); did you mean random\?$/]],
    [['-s', 'constructor', UPSTREAM], [/^strategy: must be .* \(got "constructor"\)$/]],
    [['127.0.0.1:3001'],
      [/^upstreams\[0\]\.origin: must start with http:.*; did you mean http:\/\/127\.0\.0\.1:3001\?$/]],
    [[UPSTREAM, 'localhost'], [/^upstreams\[1\]\.origin: .*; did you mean http:\/\/localhost\?$/]],
    [[UPSTREAM, UPSTREAM], [/^upstreams\[1\]: http:\/\/127\.0\.0\.1:3001 is already upstreams\[0\]/]],
    [['--demo', UPSTREAM], [/^--demo: has its own upstreams; leave out the others$/]],
  ];
  for (const [args, problems] of table) {
    test(args.join(' '), async () => {
      refused(await runHere(args), problems);
    });
  }
});

test('all problems are reported at once', async () => {
  const exit = await run([
    '--nonsense', '--listen', 'x', '--listen', 'y:z', '-s', 'z', '-c', './nowhere.json', '--drain-timeout', 'never',
    '--demo', 'ftp://a.example',
  ]);
  refused(exit, [/^--nonsense: /, /^listen: .*"x"/, /^listen: .*"y:z"/, /^strategy: .*"z"/,
    /^config: cannot load \.\/nowhere\.json/, /^drain-timeout: .*"never"/, /^--demo: /, /^upstreams\[0\]\.origin: /]);
});

/** Checks that a run with wrong usage reported all of `problems` and nothing else. */
function refused({ code, stdout, stderr }: Exit, problems: readonly RegExp[]): void {
  assert.equal(code, 2, stderr);
  assert.equal(stdout, '');
  const lines = stderr.trimEnd().split('\n').map((line) => {
    assert.match(line, /^equipoise: /);
    return line.slice('equipoise: '.length);
  });
  assert.equal(lines.pop(), 'See equipoise --help.');
  for (const problem of problems) {
    const found = lines.findIndex((line) => problem.test(line));
    assert.ok(found >= 0, `${String(problem)} is not in\n${stderr}`);
    lines.splice(found, 1);
  }
  assert.deepEqual(lines, [], 'told besides');
}
