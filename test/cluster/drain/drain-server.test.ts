import assert from 'node:assert/strict';
import http, { type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import express from 'express';
import { drainServer } from '../../../src/cluster/drain/drain-server.ts';
import { type Client, connectTo, get } from '../../support/client.ts';
import { UNTIMED } from '../../support/fronts.ts';
import { atEnd } from '../../support/scope.ts';
import { VirtualTime } from '../../../src/testing/time.ts';
import { Signal, turns } from '../../support/wait.ts';

for (const kind of ['node:http', 'Express'] as const) {
  describe(`drainServer, ${kind}`, () => {
    test('answers requests in flight, and announces the end of their connections', async (t) => {
      const under = await serving(t, kind);
      const client = await under.connect();
      client.send(get('/held'));
      const [response] = await under.held(1);
      const drained = under.drain();
      response?.end('at last');
      const { text, head } = await client.response();
      assert.deepEqual([text, head.get('connection')], ['at last', 'close']);
      assert.equal(await client.over(), 'end');
      assert.deepEqual(await drained, { cut: 0 });
    });

    test('lets a response finish; then its connection has the full grace', async (t) => {
      const under = await serving(t, kind);
      const client = await under.connect();
      client.send(get('/begun'));
      const [response] = await under.held(1);
      const drained = under.drain({ graceMs: 30_000 });
      under.time.advance(20_000);
      response?.end('rest');
      assert.equal((await client.response()).text, 'begun rest');
      under.time.advance(20_000);
      // Idle for less than the grace: a request that is on its way now is answered.
      assert.equal((await client.exchange(get('/'))).text, 'hello');
      assert.equal(await client.over(), 'end');
      assert.deepEqual(await drained, { cut: 0 });
    });

    test('closes idle connections after the grace; until then, requests are answered', async (t) => {
      const under = await serving(t, kind);
      const [used, late, unused] = [await under.connect(), await under.connect(), await under.connect()];
      await used.exchange(get('/'));
      await late.exchange(get('/'));
      const drained = under.drain({ graceMs: 300 });
      under.time.advance(290);
      await turns(20);
      const { text, head } = await late.exchange(get('/'));
      assert.deepEqual([text, head.get('connection')], ['hello', 'close']);
      under.time.advance(10);
      for (const client of [used, late, unused]) assert.equal(await client.over(), 'end');
      assert.deepEqual(await drained, { cut: 0 });
      assert.equal(under.time.timers, 0, 'its ticks stop');
    });

    test('cuts what is still open at the timeout', async (t) => {
      const under = await serving(t, kind);
      const clients = [await under.connect(), await under.connect()];
      for (const client of clients) client.send(get('/held'));
      await under.held(2);
      const drained = under.drain({ timeoutMs: 1_000 });
      under.time.advance(990);
      await turns(20);
      under.time.advance(10);
      for (const client of clients) await client.over();
      assert.deepEqual(await drained, { cut: 2 });
    });
  });
}

test('a server without connections is drained at once', async (t) => {
  const under = await serving(t, 'node:http');
  assert.deepEqual(await under.drain(), { cut: 0 });
  assert.deepEqual(await under.drain(), { cut: 0 }, 'and can be drained again');
});

test('does not accept new connections', async (t) => {
  const under = await serving(t, 'node:http');
  const client = await under.connect();
  client.send(get('/held'));
  const [response] = await under.held(1);
  const drained = under.drain();
  await assert.rejects(under.connect(), /ECONNREFUSED/);
  response?.end();
  await client.response();
  await drained;
});

test('a request that expects 100-continue is answered, with the end of its connection announced', async (t) => {
  const under = await serving(t, 'node:http');
  under.server.on('checkContinue', (request: http.IncomingMessage, response: ServerResponse) => {
    response.writeContinue();
    request.resume().on('end', () => response.end('continued'));
  });
  const client = await under.connect();
  await client.exchange(get('/'));
  const drained = under.drain();
  client.send('POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi');
  const { text, head } = await client.response();
  assert.deepEqual([text, head.get('connection')], ['continued', 'close']);
  await drained;
});

interface Under {
  readonly server: Server;
  readonly time: VirtualTime;
  connect(): Promise<Client>;
  /** Resolves with the responses that are held back, when there are `count` of them. */
  held(count: number): Promise<readonly ServerResponse[]>;
  drain(options?: { timeoutMs?: number; graceMs?: number }): ReturnType<typeof drainServer>;
}

/** A server that holds back its answer to /held, and the rest of its answer to /begun. */
async function serving(t: TestContext, kind: 'node:http' | 'Express'): Promise<Under> {
  const signal = new Signal();
  const held: ServerResponse[] = [];
  const listener: RequestListener = ({ url }, response) => {
    if (url === '/') return void response.end('hello');
    if (url === '/begun') response.write('begun ');
    held.push(response);
    signal.raise();
  };
  const server = http.createServer(UNTIMED, kind === 'Express' ? express().use(listener) : listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const time = new VirtualTime();
  return {
    server,
    time,
    connect: () => connectTo(t, port),
    held: async (count) => {
      await signal.until(() => held.length >= count, () => `${count} requests that are held`);
      return held;
    },
    drain: (options = {}) => drainServer(server, { time, ...options }),
  };
}
