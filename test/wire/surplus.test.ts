/**
 * An upstream that answers more than it was asked, because it took something else for a request. What comes
 * before another request has gone over the connection answers no request, and costs the connection. (What comes later
 * looks exactly like the response to that one: a proxy that reuses connections cannot tell them apart.)
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { echo, head, request, response, type Step, serve, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const EVIL = get('/smuggled');
const SURPLUS = response('/smuggled', 'Set-Cookie: session=of-the-attacker\r\n');

/** What an attacker sends, and the part that a weak upstream takes for a second request. */
const ATTACKS: readonly (readonly [name: string, bytes: string | Buffer])[] = [
  ['the body of GET', post('/attack', EVIL, '', 'GET')],
  ['the body of POST', post('/attack', EVIL)],
  ['chunks', `${get('/attack', 'Transfer-Encoding: chunked\r\n', 'POST')}${String(chunked(EVIL))}`],
  ['nothing', get('/attack')],
];

for (const front of FRONTS) {
  describe(`behind ${front.name}, an upstream that answers two requests where there was one`, () => {
    for (const [name, bytes] of ATTACKS) {
      const ways: readonly (readonly [when: string, steps: (passed: Promise<void>) => readonly Step[]])[] = [
        ['at once', () => [request, response('/attack') + SURPLUS]],
        ['when the first is answered', (passed) => [request, response('/attack'), when(passed), SURPLUS]],
        ['twice', () => [request, response('/attack') + SURPLUS + SURPLUS]],
        ['half', (passed) => [request, response('/attack') + SURPLUS.slice(0, 9), when(passed), SURPLUS.slice(9)]],
        ['with an error', (passed) => [request, response('/attack'), when(passed), response('', '', '400 No')]],
      ];
      for (const [moment, steps] of ways) {
        test(`${name}, ${moment}: another downstream gets its own response, over another connection`, async (t) => {
          const passed = gate();
          const upstream = await startUpstream(t, [steps(passed.opened), echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const [attacker, victim] = [await under.connect(), await under.connect()];
          assert.equal((await attacker.exchange(bytes)).text, '/attack');
          await under.settled(1);
          passed.open();
          await upstream.gone(1);
          const answer = await victim.exchange(get('/victim'));
          assert.equal(answer.text, '/victim');
          assert.equal(answer.head.get('set-cookie'), undefined);
          assert.equal((await attacker.exchange(get('/again'))).text, '/again');
          assert.deepEqual(upstream.peers[1]?.requests.map(({ head: { line } }) => line.split(' ')[1]), [
            '/victim', '/again',
          ]);
        });
      }
    }

    test('before the body of the first has come: it answers no request either', async (t) => {
      const more = gate();
      const upstream = await startUpstream(t, [[head, response('/attack'), when(more.opened), SURPLUS], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const [attacker, victim] = [await under.connect(), await under.connect()];
      attacker.send(post('/attack', EVIL).subarray(0, -1));
      assert.equal((await attacker.response()).text, '/attack');
      more.open();
      await upstream.saw('1 POST /attack');
      // The connection is still the attacker's.
      assert.equal((await victim.exchange(get('/victim'))).text, '/victim');
      attacker.send('\n');
      await upstream.gone(1);
      assert.equal((await victim.exchange(get('/victim'))).text, '/victim');
    });

    const seed = testSeed();
    test(`among many downstreams, at any time (EQUIPOISE_SEED=${seed})`, async (t) => {
      const rng = seededRandom(seed);
      const upstream = await startUpstream(t, serve(({ head: { line } }) => {
        const [, target = ''] = line.split(' ');
        return response(target) + (target === '/attack' ? SURPLUS : '');
      }));
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const clients = await Promise.all(Array.from({ length: 8 }, () => under.connect()));
      let attacks = 0;
      for (let round = 0; round < 40; round++) {
        await Promise.all(clients.map(async (client, i) => {
          if (rng() < 0.3) return;
          const evil = rng() < 0.4;
          const target = evil ? '/attack' : `/${round}/${i}`;
          if (evil) attacks++;
          const answer = await client.exchange(evil ? post(target, EVIL, '', 'GET') : get(target));
          assert.equal(answer.text, target);
          assert.equal(answer.head.get('set-cookie'), undefined);
        }));
      }
      assert.ok(attacks > 0 && upstream.peers.length >= attacks, 'each costs a connection');
    });
  });
}
