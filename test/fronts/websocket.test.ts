import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { type FrontKind, FRONTS } from '../support/fronts.ts';
import { startHttpUpstream } from '../support/http-upstream.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';

interface Chat {
  readonly under: BalancerUnderTest;
  readonly server: WebSocketServer;
  /** Opens a WebSocket to the server, through the balancer, and resolves with both ends of it. */
  readonly open: (options?: WebSocket.ClientOptions) => Promise<{ client: WebSocket; served: WebSocket }>;
}

async function chat(t: TestContext, front: FrontKind, options: { compressed?: boolean } = {}): Promise<Chat> {
  const upstream = await startHttpUpstream(t);
  const server = new WebSocketServer({
    server: upstream.server, perMessageDeflate: options.compressed ?? false, maxPayload: 64 << 20,
  });
  const under = await startBalancer(t, { upstreams: [upstream.origin], front });
  const open: Chat['open'] = async (clientOptions) => {
    const connection = once(server, 'connection') as Promise<[WebSocket]>;
    const client = new WebSocket(`ws://127.0.0.1:${under.port}/chat`, clientOptions);
    atEnd(t, () => {
      client.terminate();
    });
    await within(once(client, 'open'), () => 'a WebSocket to open');
    const [served] = await connection;
    return { client, served };
  };
  return { under, server, open };
}

async function message(socket: WebSocket): Promise<{ data: Buffer; binary: boolean }> {
  const [data, binary] = await within(once(socket, 'message') as Promise<[RawData, boolean]>, () => 'a message');
  return { data: data as Buffer, binary };
}

async function closed(socket: WebSocket): Promise<[code: number, reason: string]> {
  const [code, reason] = await within(once(socket, 'close') as Promise<[number, Buffer]>, () => 'a close');
  return [code, reason.toString()];
}

for (const front of FRONTS) {
  describe(`WebSocket through ${front.name}`, () => {
    for (const compressed of [false, true]) {
      test(`messages of all sizes and kinds, ${compressed ? '' : 'not '}compressed`, async (t) => {
        const { open } = await chat(t, front, { compressed });
        const { client, served } = await open({ perMessageDeflate: compressed, maxPayload: 64 << 20 });
        served.on('message', (data: Buffer, binary) => {
          served.send(data, { binary });
        });
        for (const length of [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20]) {
          const data = pattern(length);
          const echoed = message(client);
          client.send(data);
          const { data: received, binary } = await echoed;
          assert.ok(received.equals(data), `${length} bytes`);
          assert.equal(binary, true);
        }
        const echoed = message(client);
        client.send('grüß dich');
        const { data, binary } = await echoed;
        assert.equal(data.toString(), 'grüß dich');
        assert.equal(binary, false);
        client.close();
        await closed(client);
      });
    }

    test('messages in flight in both directions keep their order', async (t) => {
      const { open } = await chat(t, front);
      const { client, served } = await open();
      const count = 1_000;
      const receive = (socket: WebSocket): Promise<number[]> => new Promise((resolve) => {
        const numbers: number[] = [];
        socket.on('message', (data: Buffer) => {
          if (numbers.push(Number(data.toString())) === count) resolve(numbers);
        });
      });
      const both = Promise.all([receive(client), receive(served)]);
      for (let i = 0; i < count; i++) {
        client.send(String(i));
        served.send(String(i));
      }
      const expected = Array.from({ length: count }, (_, i) => i);
      assert.deepEqual(await within(both, () => 'all messages'), [expected, expected]);
      client.close();
      await closed(client);
    });

    test('pings are answered by the other end', async (t) => {
      const { open } = await chat(t, front);
      const { client, served } = await open();
      for (const [one, other] of [[client, served], [served, client]] as const) {
        const [ping, pong] = [once(other, 'ping'), once(one, 'pong')];
        one.ping('are you there?');
        assert.equal(String((await within(ping, () => 'a ping'))[0]), 'are you there?');
        assert.equal(String((await within(pong, () => 'a pong'))[0]), 'are you there?');
      }
      client.close();
      await closed(client);
    });

    for (const side of ['client', 'server'] as const) {
      test(`the ${side} closes, and its code and reason arrive`, async (t) => {
        const { open, under } = await chat(t, front);
        const { client, served } = await open();
        const [one, other] = side === 'client' ? [client, served] : [served, client];
        const both = Promise.all([closed(one), closed(other)]);
        one.close(4001, 'enough');
        assert.deepEqual((await both)[1], [4001, 'enough']);
        await under.settled(1);
        assert.deepEqual(under.outcomes.map(({ ok, status }) => [ok, status]), [[true, 101]]);
      });

      test(`the ${side} dies: the other end sees a broken connection`, async (t) => {
        const { open, under } = await chat(t, front);
        const { client, served } = await open();
        const [one, other] = side === 'client' ? [client, served] : [served, client];
        const end = closed(other);
        one.terminate();
        assert.deepEqual(await end, [1006, '']);
        await under.settled(1);
        assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
      });
    }

    test('subprotocol and fields are negotiated end to end', async (t) => {
      const { server, under } = await chat(t, front);
      server.options.handleProtocols = (protocols) => [...protocols][1] ?? false;
      const client = new WebSocket(`ws://127.0.0.1:${under.port}/chat?a=b`, ['one', 'two'], {
        headers: { cookie: 'session=1' },
      });
      const connection = once(server, 'connection') as Promise<[
        WebSocket, { url: string; headers: { cookie: string } },
      ]>;
      await within(once(client, 'open'), () => 'a WebSocket to open');
      const [, asked] = await connection;
      assert.equal(client.protocol, 'two');
      assert.equal(asked.url, '/chat?a=b');
      assert.equal(asked.headers.cookie, 'session=1');
      client.close();
      await closed(client);
    });

    for (const status of [401, 426]) {
      test(`the server refuses with ${status}`, async (t) => {
        const upstream = await startHttpUpstream(t);
        const server = new WebSocketServer({
          server: upstream.server,
          verifyClient: (_, answer) => {
            answer(false, status, 'not you', { 'x-why': 'because' });
          },
        });
        const under = await startBalancer(t, { upstreams: [upstream.origin], front });
        const client = new WebSocket(`ws://127.0.0.1:${under.port}/`);
        const refused = once(client, 'unexpected-response') as Promise<[
          unknown, { statusCode: number; headers: Record<string, string>; resume: () => void },
        ]>;
        const [, answer] = await within(refused, () => 'a refusal');
        assert.equal(answer.statusCode, status);
        assert.equal(answer.headers['x-why'], 'because');
        answer.resume();
        await under.settled(1);
        client.on('error', () => undefined);
        client.terminate();
        server.close();
      });
    }

    test('many at once', async (t) => {
      const { server, under } = await chat(t, front);
      server.on('connection', (socket) => {
        socket.on('message', (data: Buffer) => {
          socket.send(data);
        });
      });
      const count = 50;
      await Promise.all(Array.from({ length: count }, async (_, i) => {
        const client = new WebSocket(`ws://127.0.0.1:${under.port}/`);
        await within(once(client, 'open'), () => 'a WebSocket to open');
        const echoed = message(client);
        client.send(`hello ${i}`);
        assert.equal((await echoed).data.toString(), `hello ${i}`);
        client.close();
        await closed(client);
      }));
      await under.settled(count);
      assert.equal(under.balancer.upstreams[0]?.picks, count);
    });
  });
}
