/**
 * Hostile objects as options: getters that throw, Proxies, and objects that change later.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BalancerError } from '../../src/errors.ts';
import type { UpstreamOptions } from '../../src/options/options.ts';
import { startBalancer } from '../support/balancer.ts';
import { problemsWith } from '../support/options.ts';
import { turns } from '../support/wait.ts';

const A = 'http://a.test';

/** An object whose property `name` throws when it is read. */
function throwing<T extends object>(name: string, rest: T): T {
  return Object.defineProperty({ ...rest }, name, { enumerable: true, get: () => {
    throw new Error('oh no');
  } });
}

/** A Proxy that throws on every operation. */
function hostile(): UpstreamOptions {
  const traps = ['get', 'ownKeys', 'getOwnPropertyDescriptor', 'has', 'getPrototypeOf'].map((trap) => [trap, () => {
    throw new Error('oh no');
  }] as const);
  return new Proxy({}, Object.fromEntries(traps)) as UpstreamOptions;
}

function revoked(): UpstreamOptions {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as UpstreamOptions;
}

const ENTRIES: readonly (readonly [what: string, make: () => UpstreamOptions])[] = [
  ...['origin', 'weight', 'maxInFlight', 'tags', 'healthCheck'].map((name) => {
    return [`a getter of ${name} that throws`, () => throwing(name, { origin: A })] as const;
  }),
  ['tags with a getter that throws', () => ({ origin: A, tags: throwing('zone', {}) })],
  ['a health check with a getter that throws', () => ({ origin: A, healthCheck: throwing('path', {}) })],
  ['a Proxy that throws', hostile],
  ['a Proxy that was revoked', revoked],
];

describe('an upstream that cannot be read is OPTIONS_INVALID', () => {
  for (const [what, make] of ENTRIES) {
    test(`in createBalancer: ${what}`, () => {
      const [problem = '', ...others] = problemsWith({ upstreams: ['http://b.test', make()] });
      assert.deepEqual(others, []);
      assert.match(problem, /^(upstreams\[1\]|options): reading it threw: /);
    });

    test(`in add and update: ${what}`, async (t) => {
      const { balancer } = await startBalancer(t, { upstreams: [A] });
      assert.throws(() => balancer.add(make()), { name: 'BalancerError', code: 'OPTIONS_INVALID' });
      await assert.rejects(balancer.update([make()]), { name: 'BalancerError', code: 'OPTIONS_INVALID' });
      assert.deepEqual(balancer.upstreams.map(({ origin }) => origin), [A]);
      // No update is left pending.
      await balancer.update(['http://b.test']);
      assert.deepEqual(balancer.upstreams.map(({ origin }) => origin), ['http://b.test']);
    });
  }

  test('and so are a list and options that cannot be read', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: [A] });
    const list = new Proxy([A], { get: () => {
      throw new Error('oh no');
    } });
    await assert.rejects(balancer.update(list), { code: 'OPTIONS_INVALID' });
    await assert.rejects(balancer.update([A], throwing('timeoutMs', {})), { code: 'OPTIONS_INVALID' });
    await assert.rejects(balancer.remove(A, throwing('timeoutMs', {})), { code: 'OPTIONS_INVALID' });
    await assert.rejects(balancer.listen(throwing('port', { port: 1 })), { code: 'OPTIONS_INVALID' });
    await assert.rejects(balancer.close(throwing('delayMs', {})), { code: 'OPTIONS_INVALID' });
    assert.equal(balancer.ready, true);
    for (const options of [throwing('upstreams', {}), throwing('maxAttempts', { upstreams: [] }), hostile()]) {
      assert.match(problemsWith(options)[0] ?? '', /reading it threw: oh no$/);
    }
  });
});

test('tags are a frozen copy: later changes by their owner have no effect', async (t) => {
  const tags: Record<string, string> = { zone: 'a' };
  const { balancer } = await startBalancer(t, { upstreams: [{ origin: A, tags }] });
  tags['zone'] = 'b';
  const [upstream] = balancer.upstreams;
  assert.deepEqual(upstream?.tags, { zone: 'a' });
  assert.ok(Object.isFrozen(upstream.tags));
  // So an update with the changed object counts as a change.
  await balancer.update([{ origin: A, tags }]);
  assert.deepEqual(balancer.upstreams[0]?.tags, { zone: 'b' });
});

describe('a strategy that cannot be read', () => {
  const strategy = { name: 'mine', pick: (): undefined => undefined };
  for (const name of ['name', 'pick', 'picksFull', 'settled', 'changed']) {
    test(`since ${name} throws, is refused`, () => {
      assert.match(problemsWith({ upstreams: [], strategy: throwing(name, strategy) })[0] ?? '',
        /^strategy: must be an object with a name and a pick method; reading it threw: oh no$/);
    });
  }

  for (const [name, value] of [['settled', true], ['changed', {}], ['picksFull', 'yes']] as const) {
    test(`as ${name} is ${JSON.stringify(value)}, is refused`, () => {
      const [problem = ''] = problemsWith({ upstreams: [], strategy: { ...strategy, [name]: value } });
      assert.ok(problem.startsWith('strategy: ') && problem.includes(`${name} must be `), problem);
    });
  }
});

describe('remove', () => {
  for (const origin of [`${A}/path`, `${A}?query`, `http://user@a.test`, 'a.test', '']) {
    test(`of ${JSON.stringify(origin)} is OPTIONS_INVALID, and removes nothing`, async (t) => {
      const { balancer } = await startBalancer(t, { upstreams: [A] });
      await assert.rejects(balancer.remove(origin), (error) => {
        assert.ok(error instanceof BalancerError);
        return error.code === 'OPTIONS_INVALID' && error.message.includes('remove: must ');
      });
      await turns(1);
      assert.deepEqual(balancer.upstreams.map((upstream) => upstream.origin), [A]);
    });
  }

  test('takes a name that is not ASCII, however often it is called', async (t) => {
    const { balancer } = await startBalancer(t, { upstreams: [] });
    // As often as it takes for V8 to optimise: URL.canParse of Node 20 fails then.
    for (let i = 0; i < 20_000; i++) {
      balancer.add('http://bücher.test');
      await balancer.remove('http://bücher.test');
    }
    assert.deepEqual(balancer.upstreams, []);
  });
});
