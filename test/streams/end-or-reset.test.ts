import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { destroyByReset } from '../../src/streams/end-or-reset.ts';
import { type Client, connectTo } from '../support/client.ts';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';

/** Both ends of a connection. */
async function pair(t: TestContext): Promise<{ readonly socket: Socket; readonly client: Client }> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  atEnd(t, () => server.close());
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const client = await connectTo(t, (server.address() as AddressInfo).port);
  const [socket] = await accepted as [Socket];
  // A socket that is not reset is closed all the same, with no error.
  socket.on('error', (error) => {
    assert.fail(error);
  });
  return { socket, client };
}

async function destroyed(socket: Socket): Promise<void> {
  const closed = once(socket, 'close');
  destroyByReset(socket);
  await within(closed, () => 'the socket to close');
}

describe('destroyByReset', () => {
  test('resets a socket', async (t) => {
    const { socket, client } = await pair(t);
    await destroyed(socket);
    assert.equal(await client.over(), 'reset');
  });

  test('closes a socket whose end is being sent, which libuv cannot reset', async (t) => {
    const { socket, client } = await pair(t);
    socket.end('all');
    await destroyed(socket);
    assert.equal(await client.inbox.until('all'), 'all');
    assert.equal(await client.over(), 'end');
  });

  test('resets a socket whose end has been sent', async (t) => {
    const { socket, client } = await pair(t);
    socket.resume().end('all');
    await once(socket, 'finish');
    await destroyed(socket);
    await client.over();
  });

  test('resets a socket that has not written everything before its end', async (t) => {
    const { socket, client } = await pair(t);
    // The client may take the reset for an end, behind so much data.
    const reset = t.mock.method(socket, 'resetAndDestroy');
    socket.end(Buffer.alloc(50_000_000));
    await destroyed(socket);
    assert.equal(reset.mock.callCount(), 1);
    await client.over();
  });
});
