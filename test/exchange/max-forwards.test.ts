import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, FRONTS, serve } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { echo, startUpstream } from '../support/upstream.ts';
import { within } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`Max-Forwards through ${front.name} (RFC 9110 §7.6.2)`, () => {
    test('0: OPTIONS is answered, and goes no further', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      for (const [target, value] of [['/a', '0'], ['*', '0'], ['/', '000']] as const) {
        const answer = await client.exchange(get(target, `Max-Forwards: ${value}\r\n`, 'OPTIONS'));
        assert.equal(answer.status, 200);
        assert.equal(answer.text, '');
      }
      assert.equal((await client.exchange(get('/next'))).text, '/next');
      assert.equal(under.picks.length, 1);
      assert.deepEqual(under.reports, []);
    });

    test('0: TRACE returns the request, without secrets', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const fields = 'Max-Forwards: 0\r\nVia: 1.1 edge\r\nCookie: secret=1\r\nAuthorization: Basic secret\r\n';
      const answer = await client.exchange(get('/a?b', fields, 'TRACE'));
      assert.equal(answer.status, 200);
      assert.equal(answer.head.get('content-type'), 'message/http');
      assert.equal(answer.text,
        'TRACE /a?b HTTP/1.1\r\nHost: example.test\r\nMax-Forwards: 0\r\nVia: 1.1 edge\r\n\r\n');
      assert.equal(under.picks.length, 0);
    });

    for (const method of ['OPTIONS', 'TRACE']) {
      for (const [came, sent] of [['1', '0'], ['10', '9'], ['007', '6'], ['99999999999999999999', '65534']]) {
        test(`${method}: ${came ?? ''} is counted down`, async (t) => {
          const upstream = await startUpstream(t, echo);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          // The field is ours, so Connection cannot remove it.
          const fields = `Max-Forwards: ${came ?? ''}\r\nConnection: max-forwards\r\n`;
          await (await under.connect()).exchange(get('/', fields, method));
          assert.deepEqual(upstream.requests[0]?.head.all('max-forwards'), [sent]);
        });
      }

      for (const fields of ['-1', '+1', '1.0', '', 'a', '0x1', '1 1', '1, 1', '0\r\nMax-Forwards: 5']) {
        test(`${method}: ${JSON.stringify(fields)} is malformed`, async (t) => {
          const upstream = await startUpstream(t, echo);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const answer = await (await under.connect()).exchange(get('/', `Max-Forwards: ${fields}\r\n`, method));
          assert.equal(answer.status, 400);
          assert.equal(under.picks.length, 0);
        });
      }

      test(`${method} without it passes unchanged`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        await (await under.connect()).exchange(get('/', '', method));
        assert.deepEqual(upstream.requests[0]?.head.all('max-forwards'), []);
      });
    }

    test('of other methods it passes as it came', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      await (await under.connect()).exchange(get('/', 'Max-Forwards: 0\r\n'));
      assert.equal(upstream.requests[0]?.head.get('max-forwards'), '0');
    });
  });
}

test('over HTTP/2: Max-Forwards is answered, and Via says the version', async (t) => {
  const upstream = await startUpstream(t, echo);
  const front: FrontKind = { name: 'h2c', open: (balancer) => serve(http2.createServer(balancer.handle)) };
  const under = await startBalancer(t, { upstreams: [upstream], front, trustForwarded: true });
  const session = http2.connect(`http://127.0.0.1:${under.port}`);
  atEnd(t, () => {
    session.destroy();
  });
  const ask = (fields: http2.OutgoingHttpHeaders): Promise<unknown> => {
    const stream = session.request(fields, { endStream: true });
    return within(new Promise((resolve) => stream.resume().once('response', resolve)), () => 'a response');
  };
  const answer = await ask({ ':method': 'OPTIONS', ':path': '/', 'max-forwards': '0' });
  assert.equal((answer as { ':status': number })[':status'], 200);
  assert.equal(under.picks.length, 0);
  await ask({ ':path': '/', via: '1.1 edge' });
  await under.settled(1);
  assert.equal(upstream.requests[0]?.head.get('via'), '1.1 edge, 2.0 equipoise');
});
