import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { behind } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

describe('a request that other code has rewritten', () => {
  test('is forwarded as it is now', async (t) => {
    const upstream = await startUpstream(t, echo);
    const front = behind((request) => {
      request.url = request.url?.replace('/api', '');
    });
    const under = await startBalancer(t, { upstreams: [upstream], front });
    assert.equal((await (await under.connect()).exchange(get('/api/a'))).text, '/a');
  });

  // A path that a router has decoded can hold any character; cut to an octet the second kind would be CR and LF.
  for (const fields of ['', UPGRADE]) for (const [what, end] of [['line ends', '\r\n'], ['no octet', '\u010d\u010a']]) {
    test(`is refused where it holds ${what}${fields === '' ? '' : ', in an upgrade'}`, async (t) => {
      const upstream = await startUpstream(t, []);
      const front = behind((request) => {
        request.url = `/a HTTP/1.1${end}X-Forged: yes${end}X-Rest:`;
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', fields))).status, 400);
      assert.equal(under.picks.length, 0);
    });
  }

  test('is refused where its method holds line ends', async (t) => {
    const upstream = await startUpstream(t, []);
    const front = behind((request) => {
      request.method = 'GET /a HTTP/1.1\r\nX-Forged: yes\r\nX-Rest: PUT';
    });
    const under = await startBalancer(t, { upstreams: [upstream], front });
    assert.equal((await (await under.connect()).exchange(get())).status, 400);
    assert.equal(under.picks.length, 0);
  });
});
