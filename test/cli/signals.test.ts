import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { type Binary, start } from '../support/process-binary.ts';
import { begin, get, type HoldingUpstream, startHolding, startNamed } from '../support/process-client.ts';
import { within } from '../support/wait.ts';

/** More than the buffers between two sockets hold. */
const LARGE = 'x'.repeat(20_000_000);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  describe(signal, () => {
    test('stops an idle balancer with 0', async (t) => {
      const binary = start(t, ['-l', '127.0.0.1:0', await startNamed(t, 'A')]);
      await binary.ready();
      binary.signal(signal);
      const { code, signal: by, stderr } = await binary.exit();
      assert.deepEqual([code, by], [0, null]);
      assert.equal(stderr, `equipoise: ${signal}: finishing what is in flight, for 10 s at most\n`);
    });

    test('does not wait for idle connections', async (t) => {
      const binary = start(t, ['-l', '127.0.0.1:0', await startNamed(t, 'A')]);
      const port = await binary.port();
      const [unused, used] = [await connect(t, port), await connect(t, port)];
      used.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
      await new Promise((resolve) => used.once('data', resolve));
      binary.signal(signal);
      assert.equal((await binary.exit()).code, 0);
      for (const socket of [unused, used]) {
        if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      }
    });

    test('lets a request in flight finish', async (t) => {
      const { binary, upstream } = await holding(t, '', 'at last');
      const answer = get(await binary.port());
      await upstream.asked();
      binary.signal(signal);
      await binary.logged(new RegExp(signal));
      upstream.release();
      const { status, headers, body } = await answer;
      assert.deepEqual([status, body], [200, 'at last']);
      assert.equal(headers.connection, 'close', 'the client learns that the connection ends');
      assert.equal((await binary.exit()).code, 0);
    });
  });
}

describe('while it drains', () => {
  test('a response that has begun is completed', async (t) => {
    const { binary, upstream } = await holding(t, 'start', LARGE);
    const response = await begin(await binary.port(), '/');
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    upstream.release();
    let length = 0;
    for await (const part of response) length += (part as Buffer).length;
    assert.equal(length, 'start'.length + LARGE.length);
    assert.equal((await binary.exit()).code, 0);
  });

  test('several requests finish at different times', async (t) => {
    const { binary, upstream } = await holding(t, '', 'at last');
    const port = await binary.port();
    const answers = [get(port, '/1'), get(port, '/2'), get(port, '/3')];
    await upstream.asked(3);
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    upstream.release();
    assert.deepEqual((await Promise.all(answers)).map(({ body }) => body), ['at last', 'at last', 'at last']);
    assert.equal((await binary.exit()).code, 0);
  });

  test('it takes no new connections', async (t) => {
    const { binary, upstream } = await holding(t, 'start', 'rest');
    const port = await binary.port();
    const response = await begin(port, '/');
    binary.signal('SIGTERM');
    await binary.logged(/SIGTERM/);
    const refused = async (): Promise<void> => {
      // Connections that arrived before the listener closed are accepted, then closed.
      while (await canConnect(port));
    };
    await within(refused(), () => 'a connection to be refused');
    upstream.release();
    let body = '';
    for await (const part of response) body += String(part);
    assert.equal(body, 'startrest');
    assert.equal((await binary.exit()).code, 0);
  });
});

describe('what does not finish', () => {
  for (const [first, second] of [['SIGTERM', 'SIGTERM'], ['SIGINT', 'SIGINT'], ['SIGTERM', 'SIGINT']] as const) {
    test(`${second} after ${first} exits at once`, async (t) => {
      const { binary, upstream } = await holding(t, '', 'never');
      const cut = assert.rejects(get(await binary.port()), /socket hang up|ECONNRESET/);
      await upstream.asked();
      binary.signal(first);
      await binary.logged(new RegExp(first));
      binary.signal(second);
      const { code, signal } = await binary.exit();
      assert.deepEqual([code, signal], [1, null]);
      await cut;
    });
  }

  const held: readonly [what: string, start: string, timeout: string][] = [
    ['a request without an answer', '', '0.1'],
    ['a response that stopped', 'start', '0.1'],
    ['anything, with a timeout of 0', 'start', '0'],
  ];
  for (const [what, started, timeout] of held) {
    test(`is cut when the drain timeout expires: ${what}`, async (t) => {
      const { binary, upstream } = await holding(t, started, 'never', ['--drain-timeout', timeout]);
      const cut = assert.rejects(get(await binary.port()), /aborted|socket hang up|ECONNRESET/);
      await upstream.asked();
      binary.signal('SIGTERM');
      const { code, signal, stderr } = await binary.exit();
      // Otherwise each deploy with an open WebSocket would be marked as failed.
      assert.deepEqual([code, signal], [0, null]);
      assert.match(stderr, new RegExp(`for ${timeout.replace('.', '\\.')} s at most\\n`));
      assert.match(stderr, /^equipoise: 1 connection was cut: it took longer than the drain timeout$/m);
      await cut;
    });
  }
});

/** The binary in front of an upstream that holds back its answer. */
async function holding(
  t: TestContext, started: string, rest: string, args: readonly string[] = [],
): Promise<{ binary: Binary; upstream: HoldingUpstream }> {
  const upstream = await startHolding(t, started, rest);
  return { binary: start(t, ['-l', '127.0.0.1:0', ...args, upstream.origin]), upstream };
}

async function connect(t: TestContext, port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => {
    socket.destroy();
  });
  socket.on('error', () => {
    // The tests observe its fate in other ways.
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}
