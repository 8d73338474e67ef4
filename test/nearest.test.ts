import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean } from '../src/nearest.ts';

const KNOWN = ['strategy', 'upstreams', 'listen', 'host', 'via', 'ejectMs', 'maxEjectMs', 'settled'];

test('a name is meant that is a few letters away', () => {
  const table = {
    stratgy: 'strategy', upstream: 'upstreams', setled: 'settled', listne: 'listen', ejectms: 'ejectMs', Via: 'via',
    maxejectMS: 'maxEjectMs',
  };
  for (const [given, meant] of Object.entries(table)) {
    assert.equal(didYouMean(given, KNOWN), ` did you mean "${meant}"?`, given);
  }
});

test('nothing is meant by what is like none of them', () => {
  for (const given of ['', 'x', 'port', 'timeout', 'a'.repeat(100_000), 'constructor']) {
    assert.equal(didYouMean(given, KNOWN), '', given);
  }
});
