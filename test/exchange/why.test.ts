/** Why an exchange went where it went: the event `decided`, and the header X-Equipoise-Why. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DecidedExchange } from '../../src/events.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';

import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

const TOKEN = 'a-token-of-32-characters-or-more';

interface Told {
  readonly pool: string;
  readonly strategy: string;
  readonly attempts: readonly Readonly<Record<string, unknown>>[];
}

for (const front of FRONTS) {
  describe(`why, through ${front.name}:`, () => {
    test('the event has the candidates as the strategy saw them, and how each attempt ended', async (t) => {
      const [upstream, refusing] = [await startUpstream(t, echo), refusingOrigin()];
      const under = await startBalancer(t, { front, upstreams: [refusing, upstream] });
      const events: DecidedExchange[] = [];
      under.balancer.on('decided', (event) => events.push(event));
      assert.equal((await (await under.connect()).exchange(get('/a?b'))).status, 200);
      await under.settled(2);
      await turns(3);
      const [event] = events;
      assert.ok(event !== undefined);
      const seen = { weight: 1, inFlight: 0, latencyMs: 0 };
      const { id, attempts, ...rest } = event;
      assert.match(id, /^[\da-f-]{36}$/);
      assert.deepEqual(rest, {
        method: 'GET', target: '/a?b', status: 200, code: undefined, pool: 'default', strategy: 'first', durationMs: 0,
      });
      assert.deepEqual(JSON.parse(JSON.stringify(attempts)), [
        {
          candidates: [{ origin: refusing, ...seen }, { origin: upstream.origin, ...seen }], of: 2, upstream: refusing,
          code: 'CONNECT_REFUSED', durationMs: 0,
        },
        {
          candidates: [{ origin: upstream.origin, ...seen }], of: 1, upstream: upstream.origin, status: 200,
          durationMs: 0,
        },
      ]);
    });

    test('a request with the token is told; the header goes no further', async (t) => {
      const [upstream, refusing] = [await startUpstream(t, echo), refusingOrigin()];
      const under = await startBalancer(t, { front, upstreams: [refusing, upstream], why: { token: TOKEN } });
      const client = await under.connect();
      const { head } = await client.exchange(get('/', `X-Equipoise-Why: ${TOKEN}\r\nX-Other: 1\r\n`));
      const told = JSON.parse(head.all('x-equipoise-why')[0] ?? 'null') as Told;
      assert.deepEqual([told.pool, told.strategy], ['default', 'first']);
      assert.deepEqual(told.attempts.map(({ upstream: origin, code, status }) => [origin, code ?? status]),
        [[refusing, 'CONNECT_REFUSED'], [upstream.origin, 200]]);
      const sent = upstream.requests[0]?.head;
      assert.deepEqual([sent?.all('x-equipoise-why'), sent?.all('x-other')], [[], ['1']]);
    });

    test('without the token, or with a wrong one, nothing is told, and it still goes no further', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { front, upstreams: [upstream], why: { token: TOKEN } });
      const client = await under.connect();
      for (const value of [undefined, `${TOKEN}x`, '', `x${TOKEN.slice(1)}`]) {
        const line = value === undefined ? '' : `X-Equipoise-Why: ${value}\r\n`;
        const { head } = await client.exchange(get('/', line));
        assert.deepEqual(head.all('x-equipoise-why'), []);
      }
      for (const { head } of upstream.requests) assert.deepEqual(head.all('x-equipoise-why'), []);
    });

    test('our own answer tells it, too, and does not keep it for the next request', async (t) => {
      const under = await startBalancer(t, { front, upstreams: [], why: { token: TOKEN } });
      const client = await under.connect();
      const first = await client.exchange(get('/', `X-Equipoise-Why: ${TOKEN}\r\n`));
      assert.deepEqual([first.status, first.head.all('x-equipoise-why').length], [503, 1]);
      const second = await client.exchange(get('/'));
      assert.deepEqual([second.status, second.head.all('x-equipoise-why').length], [503, 0]);
    });
  });
}

test('of many requests in a second, some 200 are told', async (t) => {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream] });
  let count = 0;
  under.balancer.on('decided', () => count++);
  const client = await under.connect();
  for (let i = 0; i < 250; i++) await client.exchange(get('/'));
  assert.equal(count, 200);
});
