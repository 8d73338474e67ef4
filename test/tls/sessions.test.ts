import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Session, Sessions } from '../../src/tls/sessions.ts';

const HOUR = 3_600_000;

function session(name: string, { verifiedAt = 0, once = true }: Partial<Session> = {}): Session {
  return { data: Buffer.from(name), verifiedAt, once };
}

function made(now: () => number = () => 0): { sessions: Sessions; take: (origin: string) => string | undefined } {
  const sessions = new Sessions(now);
  return { sessions, take: (origin) => sessions.take(origin)?.data.toString() };
}

describe('the sessions of an upstream', () => {
  test('of TLS 1.3 are taken once, the newest first', () => {
    const { sessions, take } = made();
    for (const name of ['1', '2', '3']) sessions.add('a', session(name));
    assert.deepEqual([take('a'), take('a'), take('a'), take('a')], ['3', '2', '1', undefined]);
  });

  test('of TLS 1.2 are taken as often as needed, until there is a newer one', () => {
    const { sessions, take } = made();
    sessions.add('a', session('1', { once: false }));
    assert.deepEqual([take('a'), take('a')], ['1', '1']);
    sessions.add('a', session('2', { once: false }));
    assert.deepEqual([take('a'), take('a')], ['2', '2']);
  });

  test('are not those of another', () => {
    const { sessions, take } = made();
    sessions.add('a', session('1'));
    assert.equal(take('b'), undefined);
    assert.equal(take('a'), '1');
  });

  test('are taken for an hour after the certificate was verified, however often they were renewed', () => {
    let now = 0;
    const { sessions, take } = made(() => now);
    sessions.add('a', session('1'));
    now = HOUR - 1;
    assert.equal(take('a'), '1');
    sessions.add('a', session('2'));
    now = HOUR;
    assert.equal(take('a'), undefined);
    sessions.add('a', session('3', { verifiedAt: HOUR }));
    sessions.add('a', session('4'));
    assert.equal(take('a'), '3', 'the one verified last comes first');
    assert.equal(take('a'), undefined);
  });

  test('are forgotten together', () => {
    const { sessions, take } = made();
    sessions.add('a', session('1'));
    sessions.add('a', session('2'));
    sessions.add('b', session('3'));
    sessions.forget('a');
    assert.deepEqual([take('a'), take('b')], [undefined, '3']);
  });

  test('are four at most, of 1,024 upstreams at most', () => {
    const { sessions, take } = made();
    for (let i = 0; i < 10; i++) sessions.add('a', session(String(i)));
    assert.deepEqual([take('a'), take('a'), take('a'), take('a'), take('a')], ['9', '8', '7', '6', undefined]);
    for (let i = 0; i < 1_025; i++) sessions.add(`o${i}`, session('1'));
    assert.deepEqual([take('o0'), take('o1'), take('o1024')], [undefined, '1', '1']);
  });
});
