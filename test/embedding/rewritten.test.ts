import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { behind } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

describe('a request that somebody else has rewritten', () => {
  test('goes on as it is now', async (t) => {
    const upstream = await startUpstream(t, echo);
    const front = behind((request) => {
      request.url = request.url?.replace('/api', '');
    });
    const under = await startBalancer(t, { upstreams: [upstream], front });
    assert.equal((await (await under.connect()).exchange(get('/api/a'))).text, '/a');
  });

  // A path that a router has decoded can hold any character; cut to an octet these would be CR and LF.
  for (const fields of ['', UPGRADE]) {
    test(`is refused where it holds what no octet stands for${fields === '' ? '' : ', in an upgrade'}`, async (t) => {
      const upstream = await startUpstream(t, []);
      const front = behind((request) => {
        request.url = '/a HTTP/1.1\u010d\u010aX-Forged: yes\u010d\u010a';
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', fields))).status, 400);
      assert.equal(under.picks.length, 0);
    });
  }
});
