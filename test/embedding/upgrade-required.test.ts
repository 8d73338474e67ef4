/**
 * 426 names the protocol in Upgrade, and Connection names Upgrade (RFC 9110 §15.5.22). With that field set, node:http
 * no longer decides about the connection.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, FRONTS, serve, UNTIMED } from '../support/fronts.ts';
import { response, serve as answering, startUpstream } from '../support/upstream.ts';

const OFFER = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const REQUIRED = response('no', OFFER, '426 Upgrade Required');
const ONE_REQUEST: FrontKind = {
  name: 'node:http with maxRequestsPerSocket',
  open: (balancer) => {
    const server = http.createServer(UNTIMED, balancer.handle);
    server.maxRequestsPerSocket = 1;
    return serve(server);
  },
};

describe('426 with Upgrade', () => {
  for (const front of FRONTS) {
    test(`through ${front.name}: a client that says close is closed after it`, async (t) => {
      const upstream = await startUpstream(t, answering(() => REQUIRED));
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const { status, head } = await client.exchange(get('/', 'Connection: close\r\n'));
      assert.equal(status, 426);
      assert.equal(head.get('upgrade'), 'websocket');
      assert.equal(head.get('connection'), 'Upgrade, close');
      assert.equal(await client.over(), 'end');
    });

    test(`through ${front.name}: another one keeps its connection`, async (t) => {
      const upstream = await startUpstream(t, answering(() => REQUIRED));
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      for (let i = 0; i < 2; i++) {
        const { status, head } = await client.exchange(get());
        assert.deepEqual([status, head.get('connection')], [426, 'Upgrade']);
      }
    });
  }

  test('as the last response that the server allows on a connection: closed after it', async (t) => {
    const upstream = await startUpstream(t, answering(() => REQUIRED));
    const under = await startBalancer(t, { upstreams: [upstream], front: ONE_REQUEST });
    const client = await under.connect();
    assert.equal((await client.exchange(get())).head.get('connection'), 'Upgrade, close');
    assert.equal(await client.over(), 'end');
  });
});
