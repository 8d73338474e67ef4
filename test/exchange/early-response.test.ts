import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { close, echo, halfClose, head, reset, response, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const LENGTH = 300_000;
const BODY = pattern(LENGTH);

/** An upload in two ways of framing: its head, and the whole of its body as sent. */
const UPLOADS: readonly (readonly [name: string, head: string, body: Buffer])[] = [
  ['of known length', get('/', `Content-Length: ${LENGTH}\r\n`, 'POST'), BODY],
  ['in chunks', get('/', 'Transfer-Encoding: chunked\r\n', 'POST'), chunked(BODY, 10_000)],
];

for (const front of FRONTS) {
  for (const [name, uploadHead, body] of UPLOADS) {
    describe(`a response before the request is complete, through ${front.name}, upload ${name}`, () => {
      test('the upstream reads on: it gets the whole body, and both connections serve the next', async (t) => {
        const upstream = await startUpstream(t, [[async (peer) => {
          const received = await peer.head();
          peer.send(response('early'));
          assert.deepEqual((await peer.body(received)).bytes, BODY);
        }, echo]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(uploadHead).send(body.subarray(0, 1000));
        const answer = await client.response();
        assert.equal(answer.text, 'early');
        client.send(body.subarray(1000));
        await under.settled(1);
        // To its very end, without another request to push it out.
        await upstream.saw(`1 body ${LENGTH}`);
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.deepEqual(upstream.plainEvents.slice(0, 4), ['open', 'POST /', `body ${LENGTH}`, 'GET /next']);
      });

      test('the upstream closes after its answer: the downstream gets it, and the rest is discarded', async (t) => {
        const read = gate();
        const upstream = await startUpstream(t, [
          [head, response('early', 'Connection: close\r\n'), halfClose, when(read.opened), close], echo,
        ]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(uploadHead).send(body.subarray(0, 1000));
        const answer = await client.response();
        assert.equal(answer.text, 'early');
        read.open();
        await under.settled(1);
        client.send(body.subarray(1000));
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.deepEqual(under.outcomes.map(({ ok }) => ok), [true, true]);
        assert.deepEqual(under.reports, []);
      });

      test('the upstream resets the connection after its answer: the answer still counts', async (t) => {
        const read = gate();
        const upstream = await startUpstream(t, [
          [head, response('early'), when(read.opened), reset], echo,
        ]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(uploadHead).send(body.subarray(0, 1000));
        assert.equal((await client.response()).text, 'early');
        read.open();
        await under.settled(1);
        client.send(body.subarray(1000));
        assert.equal((await client.exchange(get('/next'))).text, '/next');
        assert.deepEqual(under.outcomes.map(({ ok }) => ok), [true, true]);
      });

      test('a body until close: the close ends the response', async (t) => {
        const upstream = await startUpstream(t, [
          [head, 'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\ntoo much', halfClose], echo,
        ]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(uploadHead).send(body.subarray(0, 1000));
        const answer = await client.response();
        assert.equal(answer.status, 413);
        assert.equal(answer.text, 'too much');
      });
    });
  }

  test(`through ${front.name} an answer gets past an upload that the upstream does not read`, async (t) => {
    const answered = gate();
    const upstream = await startUpstream(t, [
      [head, when(answered.opened), response('stop', '', '413 Content Too Large'), when(gate().opened)],
    ]);
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    client.send(get('/', `Content-Length: ${64 << 20}\r\n`, 'POST')).send(Buffer.alloc(64 << 20));
    await upstream.saw('1 POST /');
    answered.open();
    assert.equal((await client.response()).text, 'stop');
    // A connection that is not read does not show that it is closed: the timeout notices it at the latest.
    client.destroy();
    await under.advance(60_000);
    await under.settled(1);
  });
}

describe('the rest of an upload whose answer is sent', () => {
  const LIMIT = 1 << 20;

  async function answered(t: Parameters<typeof startUpstream>[0], length: number) {
    const read = gate();
    const upstream = await startUpstream(t, [[head, response('early'), when(read.opened), reset], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(get('/', `Content-Length: ${length}\r\n`, 'POST'));
    assert.equal((await client.response()).text, 'early');
    read.open();
    await under.settled(1);
    return { under, client };
  }

  test('is discarded up to 1 MiB', async (t) => {
    const { client } = await answered(t, LIMIT);
    client.send(Buffer.alloc(LIMIT));
    assert.equal((await client.exchange(get('/next'))).text, '/next');
  });

  test('beyond 1 MiB it costs the connection', async (t) => {
    const { client, under } = await answered(t, LIMIT + 70_000);
    client.send(Buffer.alloc(LIMIT + 70_000)).send(get('/next'));
    await client.over();
    assert.equal(under.picks.length, 1);
  });

  test('has the time of a keep-alive connection, counted from its answer', async (t) => {
    const read = gate();
    const upstream = await startUpstream(t, [[head, response('early'), when(read.opened), reset], echo]);
    const under = await startBalancer(t, {
      upstreams: [upstream], front: SOCKET, keepAliveTimeoutMs: 1_000, responseTimeoutMs: 60_000, idleTimeoutMs: 60_000,
    });
    const client = await under.connect();
    client.send(get('/', 'Content-Length: 5\r\n', 'POST'));
    await upstream.saw('1 POST /');
    // The exchange itself takes longer than an idle connection is kept.
    await under.advance(5_000);
    assert.equal((await client.response()).text, 'early');
    read.open();
    await under.settled(1);
    await under.advance(999);
    client.send('hello');
    assert.equal((await client.exchange(get('/next'))).text, '/next');
  });

  test('that never comes costs the connection', async (t) => {
    const { client, under } = await answered(t, 5);
    await under.advance(60_000);
    await client.over();
  });

  test('that is malformed costs the connection', async (t) => {
    const read = gate();
    const upstream = await startUpstream(t, [[head, response('early'), when(read.opened), reset], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST'));
    assert.equal((await client.response()).text, 'early');
    read.open();
    await under.settled(1);
    client.send(`zz\r\n${get('/next')}`);
    await client.over();
    assert.equal(under.picks.length, 1);
  });
});
