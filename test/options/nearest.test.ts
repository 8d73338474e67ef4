import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { didYouMean } from '../../src/options/nearest.ts';

const OPTIONS = [
  'listen', 'strategy', 'workers', 'drain-timeout', 'reload-timeout', 'pid-file', 'version', 'upstreams',
];

describe('a suggestion', () => {
  const table: readonly [name: string, known: readonly string[], meant: string][] = [
    ['stratgy', OPTIONS, ' did you mean strategy?'],
    ['stratgey', OPTIONS, ' did you mean strategy?'],
    ['upstream', OPTIONS, ' did you mean upstreams?'],
    ['setled', ['ejected', 'settled'], ' did you mean settled?'],
    ['maxejectMS', ['ejectMs', 'maxEjectMs'], ' did you mean maxEjectMs?'],
    ['wrokers', OPTIONS, ' did you mean workers?'],
    ['Listen', OPTIONS, ' did you mean listen?'],
    ['pidFile', OPTIONS, ' did you mean pid-file?'],
    ['pid_file', OPTIONS, ' did you mean pid-file?'],
    ['port', OPTIONS, ' did you mean listen?'],
    ['port', ['origin', 'weight'], ' did you mean origin?'],
    ['backends', OPTIONS, ' did you mean upstreams?'],
    ['timeout', OPTIONS, ' did you mean drain-timeout or reload-timeout?'],
    ['reload-timeout-seconds', OPTIONS, ' did you mean reload-timeout?'],
    ['host', ['port'], ''],
    ['frobnicate', OPTIONS, ''],
    ['x', OPTIONS, ''],
    ['', OPTIONS, ''],
    ['constructor', OPTIONS, ''],
    ['__proto__', OPTIONS, ''],
    ['strategy', [], ''],
    ['x'.repeat(100_000), OPTIONS, ''],
  ];
  for (const [name, known, meant] of table) {
    test(`by ${JSON.stringify(name.slice(0, 40))} of ${known.length}`, () => {
      assert.equal(didYouMean(name, known), meant);
    });
  }
  test('whatever the order of the known names', () => {
    for (let i = 0; i < OPTIONS.length; i++) {
      const turned = [...OPTIONS.slice(i), ...OPTIONS.slice(0, i)];
      for (const name of ['stratgy', 'wrokers', 'port', 'timeout']) {
        assert.equal(didYouMean(name, turned), didYouMean(name, OPTIONS));
      }
    }
  });
});
