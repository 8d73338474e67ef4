/**
 * What is reported of failed attempts and faults without an `onReport`, or with one that fails.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { BalancerOptions, Report } from '../../src/options/options.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { type Client, connectTo, get } from '../support/client.ts';
import { atEnd } from '../support/scope.ts';
import { refusingOrigin } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

/** The warnings of this process, as `CODE message`, until the test ends. */
function warnings(t: TestContext): string[] {
  const said: string[] = [];
  const listener = (warning: NodeJS.ErrnoException): void => {
    said.push(`${warning.code ?? ''} ${warning.message}`);
  };
  process.on('warning', listener);
  atEnd(t, () => process.off('warning', listener));
  return said;
}

async function start(
  t: TestContext, options: Omit<BalancerOptions, 'time'>,
): Promise<{ balancer: Balancer; client: Client; time: VirtualTime }> {
  const time = new VirtualTime();
  const balancer = createBalancer({ ...options, time });
  atEnd(t, async () => {
    const closed = balancer.close({ timeoutMs: 0 });
    time.advance(1);
    await closed;
  });
  const address = await balancer.listen({ port: 0, host: '127.0.0.1' });
  assert.ok(typeof address === 'object');
  return { balancer, client: await connectTo(t, address.port), time };
}

async function ask(client: Client, count: number, status: number): Promise<void> {
  for (let i = 0; i < count; i++) assert.equal((await client.exchange(get())).status, status);
  await turns(2);
}

const broken = { name: 'broken', pick: (): never => {
  throw new Error('oh no');
} };

describe('without onReport', () => {
  test('a failed attempt is a warning with its code, upstream and reason', async (t) => {
    const said = warnings(t);
    const refusing = refusingOrigin();
    const { client } = await start(t, { upstreams: [refusing], ejectAfter: 0 });
    await ask(client, 1, 502);
    const [first = '', ...others] = said;
    assert.deepEqual(others, []);
    assert.ok(first.startsWith(`CONNECT_REFUSED ${refusing}: The upstream refused the connection: `), first);
    assert.match(first, /ECONNREFUSED/);
  });

  test('500 failed attempts in a second are one warning; the next one counts the others', async (t) => {
    const said = warnings(t);
    const { client, time } = await start(t, { upstreams: [refusingOrigin()], ejectAfter: 0 });
    await ask(client, 500, 502);
    assert.equal(said.length, 1);
    time.advance(1_000);
    await ask(client, 1, 502);
    assert.equal(said.length, 2);
    assert.match(said[1] ?? '', /^CONNECT_REFUSED .*\(and 499 more like it\)$/);
  });

  test('500 faults of the strategy in a second are one warning; the next one counts the others', async (t) => {
    const said = warnings(t);
    const { client, time } = await start(t, { upstreams: ['http://127.0.0.1:9'], strategy: broken });
    await ask(client, 500, 500);
    assert.deepEqual(said, ['STRATEGY_FAILED strategy broken threw in pick']);
    time.advance(1_000);
    await ask(client, 1, 500);
    assert.equal(said[1], 'STRATEGY_FAILED strategy broken threw in pick (and 499 more like it)');
  });

  test('each upstream has its own warning', async (t) => {
    const said = warnings(t);
    const refusing = [refusingOrigin(), 'http://127.0.0.1:2'];
    const { client } = await start(t, { upstreams: refusing, ejectAfter: 0 });
    await ask(client, 5, 502);
    assert.deepEqual(said.map((each) => each.split(': ')[0]).sort(),
      refusing.map((origin) => `CONNECT_REFUSED ${origin}`).sort());
  });
});

test('an onReport that throws at each of 500 reports is one warning', async (t) => {
  const said = warnings(t);
  const { client } = await start(t, {
    upstreams: ['http://127.0.0.1:9'],
    strategy: broken,
    onReport: () => {
      throw new Error('the log is full');
    },
  });
  await ask(client, 500, 500);
  assert.deepEqual(said, ['HOOK_FAILED onReport threw']);
});

test('a report names the request by its id, where requests have ids', async (t) => {
  const ids: (string | undefined)[] = [];
  const refused: (string | undefined)[] = [];
  const onReport = ({ requestId }: Report): unknown => ids.push(requestId);
  const options = { upstreams: [refusingOrigin()], ejectAfter: 0, onReport };
  const named = await start(t, { ...options, requestId: true });
  named.balancer.on('refused', ({ requestId }) => refused.push(requestId));
  await ask(named.client, 2, 502);
  assert.deepEqual(ids, refused);
  assert.equal(new Set(ids).size, 2);
  const plain = await start(t, options);
  await ask(plain.client, 1, 502);
  assert.equal(ids[2], undefined);
});
