import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import vm from 'node:vm';
import { faultText, guarded, guardedValue, isThenable, messageOf, nameOf, type OnFault } from '../src/guard.ts';
import { turns } from './support/wait.ts';

/** Records faults. */
function listening(): { readonly faults: unknown[][]; readonly onFault: OnFault } {
  const faults: unknown[][] = [];
  return { faults, onFault: (what, cause) => faults.push([what, cause]) };
}

const mine = new Error('mine');
const fail = (): never => {
  throw mine;
};

describe('foreign code called for its effect', () => {
  test('may throw, or reject later: both are reported, and nothing else happens', async () => {
    const { faults, onFault } = listening();
    guarded(fail, onFault);
    assert.deepEqual(faults, [['threw', mine]]);
    guarded(() => Promise.reject(mine), onFault);
    guarded(() => vm.runInNewContext('Promise.reject(7)') as unknown, onFault);
    guarded(() => Promise.resolve(), onFault);
    await turns(1);
    assert.deepEqual(faults, [['threw', mine], ['rejected', mine], ['rejected', 7]]);
  });

  test('may return something that throws when inspected', () => {
    const { faults, onFault } = listening();
    guarded(() => Object.defineProperty({}, 'then', { get: fail }), onFault);
    assert.deepEqual(faults, [['threw', mine]]);
  });
});

describe('foreign code called for a value', () => {
  test('returns it, or undefined after a fault', async () => {
    const { faults, onFault } = listening();
    assert.equal(guardedValue(() => 7, onFault), 7);
    assert.equal(guardedValue<unknown>(fail, onFault), undefined);
    // If unhandled, its rejection would end the process.
    assert.equal(guardedValue(() => Promise.reject(mine), onFault), undefined);
    await turns(1);
    assert.deepEqual(faults, [['threw', mine], ['returned a promise', undefined]]);
  });
});

test('a thenable is recognised by its method, not by its class', () => {
  assert.ok(isThenable({ then: () => undefined }));
  for (const value of [undefined, null, 7, 'then', { then: 7 }, {}]) assert.ok(!isThenable(value));
});

test('anything thrown has a text', () => {
  assert.equal(messageOf(mine), 'mine');
  assert.equal(messageOf('text'), 'text');
  assert.equal(messageOf(undefined), 'undefined');
  assert.equal(messageOf(Object.create(null)), 'a value that cannot be converted to a string');
});

test('an error without a message is described by its errors, its code or its name', () => {
  const refused = [new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')];
  assert.equal(messageOf(new AggregateError(refused)), 'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1');
  assert.equal(messageOf(new AggregateError([mine, mine], 'all failed')), 'all failed: mine');
  assert.equal(messageOf(new AggregateError([])), 'AggregateError');
  assert.equal(messageOf(Object.assign(new Error(''), { code: 'ECONNRESET' })), 'ECONNRESET');
  assert.equal(messageOf(new TypeError()), 'TypeError');
});

test('a fault is described with what was thrown, if anything was', () => {
  assert.equal(faultText('threw', mine), 'threw: mine');
  assert.equal(faultText('returned a promise', undefined), 'returned a promise');
});

test('a strategy has a name for messages, even if its own is missing or throws', () => {
  assert.equal(nameOf({ name: 'mine' }), 'mine');
  assert.equal(nameOf({ name: 7 }), 'without a name');
  assert.equal(nameOf({ get name(): string { return fail(); } }), 'without a name');
});
