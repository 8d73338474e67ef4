import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runProgram as run } from '../support/program.ts';

describe('a process ends by itself', () => {
  test('where a balancer does nothing', async () => {
    assert.deepEqual(await run(`
      createBalancer({ upstreams: ['http://127.0.0.1:9'] });
    `), { code: 0, out: '', err: '' });
  });

  test('when a balancer that has served is closed', async () => {
    assert.deepEqual(await run(`
      const upstream = http.createServer((_, response) => response.end('hello'));
      await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
      const balancer = createBalancer({ upstreams: ['http://127.0.0.1:' + upstream.address().port] });
      const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
      const agent = new http.Agent({ keepAlive: true });
      const text = await new Promise((resolve) => {
        http.get({ port, host: '127.0.0.1', agent }, (response) => {
          response.setEncoding('utf8').on('data', (part) => resolve(part));
        });
      });
      const { cut } = await balancer.close();
      upstream.close();
      console.log(text, cut);
    `), { code: 0, out: 'hello 0\n', err: '' });
  });

  test('when a balancer is closed in the middle of a request', async () => {
    assert.deepEqual(await run(`
      const upstream = net.createServer((socket) => socket.on('error', () => undefined).resume());
      await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
      const balancer = createBalancer({ upstreams: ['http://127.0.0.1:' + upstream.address().port] });
      const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
      const client = net.connect(port, '127.0.0.1', () => client.write('GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'));
      client.on('error', () => undefined).on('close', () => console.log('closed')).resume();
      upstream.once('connection', async () => {
        const { cut } = await balancer.close({ timeoutMs: 100 });
        upstream.close();
        if (!client.closed) await new Promise((resolve) => client.once('close', resolve));
        console.log(cut);
      });
    `), { code: 0, out: 'closed\n1\n', err: '' });
  });

  test('when all its upstreams refuse and it is closed', async () => {
    assert.deepEqual(await run(`
      const balancer = createBalancer({
        upstreams: ['http://127.0.0.1:9'], connectTimeoutMs: 1000, onReport: () => undefined,
      });
      const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
      const response = await fetch('http://127.0.0.1:' + port);
      console.log(response.status, await response.text());
      await balancer.close();
    `), { code: 0, out: '502 The upstream refused the connection.\n\n', err: '' });
  });

  test('where a server around balancer.handle is closed, though the balancer is not', async () => {
    assert.deepEqual(await run(`
      const upstream = http.createServer((_, response) => response.end('hello'));
      await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
      const balancer = createBalancer({ upstreams: ['http://127.0.0.1:' + upstream.address().port] });
      const server = http.createServer(balancer.handle);
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      const response = await fetch('http://127.0.0.1:' + server.address().port, { headers: { connection: 'close' } });
      console.log(await response.text());
      server.close();
      upstream.close();
    `), { code: 0, out: 'hello\n', err: '' });
  });

  test('and a strategy fault is a warning if nothing else reports it', async () => {
    const { code, out, err } = await run(`
      const strategy = { name: 'broken', pick: () => { throw new Error('oh no'); } };
      const balancer = createBalancer({ upstreams: ['http://127.0.0.1:9'], strategy });
      process.on('warning', ({ code, message, detail }) => console.log(code, message, detail.split('\\n')[0]));
      const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
      console.log((await fetch('http://127.0.0.1:' + port)).status);
      await balancer.close();
    `);
    assert.equal(code, 0);
    assert.match(out, /^500$/m);
    assert.match(out, /^STRATEGY_FAILED .*\bbroken\b.* Error: oh no$/m);
    assert.match(err, /STRATEGY_FAILED/);
  });

  test('and so is a failed attempt', async () => {
    const { code, out, err } = await run(`
      const balancer = createBalancer({ upstreams: ['http://127.0.0.1:9'], strategy: first });
      process.on('warning', ({ code, message }) => console.log(code, message));
      const { port } = await balancer.listen({ port: 0, host: '127.0.0.1' });
      await (await fetch('http://127.0.0.1:' + port)).text();
      await balancer.close();
    `);
    assert.equal(code, 0);
    assert.match(out, /^CONNECT_REFUSED http:\/\/127\.0\.0\.1:9: The upstream refused the connection: .*ECONNREFUSED/m);
    assert.match(err, /CONNECT_REFUSED/);
  });
});
