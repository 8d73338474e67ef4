import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasPassed } from '../../src/http1/forwarding.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

describe('a Via field', () => {
  const table: readonly [via: string, passed: boolean][] = [
    ['1.1 edge-1', true],
    ['1.0 edge-1', true],
    ['HTTP/1.1 edge-1', true],
    ['2 EDGE-1', true],
    ['1.1\t edge-1 ', true],
    ['1.1 other, 1.1 edge-1', true],
    ['1.1 edge-1, 1.1 other', true],
    ['1.1 edge-1 (a comment, of more than a word)', true],
    ['1.1 other (one \\) more), 1.1 edge-1', true],
    ['1.1 other(comment),1.1 edge-1(comment)', true],
    ['', false],
    ['1.1 other', false],
    ['1.1 edge-10', false],
    ['1.1 my.edge-1', false],
    ['1.1 edge-1:80', false],
    ['edge-1', false],
    ['edge-1 other', false],
    ['1.1 other edge-1', false],
    ['1.1 other (1.1 edge-1)', false],
    ['1.1 other (see, 1.1 edge-1)', false],
    ['1.1 other (see (or not), 1.1 edge-1)', false],
  ];
  for (const [via, passed] of table) {
    test(`'${via}' ${passed ? 'names' : 'does not name'} edge-1`, () => {
      assert.equal(hasPassed(via, 'edge-1'), passed);
      assert.equal(hasPassed(via, 'Edge-1'), passed);
    });
  }
});

for (const front of FRONTS) {
  describe(`a loop, through ${front.name}`, () => {
    test('ends at the second arrival: 508, which is passed all the way back', async (t) => {
      const under = await startBalancer(t, { upstreams: [], front });
      under.balancer.add(`http://127.0.0.1:${under.port}`);
      const client = await under.connect();
      const answer = await client.exchange(get());
      assert.equal(answer.status, 508);
      assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_loop_detected');
      assert.equal(under.picks.length, 1);
      // It was the answer of an upstream, as far as the first arrival can tell.
      assert.deepEqual(under.outcomes.map(({ ok, status }) => [ok, status]), [[true, 508]]);
      assert.equal((await client.exchange(get())).status, 508, 'the connection goes on');
    });

    test('of a request with a body: 508', async (t) => {
      const under = await startBalancer(t, { upstreams: [], front });
      const client = await under.connect();
      client.send(`${get('/', 'Via: 1.1 equipoise\r\nContent-Length: 5\r\n', 'POST')}hello`);
      assert.equal((await client.response()).status, 508);
    });

    test('is detected by the name of the balancer, and by no other', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, via: 'edge-1' });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', 'Via: 1.1 equipoise\r\n'))).status, 200);
      assert.equal((await client.exchange(get('/', 'Via: 1.0 a\r\nVia: 1.1 b, 1.1 edge-1\r\n'))).status, 508);
      // A downstream cannot nominate Via away.
      assert.equal((await client.exchange(get('/', 'Via: 1.1 edge-1\r\nConnection: via\r\n'))).status, 508);
    });

    test('is not detected without a name', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, via: false });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', 'Via: 1.1 equipoise\r\n'))).status, 200);
    });
  });
}
