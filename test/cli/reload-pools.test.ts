/**
 * SIGHUP to the binary without workers: what the file says of pools, routes and hooks changes in place.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { get, listening, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { within } from '../support/wait.ts';

/** The binary with a file; `write` rewrites it, and `reload` has it read. */
async function configured(t: TestContext, file: string, content: string, files: Record<string, string> = {}): Promise<{
  binary: Binary; port: number; reload: (content: string, logged?: RegExp) => Promise<void>;
}> {
  const cwd = directory(t, { ...files, [file]: content });
  const binary = start(t, ['-c', file], { cwd });
  const port = await binary.port();
  let times = 0;
  return {
    binary,
    port,
    reload: async (next, logged = /reloaded: upstreams/) => {
      // Modules are loaded anew when their time has changed.
      writeFileSync(join(cwd, file), next);
      times++;
      binary.signal('SIGHUP');
      await binary.logged(new RegExp(`(?:(?:not )?reloaded[:,] (?:upstreams|nothing)[^]*){${times}}`));
      await binary.logged(logged);
    },
  };
}

/** An upstream that tunnels, and echoes what comes. */
async function startTunnel(t: TestContext): Promise<string> {
  const server = http.createServer((_request, response) => response.end('tunnel'));
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.on('error', () => undefined).pipe(socket);
    t.after(() => socket.destroy());
  });
  return `http://127.0.0.1:${await listening(t, server)}`;
}

async function read(socket: Socket): Promise<string> {
  const [bytes] = await within(once(socket, 'data'), () => 'data') as [Buffer];
  return bytes.toString('latin1');
}

const json = (config: object): string => JSON.stringify({ listen: '127.0.0.1:0', ...config });

describe('SIGHUP without workers', () => {
  test('changes pools and routes, and keeps WebSockets and the state of what has not changed', async (t) => {
    const [a, b, c] = [await startNamed(t, 'A'), await startNamed(t, 'B'), await startNamed(t, 'C')];
    const chat = await startTunnel(t);
    const pools = { web: { upstreams: [a, b], strategy: 'round-robin' }, chat: { upstreams: [chat], maxInFlight: 1 } };
    const routes = [{ path: '/chat', pool: 'chat' }, { pool: 'web' }];
    const { binary, port, reload } = await configured(t, 'c.json', json({ pools, routes }));
    const socket = net.connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.write('GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n');
    assert.match(await read(socket), /^HTTP\/1\.1 101 /);
    const first = (await get(port)).body;
    for (let i = 0; i < 10; i++) {
      await reload(json({
        pools: { ...pools, [`new${i}`]: { upstreams: [c] } },
        routes: [{ path: '/new', pool: `new${i}` }, ...routes],
      }));
      assert.equal((await get(port, '/new')).body, 'C');
      // The limit of the pool counts the WebSocket, which is still open.
      assert.equal((await get(port, '/chat')).status, 503);
    }
    // Round robin goes on where it was.
    assert.notEqual((await get(port)).body, first);
    socket.write('still there');
    assert.equal(await read(socket), 'still there');
    await reload(json({ pools: { web: pools.web } }));
    assert.equal((await get(port, '/chat')).body, first);
    socket.write('and then');
    assert.equal(await read(socket), 'and then');
    socket.destroy();
    binary.signal('SIGTERM');
    assert.equal((await binary.exit()).code, 0);
  });

  test('changes the pool of the top level to named ones and back', async (t) => {
    const [a, b] = [await startNamed(t, 'A'), await startNamed(t, 'B')];
    const { port, reload } = await configured(t, 'c.json', json({ upstreams: [a], maxQueued: 5 }));
    assert.equal((await get(port)).body, 'A');
    await reload(json({ pools: { web: { upstreams: [b] } } }));
    assert.equal((await get(port)).body, 'B');
    await reload(json({ upstreams: [a], strategy: 'least-connections' }));
    assert.equal((await get(port)).body, 'A');
  });

  test('takes the hooks and strategies of a module, its code anew', async (t) => {
    const a = await startNamed(t, 'A');
    const module = (text: string): string => `export default {
      listen: '127.0.0.1:0', upstreams: ['${a}'],
      onRequest: ({ request }) => request.target === '/hook' ? new Response('${text}') : undefined,
    };`;
    const { port, reload } = await configured(t, 'c.mjs', module('one'));
    assert.equal((await get(port, '/hook')).body, 'one');
    await reload(module('two'));
    assert.equal((await get(port, '/hook')).body, 'two');
    await reload(`export default { listen: '127.0.0.1:0', upstreams: ['${a}'] };`);
    assert.equal((await get(port, '/hook')).body, 'A');
  });

  test('changes nothing if anything is wrong, and lists all of it', async (t) => {
    const a = await startNamed(t, 'A');
    const { binary, port, reload } = await configured(t, 'c.json', json({ pools: { web: { upstreams: [a] } } }));
    await reload(json({
      pools: { web: { upstreams: ['http://127.0.0.1:1'], maxQueued: -1 }, api: {} }, routes: [{ pool: 'wep' }],
    }), /not reloaded, nothing has changed/);
    for (const line of [
      /pools\.web\.maxQueued: must be an integer/, /pools\.api\.upstreams: must be a list/,
      /routes\[0\]\.pool: there is no pool "wep"; did you mean web\?/,
    ]) assert.match(binary.stderr, line);
    assert.equal((await get(port)).body, 'A');
  });

  test('says what takes a restart', async (t) => {
    const a = await startNamed(t, 'A');
    const { port, reload } = await configured(t, 'c.json', json({ upstreams: [a] }));
    await reload(json({ upstreams: [a], listen: '127.0.0.1:1', workers: 2, via: 'edge' }),
      /not reloaded: to change listen, workers, via takes a restart, or --workers\n/);
    assert.equal((await get(port)).body, 'A');
  });
});
