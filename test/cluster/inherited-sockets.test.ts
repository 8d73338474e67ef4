import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { test } from 'node:test';
import { InheritedSockets } from '../../src/cluster/supervise/inherited-sockets.ts';
import { directory } from '../support/process-files.ts';

test('a descriptor is lost once it is closed, or names another file', (t) => {
  const inherited = new InheritedSockets();
  const fd = openSync(devNull, 'r');
  inherited.listening(fd, 0);
  inherited.listening(fd, 2);
  assert.deepEqual([0, 1, 2].map((generation) => inherited.lost(generation)), [[], [], []]);
  closeSync(fd);
  assert.deepEqual([0, 1, 2].map((generation) => inherited.lost(generation)), [[fd], [], [fd]]);
  const other = openSync(directory(t), 'r');
  // Nothing else opens files here, so it has the number.
  assert.equal(other, fd);
  assert.deepEqual(inherited.lost(0), [fd]);
  closeSync(other);
});

test('a descriptor that was closed before it was seen is lost', () => {
  const inherited = new InheritedSockets();
  const fd = openSync(devNull, 'r');
  closeSync(fd);
  inherited.listening(fd, 0);
  assert.deepEqual(inherited.lost(0), [fd]);
});
