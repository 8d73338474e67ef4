/**
 * The id of a request: taken from a trusted downstream or made, sent upstream, seen by hooks, events and reports.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestId } from '../../src/exchange/request-id.ts';
import { answering } from '../support/replies.ts';
import { echo, type Received, refusingOrigin, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

/** The values of a header, line by line. */
function valuesOf({ head: { text } }: Received, name: string): string[] {
  const prefix = `${name.toLowerCase()}: `;
  const lines = text.split('\r\n').filter((line) => line.toLowerCase().startsWith(prefix));
  return lines.map((line) => line.slice(prefix.length));
}

function ids({ requests }: ScriptedUpstream, name = 'x-request-id'): string[] {
  return requests.flatMap((received) => valuesOf(received, name));
}

for (const way of WAYS) {
  describe(`request ids through ${way.name}`, () => {
    test('without the option nothing is added, and what came is passed on', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask, under } = await way.start(t, { upstreams: [upstream] });
      const events: object[] = [];
      under.balancer.on('settled', (event) => events.push(event));
      await ask();
      await ask({ headers: { 'x-request-id': 'a b' } });
      assert.deepEqual(ids(upstream), ['a b']);
      assert.ok(events.every((event) => !('requestId' in event)));
    });

    for (const hooked of [false, true]) {
      describe(hooked ? 'with hooks' : 'without hooks', () => {
        const seen: string[] = [];
        const hooks = hooked ? {
          onRequest: ({ request }: { request: { id: string; headers: { get(name: string): string | null } } }) => {
            seen.push(request.id, request.headers.get('x-request-id') ?? '');
          },
        } : {};

        test('each request gets one of its own, in place of that of a downstream', async (t) => {
          seen.length = 0;
          const upstream = await startUpstream(t, echo);
          const { ask } = await way.start(t, { upstreams: [upstream], requestId: true, ...hooks });
          await ask();
          await ask({ headers: { 'x-request-id': 'forged' } });
          await ask({ headers: { 'x_request_id': 'forged' } });
          const sent = ids(upstream);
          assert.equal(sent.length, 3);
          assert.equal(new Set(sent).size, 3);
          for (const id of sent) assert.match(id, UUID);
          assert.ok(upstream.requests.every(({ head: { text } }) => !text.includes('forged')));
          if (hooked) assert.deepEqual(seen, sent.flatMap((id) => [id, id]));
        });

        test('that of a trusted downstream stays, if it can be one', async (t) => {
          seen.length = 0;
          const upstream = await startUpstream(t, echo);
          const { ask } = await way.start(t, {
            upstreams: [upstream], requestId: true, trustForwarded: true, ...hooks,
          });
          await ask({ headers: { 'x-request-id': 'abc-1' } });
          await ask({ headers: { 'x-request-id': 'with space' } });
          await ask({ headers: { 'x-request-id': 'x'.repeat(129) } });
          await ask();
          const [first, ...others] = ids(upstream);
          assert.equal(first, 'abc-1');
          assert.equal(others.length, 3);
          for (const id of others) assert.match(id, UUID);
          if (hooked) assert.deepEqual(seen, ids(upstream).flatMap((id) => [id, id]));
        });

        test('another header may carry it', async (t) => {
          const upstream = await startUpstream(t, echo);
          const { ask } = await way.start(t, {
            upstreams: [upstream], requestId: 'X-Correlation-Id', trustForwarded: true, ...hooks,
          });
          await ask({ headers: { 'x-correlation-id': 'abc-1', 'x-request-id': 'passed on' } });
          assert.deepEqual(ids(upstream, 'x-correlation-id'), ['abc-1']);
          assert.deepEqual(ids(upstream), ['passed on']);
        });

        test('a route edits it too', async (t) => {
          const upstream = await startUpstream(t, echo);
          const { ask } = await way.start(t, {
            upstreams: [upstream], requestId: true, ...hooks,
            routes: [
              { path: '/without', requestHeaders: { 'x-request-id': null, 'x-edge': 'eu', 'x-forwarded-for': null } },
              {},
            ],
          });
          await ask({ target: '/without' });
          await ask({ target: '/with' });
          assert.equal(ids(upstream).length, 1);
          assert.deepEqual(ids(upstream, 'x-edge'), ['eu']);
          assert.deepEqual(upstream.requests.map((received) => valuesOf(received, 'x-forwarded-for').length), [0, 1]);
        });
      });
    }

    test('retries and copies have the same, and so have events and reports', async (t) => {
      const busy = await startUpstream(t, answering(503));
      const upstream = await startUpstream(t, echo);
      const shadow = await startUpstream(t, echo);
      const told: [event: string, id: string | undefined][] = [];
      let id = '';
      const { ask, under } = await way.start(t, {
        upstreams: [refusingOrigin(), busy, upstream], pools: { shadow: { upstreams: [shadow.origin] } },
        requestId: true, retryOn: [503], maxMirrored: 1,
        onRequest: (exchange) => {
          ({ id } = exchange.request);
          exchange.mirror('shadow');
          exchange.mirror('shadow');
        },
      });
      for (const name of ['retried', 'settled', 'refused', 'mirrorDropped'] as const) {
        under.balancer.on(name, ({ requestId }) => told.push([name, requestId]));
      }
      assert.equal((await ask()).status, 200);
      await shadow.read(1);
      for (let i = 0; i < 1_000 && told.length < 7; i++) await turns(1);
      assert.match(id, UUID);
      assert.deepEqual([ids(busy), ids(upstream), ids(shadow)], [[id], [id], [id]]);
      assert.deepEqual(told.map(([name]) => name).sort(), [
        'mirrorDropped', 'retried', 'retried', 'settled', 'settled', 'settled', 'settled',
      ]);
      assert.ok(told.every(([, told]) => told === id));
    });

    test('what is answered here has one as well, for onError and events', async (t) => {
      let id = '';
      const refused: (string | undefined)[] = [];
      const { ask, under } = await way.start(t, {
        upstreams: [refusingOrigin()], requestId: true,
        onError: ({ request }) => {
          ({ id } = request);
        },
      });
      under.balancer.on('refused', ({ requestId }) => refused.push(requestId));
      assert.equal((await ask()).status, 502);
      assert.match(id, UUID);
      assert.deepEqual(refused, [id]);
    });
  });
}

test('new ids are UUIDs, all different', () => {
  const made = Array.from({ length: 1_000 }, () => requestId(undefined));
  for (const id of made) assert.match(id, UUID);
  assert.equal(new Set(made).size, made.length);
  // Each place that is random takes each of its values.
  for (let at = 0; at < 36; at++) {
    const values = new Set(made.map((id) => id[at])).size;
    assert.equal(values, at === 14 || made[0]?.[at] === '-' ? 1 : at === 19 ? 4 : 16, `place ${at}`);
  }
});
