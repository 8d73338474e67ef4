import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { Agent, fetch } from 'undici';
import { startBalancer } from '../support/balancer.ts';
import { FRONTS } from '../support/fronts.ts';
import { startHttpUpstream } from '../support/http-upstream.ts';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';

for (const front of FRONTS) {
  describe(`server-sent events through ${front.name}`, () => {
    test('arrive one by one, and the server learns when the client is gone', async (t) => {
      let serve: ((response: ServerResponse) => void) | undefined;
      const served = new Promise<ServerResponse>((resolve) => {
        serve = resolve;
      });
      const upstream = await startHttpUpstream(t, (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        response.flushHeaders();
        serve?.(response);
      });
      const under = await startBalancer(t, { upstreams: [upstream.origin], front });
      const agent = new Agent();
      atEnd(t, () => agent.destroy());

      const answer = await fetch(`http://127.0.0.1:${under.port}/events`, { dispatcher: agent });
      assert.equal(answer.headers.get('content-type'), 'text/event-stream');
      const response = await served;
      const reader = answer.body?.getReader();
      assert.ok(reader !== undefined);
      for (let i = 0; i < 100; i++) {
        // Each is read before the next is sent: a proxy that buffers them would wait forever.
        response.write(`id: ${i}\ndata: tick\n\n`);
        const read: { value?: Uint8Array } = await within(reader.read(), () => `event ${i}`);
        assert.equal(Buffer.from(read.value ?? []).toString(), `id: ${i}\ndata: tick\n\n`);
      }
      const closed = once(response, 'close');
      await reader.cancel();
      await within(closed, () => 'the server to learn of it');
      await under.settled(1);
      assert.equal(under.outcomes[0]?.ok, true);
    });

    test('last as long as something is sent now and then', async (t) => {
      let serve: ((response: ServerResponse) => void) | undefined;
      const served = new Promise<ServerResponse>((resolve) => {
        serve = resolve;
      });
      const upstream = await startHttpUpstream(t, (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        serve?.(response);
      });
      const under = await startBalancer(t, { upstreams: [upstream.origin], front, idleTimeoutMs: 30_000 });
      const agent = new Agent({ bodyTimeout: 0 });
      atEnd(t, () => agent.destroy());
      const answer = await fetch(`http://127.0.0.1:${under.port}/`, { dispatcher: agent });
      const reader = answer.body?.getReader();
      const response = await served;
      for (let i = 0; i < 20; i++) {
        await under.advance(29_999);
        response.write(': still here\n\n');
        const read: { done: boolean } | undefined = await within(Promise.resolve(reader?.read()), () => 'a comment');
        assert.equal(read?.done, false);
      }
      response.end();
      assert.equal((await reader?.read())?.done, true);
    });
  });
}
