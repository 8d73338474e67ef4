import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { NODE_HTTP } from '../support/fronts.ts';
import { echo, head, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

describe('the total of connections', () => {
  test('one too many gets an answer that says so, and is closed; the others go on', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], maxConnections: 2 });
    const first = await under.connect();
    const second = await under.connect();
    assert.equal((await first.exchange(get('/1'))).text, '/1');
    assert.equal((await second.exchange(get('/2'))).text, '/2');
    const third = await under.connect();
    // Refused before it sends a request.
    const answer = await third.response();
    assert.equal(answer.status, 503);
    assert.equal(answer.head.get('connection'), 'close');
    assert.equal(answer.head.get('retry-after'), '1');
    assert.equal(answer.head.get('proxy-status'), 'equipoise; error=http_request_denied');
    // A request that crosses the refusal on its way does not turn it into a reset.
    third.send(get('/3'));
    assert.equal(await third.over(), 'end');
    assert.deepEqual(under.reports, ['CONNECTIONS_EXHAUSTED']);
    assert.equal((await first.exchange(get('/1'))).text, '/1');
    assert.equal((await second.exchange(get('/2'))).text, '/2');
    assert.equal(upstream.requests.length, 4);
  });

  test('the place of one that has left is free again', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], maxConnections: 1 });
    for (let i = 0; i < 5; i++) {
      const client = await under.connect();
      assert.equal((await client.exchange(get('/', 'Connection: close\r\n'))).status, 200);
      assert.equal(await client.over(), 'end');
      client.end();
      // The balancer knows of its end once it has read it: a turn of the loop after the client.
      await under.advance(0);
    }
    assert.deepEqual(under.reports, []);
  });

  test('no more refused ones linger than may be served', async (t) => {
    const under = await startBalancer(t, { upstreams: [], maxConnections: 2 });
    const clients = [];
    for (let i = 0; i < 5; i++) clients.push(await under.connect());
    const ends: string[] = [];
    for (const client of clients.slice(2)) ends.push(await client.head().then(({ line }) => line, () => 'cut'));
    assert.deepEqual(ends, ['HTTP/1.1 503 Service Unavailable', 'HTTP/1.1 503 Service Unavailable', 'cut']);
    assert.equal((await clients[0]?.exchange(get()))?.status, 503, 'a place is no promise of an upstream');
  });

  test('a refused one that stays is cut', async (t) => {
    const under = await startBalancer(t, { upstreams: [], maxConnections: 1 });
    await under.connect();
    const refused = await under.connect();
    assert.equal((await refused.response()).status, 503);
    await under.advance(2_000);
    await refused.over();
  });

  test('connections of node:http do not count, tunnels included: its server counts them', async (t) => {
    const upstream = await startUpstream(t, (peer) => peer.request().then(({ head: { line } }) => {
      peer.send(line.includes('/plain')
        ? response('plain')
        : 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n');
    }));
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP, maxConnections: 1 });
    const upgrade = get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n');
    const first = await under.connect();
    assert.match((await first.send(upgrade).head()).line, / 101 /);
    const second = await under.connect();
    assert.match((await second.send(upgrade).head()).line, / 101 /);
    assert.equal((await (await under.connect()).exchange(get('/plain'))).text, 'plain');
    first.destroy();
    second.destroy();
  });
});

describe('requests on one connection', () => {
  test('the last one is answered with close, and the connection is closed after it', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], maxRequestsPerConnection: 3 });
    for (let i = 0; i < 2; i++) {
      const client = await under.connect();
      for (const told of [undefined, undefined, 'close']) {
        const answer = await client.exchange(get('/'));
        assert.deepEqual([answer.status, answer.head.get('connection')], [200, told]);
      }
      assert.equal(await client.over(), 'end');
    }
    assert.equal(upstream.peers.length, 1, 'upstream connections are not meant');
  });

  test('what is pipelined behind the last one is not served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], maxRequestsPerConnection: 2 });
    const client = await under.connect();
    client.send(get('/1') + get('/2') + get('/3'));
    const answers = [await client.response(), await client.response()];
    assert.deepEqual(answers.map(({ text, head: answer }) => [text, answer.get('connection')]),
      [['/1', undefined], ['/2', 'close']]);
    assert.equal(await client.over(), 'end');
    assert.equal(upstream.requests.length, 2);
  });
});

describe('bytes held back', () => {
  test('pause reading at the limit, and everything is served in the end', async (t) => {
    const answer = gate();
    const upstream = await startUpstream(t, [[
      request, when(answer.opened), response('first'), (peer): Promise<void> => Promise.resolve(echo(peer)),
    ]]);
    const under = await startBalancer(t, { upstreams: [upstream], maxHeldBytes: 1 });
    const client = await under.connect();
    const count = 20_000;
    client.send(get('/0'));
    await upstream.read(1);
    // Some megabytes: far more than the kernel's buffers and one read hold.
    const padding = `X-Padding: ${'p'.repeat(1_000)}\r\n`;
    client.send(Array.from({ length: count }, (_, i) => get(`/${i + 1}`, padding)).join(''));
    await under.advance(0);
    assert.ok(client.socket.writableLength > 0, 'the balancer does not read it all');
    answer.open();
    assert.equal((await client.response()).text, 'first');
    for (let i = 1; i <= count; i++) assert.equal((await client.response()).text, `/${i}`);
  });

  test('a body waits at the limit until its upstream is there', async (t) => {
    const upstream = await startUpstream(t, [[head, (peer) => peer.inbox.skip(30_000_000), response('done')]]);
    const under = await startBalancer(t, { upstreams: [upstream], maxHeldBytes: 1 });
    const client = await under.connect();
    client.send(get('/', 'Content-Length: 30000000\r\n', 'POST')).send(Buffer.alloc(30_000_000));
    assert.equal((await client.response()).text, 'done');
  });
});
