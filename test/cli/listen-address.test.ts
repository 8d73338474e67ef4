import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { type ListenAddress, readListen } from '../../src/cli/listen.ts';

const LONGEST = process.platform === 'linux' ? 107 : 103;

function read(value: unknown): { address: ListenAddress | undefined; problems: string[] } {
  const problems: string[] = [];
  return { address: readListen(value, { at: 'listen' }, problems), problems };
}

describe('an address', () => {
  const good: readonly [value: unknown, expected: ListenAddress][] = [
    ['8080', { port: 8080 }],
    [8080, { port: 8080 }],
    ['0', { port: 0 }],
    ['65535', { port: 65_535 }],
    ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
    ['localhost:8080', { host: 'localhost', port: 8080 }],
    ['my_host.example:1', { host: 'my_host.example', port: 1 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['[::]:0', { host: '::', port: 0 }],
    ['[::ffff:127.0.0.1]:0', { host: '::ffff:127.0.0.1', port: 0 }],
    ['unix:/run/x.sock', { path: '/run/x.sock' }],
    ['unix:x.sock', { path: 'x.sock' }],
    ['unix:/run/a:b', { path: '/run/a:b' }],
    ['unix:/run/a,b', { path: '/run/a,b' }],
    ['unix:/run/a,mode=660/b', { path: '/run/a,mode=660/b' }],
    ['unix:/run/x.sock,mode=660', { path: '/run/x.sock', mode: 0o660 }],
    ['unix:/run/x.sock,mode=0600', { path: '/run/x.sock', mode: 0o600 }],
    ['unix:/run/x.sock,mode=000', { path: '/run/x.sock', mode: 0 }],
    [`unix:/${'x'.repeat(LONGEST - 1)}`, { path: `/${'x'.repeat(LONGEST - 1)}` }],
    ['fd:3', { fd: 3 }],
    ['fd:10', { fd: 10 }],
    [{ port: 1 }, { port: 1 }],
    [{ port: 0, host: '127.0.0.1', backlog: 10 }, { port: 0, host: '127.0.0.1', backlog: 10 }],
    [{ path: 'x.sock' }, { path: 'x.sock' }],
    [{ path: '/x.sock', mode: '660', backlog: 10 }, { path: '/x.sock', mode: 0o660, backlog: 10 }],
    [{ fd: 3 }, { fd: 3 }],
  ];
  for (const [value, expected] of good) {
    test(inspect(value), () => {
      assert.deepEqual(read(value), { address: expected, problems: [] });
    });
  }
  test('of a socket beside the file that names it', () => {
    const problems: string[] = [];
    const context = { at: 'listen', resolve: (path: string) => `/etc/${path}` };
    assert.deepEqual(readListen('unix:x.sock,mode=600', context, problems), { path: '/etc/x.sock', mode: 0o600 });
    assert.deepEqual(readListen({ path: 'x.sock' }, context, problems), { path: '/etc/x.sock' });
    assert.deepEqual(problems, []);
  });
});

describe('a value that is not an address is refused, with what to write instead', () => {
  const forms = new RegExp('^listen: must be \\[host:\\]port, tls:\\[host:\\]port, redirect:\\[host:\\]port, ' +
    'unix:PATH\\[,mode=660\\], fd:N or systemd, e\\.g\\. 127\\.0\\.0\\.1:8080 \\(got ');
  const bad: readonly [value: unknown, problem: RegExp][] = [
    ...['', ' ', 'x', '-1', '1.5', '0x50', '1e3', '127.0.0.1', '127.0.0.1:', '127.0.0.1:x', ':8080',
      '::1', '::1:8080', '[::1]', '[::1]8080', '[::1]:', '[x]:80', 'a:b:80', 'unix:', 'fd:', 'fd:x', 'fd:-1', 'fd:1.5',
      'a b:80', 'a/b:80', null, undefined, true, []].map((value): [unknown, RegExp] => [value, forms]),
    ['http://127.0.0.1:80', /\(got "http:\/\/127\.0\.0\.1:80"; did you mean 127\.0\.0\.1:80\?\)$/],
    ['/run/x.sock', /\(got "\/run\/x\.sock"; did you mean unix:\/run\/x\.sock\?\)$/],
    ...['65536', '127.0.0.1:100000', -1, 1.5, NaN, 65_536].map((value): [unknown, RegExp] => (
      [value, /^listen: the port must be an integer from 0 to 65535 \(got .+\)$/])),
    ...['', '66', '6600', '668', 'rw', '0o660'].map((mode): [unknown, RegExp] => (
      [`unix:/x,mode=${mode}`, /^listen: the mode must be three octal digits as a string, e\.g\. "660" \(got "/])),
    [{ path: '/x', mode: 660 },
      /^listen\.mode: the mode must be three octal digits as a string, e\.g\. "660" \(got 660\)$/],
    [{ port: 80, mode: '660' }, /^listen\.mode: can only be used with path; leave it out$/],
    [{ fd: 3, host: 'a' }, /^listen\.host: cannot be used with fd; leave it out$/],
    ['unix:/x,mod=660', /^listen: mod: unknown setting of a Unix socket \(known: mode\); write unix:\/x,mode=660$/],
    [`unix:/${'x'.repeat(LONGEST)}`,
      new RegExp(`^listen: the path of a Unix socket must have at most ${LONGEST} octets \\(got ${LONGEST + 1}: `)],
    [`unix:/${'é'.repeat(54)}`, /^listen: the path of a Unix socket must have at most \d+ octets \(got 109: /],
    ['unix:/x\0y', /^listen: the path of a Unix socket must not contain a NUL \(got /],
    [{}, /^listen: must have exactly one of port, path and fd, e\.g\. \{ "port": 8080 \} \(got \{\}\)$/],
    [{ port: 1, fd: 3 }, /^listen: must have exactly one of port, path and fd/],
    [{ port: '80' }, /^listen\.port: the port must be an integer from 0 to 65535 \(got "80"\)$/],
    [{ port: 80, host: 5 }, /^listen\.host: must be a name or an address, e\.g\. "127\.0\.0\.1" \(got 5\)$/],
    [{ port: 80, backlog: -1 }, /^listen\.backlog: must be an integer ≥ 0 \(got -1\); the default is 511$/],
    [{ port: 80, hots: 'a' }, /^listen\.hots: unknown option/],
    [{ path: 5 }, /^listen\.path: must be the path of a Unix socket, e\.g\. "\/run\/equipoise\.sock" \(got 5\)$/],
    [{ fd: -1 }, /^listen\.fd: must be the number of an open file descriptor, e\.g\. 3 \(got -1\)$/],
  ];
  for (const [value, problem] of bad) {
    test(inspect(value), () => {
      const { problems } = read(value);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', problem);
    });
  }
});
