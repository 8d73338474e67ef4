/**
 * Certificates that change while the binary serves, and sessions that resume.
 */
import assert from 'node:assert/strict';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
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

async function started(t: TestContext, workers: number, upstream: string): Promise<Under> {
  const cwd = directory(t, { 'a.pem': old.cert, 'a.key': old.key });
  const args = ['-w', String(workers), '-l', 'tls:127.0.0.1:0', '--tls-cert', 'a.pem', '--tls-key', 'a.key', upstream];
  const binary = start(t, args, { cwd });
  const port = await httpsPort(binary);
  const write = ({ cert, key }: Partial<Pem>): void => {
    if (cert !== undefined) writeFileSync(join(cwd, 'a.pem'), cert);
    if (key !== undefined) writeFileSync(join(cwd, 'a.key'), key);
  };
  return { binary, port, cwd, write };
}

for (const workers of [1, 2]) {
  describe(`with ${workers === 1 ? 'one process' : 'two workers'}`, secure, () => {
    test('SIGHUP takes new certificates under load, and loses no request', async (t) => {
      const { binary, port, write } = await started(t, workers, await startNamed(t, 'A'));
      // A connection that stays, where there is one process.
      const kept = await handshake(port);
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
      await binary.logged(workers === 1 ? /reloaded: the certificates/ : /worker 2 .* ended/);
      for (let i = 0; i < 8; i++) assert.equal(await cnFor(port), 'new');
      going = false;
      await within(Promise.all(load), () => 'the requests to end');
      assert.deepEqual([...new Set(seen)].sort(), seen.includes('new') ? ['new', 'old'] : ['old']);
      if (workers === 1) {
        const body = new Promise((resolve) => {
          kept.once('data', resolve);
        });
        kept.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
        assert.match(String(await within(body, () => 'an answer on the old connection')), /^HTTP\/1\.1 200 /);
      }
      kept.destroy();
    });

    test('a pair that does not match, or a file that is gone, changes nothing', async (t) => {
      const { binary, port, cwd, write } = await started(t, workers, await startNamed(t, 'A'));
      write({ cert: renewed.cert });
      binary.signal('SIGHUP');
      await binary.logged(/tls-key: a\.key is not the key of a\.pem; name the key that was made with it/);
      assert.equal(await cnFor(port), 'old');
      rmSync(join(cwd, 'a.pem'));
      binary.signal('SIGHUP');
      await binary.logged(/tls-cert: cannot read a\.pem: the file does not exist/);
      assert.equal(await cnFor(port), 'old');
      assert.equal((await getSecure(port)).body, 'A');
    });

    test('a session resumes in any process, by TLS 1.2 and 1.3, and not with another certificate', async (t) => {
      const { binary, port, write } = await started(t, workers, await startNamed(t, 'A'));
      const resumes = async (version: 'TLSv1.2' | 'TLSv1.3', session: Buffer): Promise<boolean> => {
        const socket = await handshake(port, { session, maxVersion: version });
        const reused = socket.isSessionReused();
        socket.destroy();
        return reused;
      };
      const sessions: Buffer[] = [];
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const first = await handshake(port, { maxVersion: version });
        const session = await within(version === 'TLSv1.2' ? Promise.resolve(first.getSession())
          : new Promise<Buffer>((resolve) => first.once('session', resolve)), () => 'a session');
        assert.ok(session !== undefined);
        first.destroy();
        for (let i = 0; i < 6; i++) assert.equal(await resumes(version, session), true, `${version}, ${i}`);
        sessions.push(session);
      }
      write(renewed);
      binary.signal('SIGHUP');
      await binary.logged(workers === 1 ? /reloaded: the certificates/ : /worker 2 .* ended/);
      for (const session of sessions) assert.equal(await resumes('TLSv1.3', session), false);
    });
  });
}

test('a stream of HTTP/2 and a request of HTTP/1.1 outlive a reload, and the end of the process', secure, async (t) => {
  const upstream = await startHolding(t, 'start ', 'end');
  const { binary, port, write } = await started(t, 1, upstream.origin);
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

test('a worker that is respawned has the last good certificates, whatever is on disk by then', secure, async (t) => {
  const { binary, port, write } = await started(t, 2, await startNamed(t, 'A'));
  write({ cert: renewed.cert });
  const pid = Number(/worker 1 \(process (\d+)\)/.exec(binary.stderr)?.[1]);
  process.kill(pid, 'SIGKILL');
  await binary.logged(/worker 3 .* is ready/);
  for (let i = 0; i < 6; i++) assert.equal(await cnFor(port), 'old');
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
