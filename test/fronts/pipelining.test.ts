import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { echo, halfClose, head, response, startUpstream } from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`pipelined requests through ${front.name}`, () => {
    test('are answered in order', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const targets = Array.from({ length: 50 }, (_, i) => `/${i}`);
      client.send(targets.map((target) => get(target)).join(''));
      for (const target of targets) assert.equal((await client.response()).text, target);
    });

    test('are answered in order although the first is slow', async (t) => {
      const late = gate();
      const slow = await startUpstream(t, [async (peer) => {
        await peer.request();
        await late.opened;
        peer.send(response('slow'));
      }]);
      const upstream = await startUpstream(t, echo);
      let picks = 0;
      const under = await startBalancer(t, {
        upstreams: [slow, upstream],
        front,
        strategy: { name: 'slow first', pick: (candidates) => candidates[picks++ === 0 ? 0 : 1] },
      });
      const client = await under.connect();
      client.send(get('/1') + get('/2') + get('/3'));
      await slow.read(1);
      late.open();
      assert.equal((await client.response()).text, 'slow');
      assert.equal((await client.response()).text, '/2');
      assert.equal((await client.response()).text, '/3');
    });

    test('are not served behind an answer of ours that closes the connection', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, maxBodyBytes: 4 });
      const client = await under.connect();
      // Over the connection that this leaves idle, the second would be sent at once.
      await (await under.connect()).exchange(get('/'));
      client.send(Buffer.concat([post('/large', 'hello'), post('/behind', 'hey')]));
      const answer = await client.response();
      assert.deepEqual([answer.status, answer.head.get('connection')], [413, 'close']);
      await client.over();
      await (await under.connect()).exchange(get('/last'));
      assert.deepEqual(upstream.requests.map((seen) => seen.head.line.split(' ')[1]), ['/', '/last']);
    });

    test('keep their bodies while they wait behind a slow one', async (t) => {
      const [late, more] = [gate(), gate()];
      const slow = await startUpstream(t, [async (peer) => {
        await peer.request();
        await late.opened;
        peer.send(response('slow'));
      }]);
      // Small pieces, each in a separate read: kept in the read buffer, they would be overwritten.
      const pieces = Array.from('abcdefgh', (letter) => letter.repeat(1_000));
      const upstream = await startUpstream(t, [async (peer) => {
        await peer.request();
        peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${pieces.length * 1_000}\r\n\r\n`);
        for (const piece of pieces) {
          await peer.push(Buffer.from(piece));
          await turns(5);
        }
        more.open();
      }]);
      let picks = 0;
      const under = await startBalancer(t, {
        upstreams: [slow, upstream],
        front,
        strategy: { name: 'slow first', pick: (candidates) => candidates[picks++] },
      });
      const client = await under.connect();
      client.send(get('/1') + get('/2'));
      await slow.read(1);
      // A server of node:http has the second served while the first is under way; ours waits.
      if (front !== SOCKET) await more.opened;
      late.open();
      assert.equal((await client.response()).text, 'slow');
      assert.equal((await client.response()).text, pieces.join(''));
    });

    test('with bodies keep them apart', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(Buffer.concat([
        post('/1', 'hello'),
        Buffer.from(get('/2')),
        Buffer.from(get('/3', 'Transfer-Encoding: chunked\r\n', 'PUT')), chunked('GET /evil HTTP/1.1\r\n\r\n', 3),
        post('/4', get('/evil')),
        Buffer.from(get('/5')),
      ]));
      for (const target of ['/1', '/2', '/3', '/4', '/5']) assert.equal((await client.response()).text, target);
      const byTarget = [...upstream.requests].sort((a, b) => a.head.line.slice(-11) < b.head.line.slice(-11) ? -1 : 1);
      assert.deepEqual(byTarget.map(({ body }) => body.bytes.toString()), [
        'hello', '', 'GET /evil HTTP/1.1\r\n\r\n', get('/evil'), '',
      ]);
    });

    // The parser of node:http accepts all of these; where they end is ambiguous.
    const refused: readonly (readonly [name: string, bytes: string, status: number])[] = [
      ['a host that is none', get().replace('example.test', 'a b'), 400],
      ['two hosts', get('/', 'Host: b\r\n'), 400],
      ['a coding that readers differ on', `${get('/', 'Transfer-Encoding: ,chunked\r\n', 'POST')}0\r\n\r\n`, 501],
      ['a length that poses', get('/', 'Content_Length: 0\r\n', 'POST'), 400],
    ];
    for (const [name, bytes, status] of refused) {
      test(`behind one that is refused for ${name} are not served`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(get('/1') + bytes + get('/evil')).send(post('/evil', 'x'));
        assert.equal((await client.response()).text, '/1');
        const answer = await client.response();
        assert.equal(answer.status, status);
        assert.equal(answer.head.get('connection'), 'close');
        assert.equal((await client.inbox.rest()).length, 0);
        assert.deepEqual(under.picks.length, 1);
        // Other connections are not affected.
        assert.equal((await (await under.connect()).exchange(get('/2'))).text, '/2');
      });
    }

    test('behind one that is refused are not served where they would upgrade', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/', 'Host: b\r\n') + get('/evil', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      assert.equal((await client.response()).status, 400);
      assert.equal((await client.inbox.rest()).length, 0);
      assert.deepEqual(upstream.events, []);
    });

    test('go on behind an error of the upstream', async (t) => {
      const broken = await startUpstream(t, [[head, 'nonsense\r\n\r\n']]);
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [broken, upstream],
        front,
        strategy: {
          name: 'by target',
          pick: (candidates, { request }) => candidates[request.target === '/2' ? 0 : 1],
        },
      });
      const client = await under.connect();
      client.send(get('/1') + get('/2') + get('/3'));
      assert.equal((await client.response()).text, '/1');
      assert.equal((await client.response()).status, 502);
      assert.equal((await client.response()).text, '/3');
    });
  });
}

describe('pipelined requests on a socket of our own', () => {
  test('behind one that closes are not served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(get('/1') + get('/2', 'Connection: close\r\n') + get('/3'));
    assert.equal((await client.response()).text, '/1');
    assert.equal((await client.response()).text, '/2');
    assert.equal(await client.over(), 'end');
    assert.ok(!upstream.plainEvents.includes('GET /3'));
  });

  test('behind a response that ends with the connection are not answered', async (t) => {
    const upstream = await startUpstream(t, [[head, 'HTTP/1.1 200 OK\r\n\r\nhello', halfClose], echo]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(`GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n${get('/2')}`);
    assert.equal((await client.response()).text, 'hello');
    assert.equal(await client.over(), 'end');
    assert.equal(under.picks.length, 1);
  });

  test('before a malformed one are answered; that one gets 400, and the connection ends', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(`${get('/1')}${get('/2')}GET /3 HTTP/1.1\r\nHost : a\r\n\r\n${get('/4')}`);
    assert.equal((await client.response()).text, '/1');
    assert.equal((await client.response()).text, '/2');
    const refused = await client.response();
    assert.equal(refused.status, 400);
    assert.equal(refused.head.get('connection'), 'close');
    assert.equal(await client.over(), 'end');
    assert.deepEqual(upstream.plainEvents.filter((event) => event.startsWith('GET')), ['GET /1', 'GET /2']);
  });

  test('are sent upstream one after the other', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [async (peer) => {
      await peer.request();
      await late.opened;
      peer.send(response('first'));
      await echo(peer);
    }]);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const client = await under.connect();
    client.send(get('/1') + get('/2'));
    await upstream.read(1);
    assert.equal(under.picks.length, 1);
    late.open();
    assert.equal((await client.response()).text, 'first');
    assert.equal((await client.response()).text, '/2');
    assert.equal(upstream.peers.length, 1);
  });

  test('that no upstream can take are each answered 503', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: SOCKET });
    const client = await under.connect();
    client.send(Array.from({ length: 2_000 }, (_, i) => get(`/${i}`)).join(''));
    for (let i = 0; i < 2_000; i++) assert.equal((await client.response()).status, 503);
  });

  test('are the same requests at any split', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
    const bytes = Buffer.concat([
      Buffer.from(get('/1')), post('/2', 'hello'), Buffer.from(get('/3', 'Transfer-Encoding: chunked\r\n', 'POST')),
      chunked('hello world', 4, 'X-Sum: 1\r\n'), Buffer.from(get('/4')),
    ]);
    // Every split into two, all over one connection.
    const client = await under.connect();
    for (let cut = 1; cut < bytes.length; cut++) {
      client.send(bytes.subarray(0, cut));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      client.send(bytes.subarray(cut));
      for (const target of ['/1', '/2', '/3', '/4']) {
        assert.equal((await client.response()).text, target, `cut at ${cut}`);
      }
    }
    const bodies: Readonly<Record<string, string>> = { '/2': 'hello', '/3': 'hello world' };
    for (const { head: { line }, body } of upstream.requests) {
      assert.equal(body.bytes.toString(), bodies[line.split(' ')[1] ?? ''] ?? '');
    }
  });
});
