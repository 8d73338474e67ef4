import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { originProblem, parseOrigin } from '../../src/options/origin.ts';

const MAX = process.platform === 'linux' ? 107 : 103;
const onLinux = process.platform === 'linux' ? false : 'abstract sockets exist on Linux alone';

describe('the origin of a Unix socket', () => {
  const valid: readonly (readonly [text: string, origin: string, path: string])[] = [
    ['unix:/run/app.sock', 'unix:/run/app.sock', '/run/app.sock'],
    ['UNIX:/run/app.sock', 'unix:/run/app.sock', '/run/app.sock'],
    ['unix:///run/app.sock', 'unix:/run/app.sock', '/run/app.sock'],
    [' unix:/run/app.sock ', 'unix:/run/app.sock', '/run/app.sock'],
    ['unix:/run/my app?#%41.sock', 'unix:/run/my app?#%41.sock', '/run/my app?#%41.sock'],
    ['unix:/run/\u00fc', 'unix:/run/\u00fc', '/run/\u00fc'],
    [`unix:/${'x'.repeat(MAX - 1)}`, `unix:/${'x'.repeat(MAX - 1)}`, `/${'x'.repeat(MAX - 1)}`],
  ];
  for (const [text, origin, path] of valid) {
    test(`${JSON.stringify(text)} is read`, () => {
      assert.deepEqual(parseOrigin(text), {
        origin, protocol: 'unix:', host: 'localhost', port: 0, authority: 'localhost', path,
      });
    });
  }

  test('with an abstract name is read', { skip: onLinux }, () => {
    assert.equal(parseOrigin('unix:@app')?.path, '\0app');
    assert.equal(parseOrigin('unix:@app')?.origin, 'unix:@app');
    assert.match(originProblem('unix:@'), /^must name an abstract socket, e\.g\. unix:@app/);
    assert.match(originProblem(`unix:@${'x'.repeat(MAX)}`), /at most 107 octets, and has 108/);
  });

  const wrong: readonly (readonly [text: string, problem: RegExp])[] = [
    ['unix:app.sock', /^must be unix: and an absolute path, e\.g\. unix:\/run\/app\.sock, .*\(got "unix:app\.sock"\)$/],
    ['unix:./app.sock', /^must be unix: and an absolute path/],
    ['unix://run/app.sock', /^must be unix: and an absolute path/],
    ['unix:', /^must be unix: and an absolute path/],
    ['unix:/run/', /^must name a socket, not a directory/],
    ['unix:/run/a\0b', /must not contain control characters/],
    ['unix:/run/a\nb', /must not contain control characters/],
    ['unix:/run/a.sock,mode=660', /^has a mode, which is for sockets to listen on; leave it out/],
    [`unix:/${'x'.repeat(MAX)}`, new RegExp(`at most ${MAX} octets, and has ${MAX + 1} `)],
    [`unix:/${'\u00fc'.repeat(60)}`, /octets, and has 121 /],
    ['/run/app.sock', /^must be an origin \(got "\/run\/app\.sock"\); did you mean unix:\/run\/app\.sock\?$/],
    ['http://unix:/run/app.sock:/api', /did you mean unix:\/run\/app\.sock\?$/],
  ];
  for (const [text, problem] of wrong) {
    test(`${JSON.stringify(text).slice(0, 60)} is refused`, () => {
      assert.equal(parseOrigin(text), undefined);
      assert.match(originProblem(text), problem);
    });
  }
});
