/**
 * Certificates that change while the binary serves, and sessions that resume.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { NO_OPENSSL } from '../support/certificate.ts';
import { type Binary, start } from '../support/process-binary.ts';
import { startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { cnFor, getHttp2, getSecure, handshake, httpsPort } from '../support/tls-client.ts';
import { hasOpenssl, type Pem, selfSigned } from '../support/tls-files.ts';
import { within } from '../support/wait.ts';

const secure = { skip: hasOpenssl ? false : NO_OPENSSL };
const none: Pem = { cert: '', key: '' };
const [old, renewed] = hasOpenssl
  ? [selfSigned('old', ['a.example']), selfSigned('new', ['a.example'])] : [none, none];

interface Under {
  readonly binary: Binary;
  readonly port: number;
  readonly cwd: string;
  readonly write: (pair: Partial<Pem>) => void;
}

async function started(t: TestContext, args: readonly string[], files: Record<string, string> = {}): Promise<Under> {
  const cwd = directory(t, { 'a.pem': old.cert, 'a.key': old.key, ...files });
  const flags = ['-l', 'tls:127.0.0.1:0', '--tls-cert', 'a.pem', '--tls-key', 'a.key'];
  const binary = start(t, [...flags, ...args], { cwd });
  const port = await httpsPort(binary);
  const write = ({ cert, key }: Partial<Pem>): void => {
    if (cert !== undefined) writeFileSync(join(cwd, 'a.pem'), cert);
    if (key !== undefined) writeFileSync(join(cwd, 'a.key'), key);
  };
  return { binary, port, cwd, write };
}

/** Which process serves a connection, and whether its session was resumed. The connection stays open. */
async function served(port: number, options: ConnectionOptions = {}): Promise<Served> {
  const socket = await handshake(port, options);
  let text = '';
  const answered = new Promise<void>((resolve, reject) => {
    socket.once('error', reject).on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (text.endsWith('A')) resolve();
    });
  });
  socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  await within(answered, () => 'an answer');
  // A resumed session of TLS 1.3 shows none.
  const { subject } = socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string } };
  return { socket, pid: /^x-pid: (\d+)/m.exec(text)?.[1] ?? '', cn: subject?.CN, reused: socket.isSessionReused() };
}

interface Served {
  readonly socket: TLSSocket;
  readonly pid: string;
  /** The Common Name of the certificate. */
  readonly cn: string | undefined;
  readonly reused: boolean;
}

/** Resolves when each of `processes` has served; connections meanwhile stay open, so that none gets them all. */
async function servedByAll(port: number, processes: number, options: ConnectionOptions = {}): Promise<Served[]> {
  const all: Served[] = [];
  try {
    while (new Set(all.map(({ pid }) => pid)).size < processes) {
      assert.ok(all.length < 200, 'not all processes serve');
      all.push(await served(port, options));
    }
  } finally {
    for (const { socket } of all) socket.destroy();
  }
  return all;
}

const cnOf = ({ cn }: Served): string | undefined => cn;

for (const workers of [1, 2]) {
  test(`with ${workers === 1 ? 'one process' : 'two workers'}, of which each is seen`, secure, async (t) => {
    const { binary, port, cwd, write } = await started(t, ['-c', 'c.mjs', '-w', String(workers)], {
      'c.mjs': `export default {
        upstreams: ['${await startNamed(t, 'A')}'],
        onResponse({ response }) { response.headers.set('x-pid', String(process.pid)); },
      };`,
    });
    const sessions: (readonly [tls.SecureVersion, Buffer])[] = [];

    await t.test('a session resumes in any process, by TLS 1.2 and 1.3', async () => {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const first = await handshake(port, { maxVersion: version });
        const session = await within(version === 'TLSv1.2' ? Promise.resolve(first.getSession())
          : new Promise<Buffer>((resolve) => first.once('session', resolve)), () => 'a session');
        assert.ok(session !== undefined);
        first.destroy();
        const all = await servedByAll(port, workers, { session, maxVersion: version });
        assert.ok(all.every(({ reused }) => reused), version);
        sessions.push([version, session]);
      }
    });

    await t.test('a pair that does not match, or a file that is gone, changes nothing', async () => {
      write({ cert: renewed.cert });
      binary.signal('SIGHUP');
      await binary.logged(/tls-key: a\.key is not the key of a\.pem; name the key that was made with it/);
      assert.deepEqual([...new Set((await servedByAll(port, workers)).map(cnOf))], ['old']);
      rmSync(join(cwd, 'a.pem'));
      binary.signal('SIGHUP');
      await binary.logged(/tls-cert: cannot read a\.pem: the file does not exist/);
      assert.deepEqual([...new Set((await servedByAll(port, workers)).map(cnOf))], ['old']);
    });

    if (workers > 1) {
      await t.test('a worker that is respawned has the last good one, whatever is on disk by then', async () => {
        write({ cert: renewed.cert });
        const pid = Number(/worker 1 \(process (\d+)\)/.exec(binary.stderr)?.[1]);
        process.kill(pid, 'SIGKILL');
        await binary.logged(/worker 3 .* is ready/);
        assert.deepEqual([...new Set((await servedByAll(port, workers)).map(cnOf))], ['old']);
      });
    }

    await t.test('SIGHUP takes a new one under load and amid handshakes, and loses no request', async () => {
      // Connections that stay: one that serves, and one in its handshake, of which the certificate is not chosen yet.
      const kept = await handshake(port);
      const between = net.connect({ port, host: '127.0.0.1' });
      await once(between, 'connect');
      let going = true;
      const seen: string[] = [];
      const load = Array.from({ length: 4 }, async () => {
        while (going) {
          const { status, body, cn } = await getSecure(port);
          assert.deepEqual([status, body], [200, 'A']);
          seen.push(cn);
        }
      });
      assert.equal((await getSecure(port)).cn, 'old');
      write(renewed);
      binary.signal('SIGHUP');
      // With workers, new ones replace the last two.
      await binary.logged(workers === 1 ? /reloaded: the certificates/ : /reload: complete/);
      assert.deepEqual([...new Set((await servedByAll(port, workers)).map(cnOf))], ['new']);
      going = false;
      await within(Promise.all(load), () => 'the requests to end');
      assert.ok(seen.length > 0 && seen.every((cn) => cn === 'old' || cn === 'new'));
      if (workers === 1) {
        const late = tls.connect({ socket: between, rejectUnauthorized: false });
        await within(once(late, 'secureConnect'), () => 'the handshake that had not begun');
        const body = new Promise((resolve) => {
          kept.once('data', resolve);
        });
        kept.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
        assert.match(String(await within(body, () => 'an answer on the old connection')), /^HTTP\/1\.1 200 /);
        late.destroy();
      }
      between.destroy();
      kept.destroy();
    });

    await t.test('a session does not resume with the other certificate', async () => {
      for (const [version, session] of sessions) {
        const all = await servedByAll(port, workers, { session, maxVersion: version });
        assert.ok(all.every(({ reused }) => !reused), version);
      }
    });
  });
}

test('a stream of HTTP/2 and a request of HTTP/1.1 outlive a reload, and the end of the process', secure, async (t) => {
  const upstream = await startHolding(t, 'start ', 'end');
  const { binary, port, write } = await started(t, [upstream.origin]);
  const answers = Promise.all([getHttp2(port), getSecure(port)]);
  await upstream.asked(2);
  write(renewed);
  binary.signal('SIGHUP');
  await binary.logged(/reloaded: the certificates/);
  assert.equal(await cnFor(port), 'new');
  binary.signal('SIGTERM');
  await binary.logged(/SIGTERM: finishing/);
  upstream.release();
  const [two, one] = await answers;
  assert.deepEqual([two, one.body], ['start end', 'start end']);
  assert.equal((await binary.exit()).code, 0);
});

test('the files may be symbolic links that move, as certbot and Kubernetes do it', secure, async (t) => {
  const cwd = directory(t, { '1.pem': old.cert, '1.key': old.key, '2.pem': renewed.cert, '2.key': renewed.key });
  const link = (to: number): void => {
    for (const kind of ['pem', 'key']) {
      rmSync(join(cwd, `live.${kind}`), { force: true });
      symlinkSync(`${to}.${kind}`, join(cwd, `live.${kind}`));
    }
  };
  link(1);
  const config = {
    listen: 'tls:127.0.0.1:0', upstreams: ['http://127.0.0.1:1'],
    tls: { certificates: [{ cert: 'live.pem', key: 'live.key' }] },
  };
  writeFileSync(join(cwd, 'c.json'), JSON.stringify(config));
  const binary = start(t, ['-c', join(cwd, 'c.json')]);
  const port = await httpsPort(binary);
  assert.equal(await cnFor(port), 'old');
  link(2);
  binary.signal('SIGHUP');
  await binary.logged(/reloaded: the certificates, upstreams, /);
  assert.equal(await cnFor(port), 'new');
});

test('the key of session tickets changes', secure, async (t) => {
  const cwd = directory(t, { 'a.pem': old.cert, 'a.key': old.key });
  const config = {
    listen: 'tls:127.0.0.1:0', upstreams: ['http://127.0.0.1:1'],
    tls: { certificates: [{ cert: 'a.pem', key: 'a.key' }], ticketRotation: 1 },
  };
  writeFileSync(join(cwd, 'c.json'), JSON.stringify(config));
  const binary = start(t, ['-c', join(cwd, 'c.json')]);
  const port = await httpsPort(binary);
  const first = await handshake(port, { maxVersion: 'TLSv1.2' });
  const session = first.getSession();
  first.destroy();
  assert.ok(session !== undefined);
  const reused = async (): Promise<boolean> => {
    const socket = await handshake(port, { session, maxVersion: 'TLSv1.2' });
    socket.destroy();
    return socket.isSessionReused();
  };
  const changed = async (): Promise<void> => {
    while (await reused());
  };
  await within(changed(), () => 'the old ticket to be refused');
});
