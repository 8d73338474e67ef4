/**
 * Lookups of names: shared, bounded in number, and covered by the last good answer.
 */
import assert from 'node:assert/strict';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { describe, test } from 'node:test';
import { Names } from '../../src/upstreams/names.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { turns } from '../support/wait.ts';

interface Lookup {
  readonly name: string;
  readonly answer: (code: string | null, ...addresses: string[]) => void;
}

/** A resolver that answers when the test says so. */
class Resolver {
  readonly time = new VirtualTime();
  /** The names that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #open: Lookup[] = [];
  readonly names = new Names((name, found) => {
    this.asked.push(name);
    this.#open.push({
      name,
      answer: (code, ...addresses) => {
        found(code === null ? null : failure(code), addresses.map(address));
      },
    });
  }, () => this.time.now());

  /** The names whose lookups are under way. */
  get open(): string {
    return this.#open.map(({ name }) => name).join(' ');
  }

  /** Answers the oldest lookup of a name: with a system error code, or with addresses. */
  answer(name: string, code: string | null, ...addresses: string[]): void {
    const at = this.#open.findIndex((each) => each.name === name);
    assert.ok(at >= 0, `no lookup of ${name}`);
    this.#open.splice(at, 1)[0]?.answer(code, ...addresses);
  }

  /** Starts a lookup; its result goes to the array. */
  ask(name: string, options: LookupOptions = { all: true }): unknown[] {
    const got: unknown[] = [];
    this.names.lookup(name, options, (error, found, family) => {
      if (error !== null) got.push(error.code);
      else if (typeof found === 'string') got.push(found, family);
      else got.push(found.map((each) => each.address).join(' '));
    });
    return got;
  }

  advance(ms: number): void {
    this.time.advance(ms);
    this.names.sweep(this.time.now());
  }

  /** Makes an answer known. */
  know(name: string, ...addresses: string[]): void {
    this.ask(name);
    this.answer(name, null, ...addresses);
  }
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' });
}

function address(text: string): LookupAddress {
  return { address: text, family: text.includes(':') ? 6 : 4 };
}

describe('a name is looked up', () => {
  test('once for all callers that wait', () => {
    const resolver = new Resolver();
    const all = [1, 2, 3].map(() => resolver.ask('a.test'));
    assert.deepEqual(resolver.asked, ['a.test']);
    resolver.answer('a.test', null, '10.0.0.1', '::1');
    assert.deepEqual(all, [['10.0.0.1 ::1'], ['10.0.0.1 ::1'], ['10.0.0.1 ::1']]);
  });

  test('once for all callers that wait, also where it fails', () => {
    const resolver = new Resolver();
    const all = [1, 2].map(() => resolver.ask('a.test'));
    resolver.answer('a.test', 'EAI_AGAIN');
    assert.deepEqual(all, [['EAI_AGAIN'], ['EAI_AGAIN']]);
  });

  test('again for later callers: a name that moves is followed', () => {
    const resolver = new Resolver();
    resolver.know('a.test', '10.0.0.1');
    const later = resolver.ask('a.test');
    assert.deepEqual(later, []);
    resolver.answer('a.test', null, '10.0.0.2');
    assert.deepEqual(later, ['10.0.0.2']);
  });

  test('for one address where the caller asks for one', () => {
    const resolver = new Resolver();
    const one = resolver.ask('a.test', {});
    const six = resolver.ask('a.test', { family: 6 });
    const four = resolver.ask('a.test', { family: 'IPv4', all: true });
    resolver.answer('a.test', null, '10.0.0.1', '10.0.0.2');
    assert.deepEqual([one, six, four], [['10.0.0.1', 4], ['ENOTFOUND'], ['10.0.0.1 10.0.0.2']]);
  });

  test('without success where the answer is empty, or the resolver throws', async () => {
    const resolver = new Resolver();
    const got = resolver.ask('a.test');
    resolver.answer('a.test', null);
    assert.deepEqual(got, ['ENOTFOUND']);
    const broken = new Names(() => {
      throw failure('EINVAL');
    }, () => 0);
    const codes: unknown[] = [];
    broken.lookup('a.test', { all: true }, (error) => codes.push(error?.code));
    await turns(1);
    assert.deepEqual(codes, ['EINVAL']);
  });
});

describe('lookups', () => {
  test('run two at a time, in the order in which they were requested', () => {
    const resolver = new Resolver();
    for (const name of ['a', 'b', 'c', 'd', 'c', 'a']) resolver.ask(name);
    assert.equal(resolver.open, 'a b');
    resolver.answer('b', null, '10.0.0.1');
    assert.equal(resolver.open, 'a c');
    resolver.answer('c', 'ENOTFOUND');
    assert.equal(resolver.open, 'a d');
  });

  test('that hang hold one slot each, and not for long', () => {
    const resolver = new Resolver();
    for (let i = 0; i < 50; i++) resolver.ask('hangs');
    for (const name of ['a', 'b', 'c']) {
      const got = resolver.ask(name);
      assert.equal(resolver.open, `hangs ${name}`);
      resolver.answer(name, null, '10.0.0.1');
      assert.deepEqual(got, ['10.0.0.1']);
    }
    for (const name of ['hangs too', 'd', 'e']) resolver.ask(name);
    assert.equal(resolver.open, 'hangs hangs too');
    resolver.advance(1_000);
    assert.equal(resolver.open, 'hangs hangs too d e');
    assert.deepEqual(resolver.asked.filter((name) => name === 'hangs').length, 1);
  });
});

describe('the last good answer', () => {
  const table: readonly [code: string, ms: number][] = [
    ['EAI_AGAIN', 600_000], ['EAI_FAIL', 600_000], ['EMFILE', 600_000], ['ENOTFOUND', 30_000],
  ];
  for (const [code, ms] of table) {
    test(`stands in for ${code} for ${ms / 1000} s`, () => {
      const resolver = new Resolver();
      resolver.know('a.test', '10.0.0.1');
      for (const [wait, expected] of [[ms, '10.0.0.1'], [1, code]] as const) {
        resolver.advance(wait);
        const got = resolver.ask('a.test');
        resolver.answer('a.test', code);
        assert.deepEqual(got, [expected]);
      }
    });
  }

  test('stands in for one that takes more than a second, until that comes', async () => {
    const resolver = new Resolver();
    resolver.know('a.test', '10.0.0.1');
    const first = resolver.ask('a.test');
    resolver.advance(999);
    assert.deepEqual(first, []);
    resolver.advance(1);
    assert.deepEqual(first, ['10.0.0.1']);
    const second = resolver.ask('a.test');
    assert.deepEqual(second, [], 'whoever asks is told later');
    await turns(1);
    assert.deepEqual(second, ['10.0.0.1']);
    assert.equal(resolver.open, 'a.test');
    resolver.answer('a.test', null, '10.0.0.2');
    assert.deepEqual([first, second], [['10.0.0.1'], ['10.0.0.1']], 'each is told once');
    const third = resolver.ask('a.test');
    resolver.answer('a.test', null, '10.0.0.2');
    assert.deepEqual(third, ['10.0.0.2']);
  });

  test('does not exist: the caller waits for as long as the lookup takes', () => {
    const resolver = new Resolver();
    const got = resolver.ask('a.test');
    resolver.advance(60_000);
    assert.deepEqual(got, []);
    resolver.answer('a.test', null, '10.0.0.1');
    assert.deepEqual(got, ['10.0.0.1']);
  });
});
