import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { connectTo, get } from '../support/client.ts';
import { NODE_HTTP } from '../support/fronts.ts';
import { runProgram } from '../support/program.ts';
import { atEnd } from '../support/scope.ts';
import { close, echo, request, startUpstream, when } from '../support/upstream.ts';
import { gate, turns, within } from '../support/wait.ts';

const posix = { skip: process.platform === 'win32' && 'sockets in the file system are of POSIX' };

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'equipoise-'));
  atEnd(t, () => {
    rmSync(path, { recursive: true });
  });
  return path;
}

describe('listening', () => {
  test('on a port resolves with its address', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const address = (await under.balancer.listen({ port: 0, host: '127.0.0.1' })) as AddressInfo;
    assert.equal(address.address, '127.0.0.1');
    assert.equal(address.family, 'IPv4');
    assert.equal((await (await connectTo(t, address.port)).exchange(get('/a'))).text, '/a');
  });

  test('without a host listens on all addresses, and an IPv4 peer address is shown as IPv4', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const address = (await under.balancer.listen({ port: 0 })) as AddressInfo;
    await (await connectTo(t, address.port)).exchange(get('/a'));
    assert.equal(upstream.requests[0]?.head.get('x-forwarded-for'), '127.0.0.1');
  });

  test('on a Unix socket resolves with its path', posix, async (t) => {
    const upstream = await startUpstream(t, echo);
    const path = join(directory(t), 'x.sock');
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP, forwarded: true });
    assert.equal(await under.balancer.listen({ path }), path);
    const client = await connectTo(t, path);
    assert.equal((await client.exchange(get('/a'))).text, '/a');
    assert.equal((await client.exchange(get('/b'))).text, '/b');
    // There is no address to return.
    const { head } = upstream.requests[0] ?? {};
    assert.equal(head?.get('x-forwarded-for'), undefined);
    assert.equal(head?.get('forwarded'), 'for=unknown;host="example.test";proto=http');
    assert.equal(head.get('x-forwarded-proto'), 'http');
    const closing = under.balancer.close();
    client.destroy();
    await within(closing, () => 'the balancer to close');
    assert.equal(existsSync(path), false);
  });

  test('on a Unix socket: a body that breaks is cut as well as such a socket can', posix, async (t) => {
    const read = gate();
    const bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello';
    const upstream = await startUpstream(t, [[request, bytes, when(read.opened), close]]);
    const path = join(directory(t), 'x.sock');
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    await under.balancer.listen({ path });
    const client = await connectTo(t, path);
    client.send(get());
    await client.head();
    read.open();
    await assert.rejects(client.inbox.exactly(10), { name: 'Broken' });
  });

  test('on an open file descriptor', posix, async (t) => {
    const opened = net.createServer();
    atEnd(t, () => new Promise((resolve) => opened.close(resolve)));
    await new Promise<void>((resolve) => {
      opened.listen(0, '127.0.0.1', resolve);
    });
    const { port } = opened.address() as AddressInfo;
    const { fd } = (opened as unknown as { _handle: { fd: number } })._handle;
    // As systemd does: a child inherits it as its descriptor 3.
    const { code, out, err } = await runProgram(`
      const balancer = createBalancer({ upstreams: [] });
      const { port } = await balancer.listen({ fd: 3 });
      console.log(port);
      await balancer.close();
    `, [fd]);
    assert.deepEqual([code, out, err], [0, `${port}\n`, '']);
  });

  test('on several addresses at once', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const path = join(directory(t), 'x.sock');
    const places = [
      (await under.balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo).port,
      (await under.balancer.listen({ port: 0, host: '127.0.0.1' }) as AddressInfo).port,
      ...(process.platform === 'win32' ? [] : [await under.balancer.listen({ path }) as string]),
    ];
    for (const place of places) assert.equal((await (await connectTo(t, place)).exchange(get('/a'))).text, '/a');
  });

  test('on an address in use fails, and the others continue', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    await assert.rejects(under.balancer.listen({ port: under.port, host: '127.0.0.1' }), { code: 'EADDRINUSE' });
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/a');
    const address = (await under.balancer.listen({ port: 0, host: '127.0.0.1' })) as AddressInfo;
    assert.equal((await (await connectTo(t, address.port)).exchange(get('/b'))).text, '/b');
  });

  test('on an impossible address fails', posix, async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    const file = join(directory(t), 'file');
    writeFileSync(file, '');
    await assert.rejects(under.balancer.listen({ path: file }), { code: 'EADDRINUSE' });
    await assert.rejects(under.balancer.listen({ path: join(file, 'below') }), /ENOTDIR|EACCES/);
    await assert.rejects(under.balancer.listen({ port: 0, host: '192.0.2.1' }), { code: 'EADDRNOTAVAIL' });
  });

  test('with an invalid address is rejected, and does not throw', async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    const table: [given: unknown, message: RegExp][] = [
      ...[-1, 65_536, 1.5, NaN, '80'].map((port): [unknown, RegExp] => {
        const got = typeof port === 'string' ? `"${port}"` : String(port).replace('.', '\\.');
        return [{ port }, new RegExp(`listen\\.port: the port must be an integer from 0 to 65535 \\(got ${got}\\)$`)];
      }),
      [{}, /listen: must have exactly one of port, path and fd, e\.g\. \{ "port": 8080 \} \(got \{\}\)$/],
      [{ port: 1, path: '/x' }, /listen: must have exactly one of port, path and fd/],
      [8080, /listen: must be an object \(got 8080\)$/],
      [undefined, /listen: /],
      [{ path: '' }, /listen\.path: must be the path of a Unix socket, .* \(got ""\)$/],
      [{ path: 7 }, /listen\.path: must be the path of a Unix socket, .* \(got 7\)$/],
      [{ fd: -1 }, /listen\.fd: must be the number of an open file descriptor, e\.g\. 3 \(got -1\)$/],
      [{ fd: 3, backlog: 5 }, /listen\.backlog: cannot be used with fd; leave it out$/],
      [{ port: 0, backlog: '5' }, /listen\.backlog: must be an integer/],
      [{ port: 0, host: 1 }, /listen\.host: must be a name or an address, e\.g\. "127\.0\.0\.1" \(got 1\)$/],
      [{ path: '/x', host: 'a' }, /listen\.host: cannot be used with path; leave it out$/],
      [{ port: 0, hostname: '127.0.0.1' }, /listen\.hostname: unknown option/],
    ];
    for (const [given, message] of table) {
      const listening = under.balancer.listen(given as { port: number });
      await assert.rejects(listening, { name: 'BalancerError', code: 'OPTIONS_INVALID', message });
    }
  });

  test('that a close overtakes leaves nothing behind', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: NODE_HTTP });
    // A name is looked up first: the close comes in between.
    const listening = under.balancer.listen({ port: 0, host: 'localhost' }).then((address) => address, () => undefined);
    await within(under.balancer.close(), () => 'the balancer to close');
    const address = await within(listening, () => 'the listen to end');
    await turns(10);
    if (address !== undefined) {
      await assert.rejects(connectTo(t, (address as AddressInfo).port), { code: 'ECONNREFUSED' });
    }
  });
});
