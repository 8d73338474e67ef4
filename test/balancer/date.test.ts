import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { echo, startUpstream } from '../support/upstream.ts';

test('the Date of a response without one is that of the last tick', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream] });
  const client = await under.connect();
  const date = async (): Promise<number> => Date.parse((await client.exchange(get())).head.get('date') ?? '');
  const second = (): number => Math.floor(under.time.epoch() / 1_000) * 1_000;
  assert.equal(await date(), second());
  for (const ms of [250, 250, 250, 250, 10_000]) {
    await under.advance(ms);
    assert.equal(await date(), second());
  }
});
