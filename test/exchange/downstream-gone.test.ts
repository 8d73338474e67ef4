import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { startBalancer, type BalancerUnderTest } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import {
  echo, head, request, response, type Script, type ScriptedUpstream, startUpstream,
} from '../support/upstream.ts';

/** A point in the course of an exchange: what the upstream has done by then, and how to get there. */
interface Stage {
  readonly name: string;
  readonly script: Script;
  readonly reach: (client: Client, upstream: ScriptedUpstream, under: BalancerUnderTest) => Promise<unknown>;
  readonly status?: number;
}

const LARGE = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n';

const STAGES: readonly Stage[] = [
  {
    name: 'while the response is awaited',
    script: [request],
    reach: async (client, upstream) => {
      client.send(get());
      await upstream.saw('1 GET /');
    },
  },
  {
    name: 'in the middle of its upload',
    script: [request],
    reach: async (client, upstream) => {
      client.send(get('/', 'Content-Length: 1000\r\n', 'POST')).send('some');
      await upstream.saw('1 POST /');
    },
  },
  {
    name: 'in the middle of a chunk that it sends',
    script: [request],
    reach: async (client, upstream) => {
      client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST')).send('a\r\nsome');
      await upstream.saw('1 POST /');
    },
  },
  {
    name: 'between chunks that it sends',
    script: [request],
    reach: async (client, upstream) => {
      client.send(get('/', 'Transfer-Encoding: chunked\r\n', 'POST')).send('4\r\nsome\r\n');
      await upstream.saw('1 POST /');
    },
  },
  {
    name: 'after an interim response',
    script: [request, 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'],
    reach: async (client) => {
      client.send(get());
      await client.head();
    },
  },
  {
    name: 'after the head of the response',
    script: [request, LARGE],
    status: 200,
    reach: async (client) => {
      client.send(get());
      await client.head();
    },
  },
  {
    name: 'in the middle of a body',
    script: [request, LARGE, 'some'],
    status: 200,
    reach: async (client) => {
      client.send(get());
      await client.head();
      await client.inbox.exactly(4);
    },
  },
  {
    name: 'in the middle of a chunked body',
    script: [request, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n'],
    status: 200,
    reach: async (client) => {
      client.send(get());
      await client.inbox.until('some\r\n');
    },
  },
  {
    name: 'in the middle of a body until close',
    script: [request, 'HTTP/1.1 200 OK\r\n\r\nsome'],
    status: 200,
    reach: async (client) => {
      client.send(get());
      await client.inbox.until('some\r\n');
    },
  },
  {
    name: 'after an early response, its upload unfinished',
    script: [head, response('early')],
    status: 200,
    reach: async (client) => {
      client.send(get('/', 'Content-Length: 1000\r\n', 'POST')).send('some');
      await client.response();
    },
  },
  {
    name: 'in a tunnel',
    script: [head, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhello'],
    status: 101,
    reach: async (client) => {
      client.send(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'));
      await client.head();
      await client.inbox.exactly(5);
    },
  },
];

for (const front of FRONTS) {
  describe(`a downstream through ${front.name} that goes away`, () => {
    for (const { name, script, reach, status } of STAGES) {
      for (const way of ['closes', 'resets'] as const) {
        // In a tunnel an end is not the end: the other direction may go on.
        if (status === 101 && way === 'closes') continue;
        test(`${way} ${name}: the upstream request is cancelled`, async (t) => {
          const upstream = await startUpstream(t, [script, echo]);
          const under = await startBalancer(t, { upstreams: [upstream], front });
          const client = await under.connect();
          await reach(client, upstream, under);
          if (way === 'closes') client.destroy();
          else client.reset();
          await under.settled(1);
          await upstream.gone(1);
          const [outcome] = under.outcomes;
          // The upstream has not failed.
          assert.equal(outcome?.ok, true);
          assert.equal(outcome.error, 'DOWNSTREAM_GONE');
          assert.equal(outcome.status, status);
          // Half an upload must not pass for a complete one.
          if (!upstream.plainEvents.includes('GET /')) assert.equal(upstream.requests.length, 0);
          assert.deepEqual(under.reports, []);
          assert.equal(under.balancer.upstreams[0]?.failures, 0);
          // A connection that was cut in the middle is not reused.
          assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
          assert.equal(upstream.peers.length, 2);
        });
      }
    }

    test('while the upstream is being connected: no request is made', async (t) => {
      const sockets: net.Socket[] = [];
      atEnd(t, () => {
        for (const socket of sockets) assert.ok(socket.destroyed, 'the connection attempt goes on');
      });
      const under = await startBalancer(t, {
        upstreams: ['http://127.0.0.1:9'],
        front,
        connect: () => {
          const socket = new net.Socket();
          sockets.push(socket);
          return socket;
        },
      });
      const client = await under.connect();
      client.send(get());
      await under.picked(1);
      client.destroy();
      await under.settled(1);
      assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
      assert.equal(sockets.length, 1);
      assert.ok(sockets[0]?.destroyed);
    });

    test('with requests behind it: none is left in flight', async (t) => {
      const upstream = await startUpstream(t, async (peer) => {
        await peer.request();
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/1') + get('/2'));
      await upstream.saw('1 GET /1');
      // A server of node:http hands over the second while the first is under way; ours waits.
      if (front !== SOCKET) await upstream.saw('2 GET /2');
      client.destroy();
      await upstream.gone(1);
      // node:http does not tell the request that waits behind: the next tick notices it.
      await under.advance(250);
      if (front !== SOCKET) await upstream.gone(2);
      await under.settled(under.picks.length);
      assert.equal(under.picks.length, front === SOCKET ? 1 : 2);
    });
  });
}
