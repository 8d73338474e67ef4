/** Readers of the admin listener that do not read. */
import assert from 'node:assert/strict';
import http, { type ServerResponse } from 'node:http';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { cutUnread } from '../../src/cli/unread.ts';
import { listening } from '../support/process-client.ts';
import { turns, within } from '../support/wait.ts';

/** A response that `write` has begun, to a client that does not read. */
async function begun(t: TestContext, write: (response: ServerResponse) => void): Promise<ServerResponse> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { promise, resolve } = withResolvers();
  const port = await listening(t, http.createServer((_request, response) => {
    cutUnread(response, 1_000);
    write(response);
    resolve(response);
  }));
  const socket = net.connect(port, '127.0.0.1').on('error', () => undefined).pause();
  t.after(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  return await promise;
}

function withResolvers(): { promise: Promise<ServerResponse>; resolve: (response: ServerResponse) => void } {
  let resolve: (response: ServerResponse) => void = () => undefined;
  const promise = new Promise<ServerResponse>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function closed(response: ServerResponse): Promise<void> {
  while (!response.closed) await turns(1);
}

test('a response that is not taken in time is cut', async (t) => {
  const response = await begun(t, (each) => each.end(Buffer.alloc(64_000_000)));
  t.mock.timers.tick(999);
  await turns(10);
  assert.equal(response.closed, false);
  t.mock.timers.tick(1);
  t.mock.timers.reset();
  await within(closed(response), () => 'the response to be cut');
});

test('a stream of events stays', async (t) => {
  const response = await begun(t, (each) => each.write('data: 1\n\n'));
  t.mock.timers.tick(5_000);
  t.mock.timers.reset();
  await turns(10);
  assert.equal(response.closed, false);
});
