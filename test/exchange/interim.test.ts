import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, NODE_HTTP, SOCKET } from '../support/fronts.ts';
import { echo, head, request, response, startUpstream } from '../support/upstream.ts';

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

for (const front of FRONTS) {
  describe(`interim responses through ${front.name}`, () => {
    test('103 is passed on before the final response', async (t) => {
      const upstream = await startUpstream(t, [[request, HINTS, () => hinted, response('done'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      let told = (): void => undefined;
      const hinted = new Promise<void>((resolve) => {
        told = resolve;
      });
      client.send(get());
      const hints = await client.head();
      assert.match(hints.line, /^HTTP\/1\.1 103 /);
      assert.equal(hints.get('link'), '</a.css>; rel=preload; as=style');
      told();
      assert.equal((await client.response()).text, 'done');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('several 103 are passed on', async (t) => {
      const upstream = await startUpstream(t, [[request, HINTS + HINTS, HINTS, response('done')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(get());
      assert.deepEqual(answer.interims.map(({ line }) => line.split(' ')[1]), ['103', '103', '103']);
      assert.equal(answer.text, 'done');
    });

    // What node:http cannot send must do no harm either.
    for (const link of ['</a>; title="a b"', '<a', 'nonsense', '</a>; rel="preload"; nopush, </b>; rel=preload', '']) {
      test(`103 with Link: ${link}`, async (t) => {
        const hints = `HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\n`;
        const upstream = await startUpstream(t, [[request, hints, response('done'), echo]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        assert.equal((await client.exchange(get())).text, 'done');
        assert.equal((await client.exchange(get('/next'))).text, '/next');
      });
    }

    test('103 without fields does no harm', async (t) => {
      const upstream = await startUpstream(t, [[request, 'HTTP/1.1 103 Early Hints\r\n\r\n', response('done')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      assert.equal((await (await under.connect()).exchange(get())).text, 'done');
    });

    test('nothing interim is sent to an HTTP/1.0 downstream (RFC 9110 §15.2)', async (t) => {
      const upstream = await startUpstream(t, [[request, HINTS + CONTINUE, response('done')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange('GET / HTTP/1.0\r\n\r\n');
      assert.deepEqual(answer.interims, []);
      assert.equal(answer.text, 'done');
    });

    test('an unexpected 100 is swallowed', async (t) => {
      const upstream = await startUpstream(t, [[request, CONTINUE + CONTINUE, response('done'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(get());
      assert.deepEqual(answer.interims, []);
      assert.equal(answer.text, 'done');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });
  });

  describe(`Expect: 100-continue through ${front.name}`, () => {
    const expecting = get('/', 'Content-Length: 5\r\nExpect: 100-continue\r\n', 'POST');

    test('the body comes after the downstream got a 100', async (t) => {
      const upstream = await startUpstream(t, [[head, CONTINUE, async (peer) => {
        assert.equal((await peer.inbox.exactly(5)).toString(), 'hello');
      }, response('done'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(expecting);
      assert.match((await client.head()).line, /^HTTP\/1\.1 100 /);
      client.send('hello');
      const answer = await client.response();
      assert.equal(answer.text, 'done');
      assert.deepEqual(answer.interims, [], '100 came once');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('the body comes unasked, with the head', async (t) => {
      const upstream = await startUpstream(t, [[request, CONTINUE, response('done'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(`${expecting}hello`);
      assert.equal(answer.text, 'done');
      assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('the upstream never sends 100, and the downstream stops waiting', async (t) => {
      const upstream = await startUpstream(t, [[request, response('done'), echo]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(expecting);
      await upstream.saw('1 open');
      client.send('hello');
      assert.equal((await client.response()).text, 'done');
      assert.equal((await client.exchange(get('/next'))).text, '/next');
    });

    test('Expect from an HTTP/1.0 downstream is ignored (RFC 9110 §10.1.1)', async (t) => {
      const upstream = await startUpstream(t, [[request, response('done')]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const answer = await client.exchange(
        'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello');
      assert.deepEqual(answer.interims, []);
      assert.equal(answer.text, 'done');
      assert.equal(upstream.requests[0]?.head.get('expect'), undefined);
    });

    test('another expectation is answered 417', async (t) => {
      const upstream = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', 'Expect: miracles\r\n'))).status, 417);
    });
  });
}

describe('Expect: 100-continue on a socket of our own', () => {
  const expecting = get('/', 'Content-Length: 5\r\nExpect: 100-continue\r\n', 'POST');

  test('is answered by the upstream', async (t) => {
    const upstream = await startUpstream(t, [[request, response('done')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(`${expecting}hello`);
    await client.response();
    assert.equal(upstream.requests[0]?.head.get('expect'), '100-continue');
  });

  test('refused: the connection ends at once with the answer, and the upstream gets no body', async (t) => {
    const upstream = await startUpstream(t, [[head, response('who are you?', '', '401 Unauthorized')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(expecting);
    const answer = await client.response();
    assert.equal(answer.status, 401);
    assert.equal(answer.text, 'who are you?');
    assert.deepEqual(answer.interims, []);
    assert.equal(answer.head.get('connection'), 'close');
    // Nothing may keep waiting for a body that will not come.
    assert.equal(await client.over(), 'end');
    await under.settled(1);
    await upstream.gone(1);
  });

  test('refused with the body already on its way: it is not taken for a request', async (t) => {
    const upstream = await startUpstream(t, [[head, response('no', '', '401 Unauthorized')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(expecting);
    assert.equal((await client.response()).status, 401);
    client.send(`hello${get('/next')}`);
    assert.equal(await client.over(), 'end');
    assert.equal(under.picks.length, 1);
  });
});

test('102 is passed on through the socket, and dropped by node:http, which cannot send it', async (t) => {
  for (const front of [SOCKET, NODE_HTTP]) {
    const upstream = await startUpstream(t, [[request, 'HTTP/1.1 102 Processing\r\n\r\n', response('done')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const answer = await (await under.connect()).exchange(get());
    assert.equal(answer.interims.length, front === SOCKET ? 1 : 0);
    assert.equal(answer.text, 'done');
  }
});
