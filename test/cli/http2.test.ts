/**
 * HTTP/2 on a `tls:` listener of the binary: what happens to its streams when the binary stops or reloads, and its
 * limits.
 */
import assert from 'node:assert/strict';
import http2, { type ClientHttp2Session } from 'node:http2';
import { describe, test, type TestContext } from 'node:test';
import { NO_OPENSSL } from '../support/certificate.ts';
import { type Binary, start } from '../support/process-binary.ts';
import { startHolding, startNamed } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { getHttp2, handshake, httpsPort } from '../support/tls-client.ts';
import { hasOpenssl, type Pem, selfSigned } from '../support/tls-files.ts';
import { within } from '../support/wait.ts';

const secure = { skip: hasOpenssl ? false : NO_OPENSSL };
const pair: Pem = hasOpenssl ? selfSigned('a', ['a.example']) : { cert: '', key: '' };

async function started(
  t: TestContext, upstream: string, ...more: readonly string[]
): Promise<{ readonly binary: Binary; readonly port: number }> {
  const cwd = directory(t, { 'a.pem': pair.cert, 'a.key': pair.key });
  const args = ['-l', 'tls:127.0.0.1:0', '--tls-cert', 'a.pem', '--tls-key', 'a.key', ...more, upstream];
  const binary = start(t, args, { cwd });
  return { binary, port: await httpsPort(binary) };
}

/** A connection to it. Resolves when it has the settings of the other side. */
async function connected(t: TestContext, port: number): Promise<{
  readonly session: ClientHttp2Session;
  /** What its GOAWAYs said: code and last stream. */
  readonly goaways: ReadonlySet<string>;
  readonly over: Promise<void>;
}> {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.after(() => {
    session.destroy();
  });
  const goaways = new Set<string>();
  session.on('error', () => undefined).on('goaway', (code, last) => goaways.add(`${code} ${last}`));
  const over = new Promise<void>((resolve) => session.once('close', resolve));
  await within(new Promise((resolve) => session.once('remoteSettings', resolve)), () => 'the SETTINGS');
  return { session, goaways, over };
}

function ask(session: ClientHttp2Session, headers: http2.OutgoingHttpHeaders = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    let status: number | undefined;
    let body = '';
    const stream = session.request({ ':path': '/', ...headers });
    stream.setEncoding('utf8').on('response', (head) => {
      status = head[':status'];
    }).on('data', (part: string) => (body += part)).on('error', reject).on('close', () => {
      if (stream.rstCode === 0) resolve(`${status} ${body}`);
      else reject(new Error(`reset with ${stream.rstCode} after ${JSON.stringify(body)}`));
    });
  });
}

/** Resolves when connections are refused; until each worker has stopped accepting, they may also be reset. */
async function refused(port: number): Promise<void> {
  let code: string | undefined;
  while (code !== 'ECONNREFUSED') {
    code = await handshake(port).then((socket) => {
      socket.destroy();
      return undefined;
    }, (error: unknown) => (error as NodeJS.ErrnoException).code);
  }
}

/** Streams of one connection that the upstream holds back. */
const STREAMS = 20;
const FINISHED = Array<string>(STREAMS).fill('200 start end');

for (const workers of [1, 2]) {
  describe(`with ${workers === 1 ? 'one process' : 'two workers'}`, secure, () => {
    test('SIGTERM: streams finish, idle connections go, new ones are refused, and the exit is clean', async (t) => {
      const upstream = await startHolding(t, 'start ', 'end');
      const { binary, port } = await started(t, upstream.origin, '-w', String(workers), '--drain-timeout', '60');
      const [busy, idle] = [await connected(t, port), await connected(t, port)];
      const answers = Promise.all(Array.from({ length: STREAMS }, () => ask(busy.session)));
      await upstream.asked(STREAMS);
      binary.signal('SIGTERM');
      await within(idle.over, () => 'the end of the idle connection');
      assert.deepEqual([...idle.goaways], ['0 0']);
      await within(refused(port), () => 'new connections to be refused');
      upstream.release();
      assert.deepEqual(await within(answers, () => 'the streams'), FINISHED);
      await within(busy.over, () => 'the end of the busy connection');
      assert.deepEqual([...busy.goaways], [`0 ${2 * STREAMS - 1}`]);
      const { code, stderr } = await binary.exit();
      assert.equal(code, 0);
      assert.doesNotMatch(stderr, / cut/);
    });
  });
}

test('SIGTERM: what is not over by the drain timeout is cut', secure, async (t) => {
  const upstream = await startHolding(t, 'start ', 'end');
  const { binary, port } = await started(t, upstream.origin, '--drain-timeout', '1');
  const { session } = await connected(t, port);
  const answer = ask(session).catch(() => 'cut');
  await upstream.asked(1);
  binary.signal('SIGTERM');
  assert.equal(await within(answer, () => 'the stream'), 'cut');
  const { code, stderr } = await binary.exit();
  assert.equal(code, 0);
  assert.match(stderr, /1 connection was cut: it took longer than the drain timeout/);
});

test('SIGHUP with two workers: old ones finish their streams, new ones serve', secure, async (t) => {
  const upstream = await startHolding(t, 'start ', 'end');
  const { binary, port } = await started(t, upstream.origin, '-w', '2');
  const busy = await connected(t, port);
  const answers = Promise.all(Array.from({ length: STREAMS }, () => ask(busy.session)));
  await upstream.asked(STREAMS);
  binary.signal('SIGHUP');
  await binary.logged(/worker 4 \(process \d+\) is ready/);
  const anew = getHttp2(port);
  await upstream.asked(STREAMS + 1);
  upstream.release();
  assert.deepEqual(await within(answers, () => 'the streams'), FINISHED);
  assert.equal(await within(anew, () => 'a stream of a new worker'), 'start end');
  await within(busy.over, () => 'the end of the old connection');
  assert.deepEqual([...busy.goaways], [`0 ${2 * STREAMS - 1}`]);
  await binary.logged(/worker 2 .* ended/);
  binary.signal('SIGTERM');
  assert.equal((await binary.exit()).code, 0);
});

test('the limits of the configuration hold for HTTP/2', secure, async (t) => {
  const upstream = await startNamed(t, 'A');
  const config = (limits: string): string => `export default {
    listen: 'tls:127.0.0.1:0', upstreams: ['${upstream}'], ${limits}
    tls: { certificates: [{ cert: 'a.pem', key: 'a.key' }] },
  };`;
  const cwd = directory(t, {
    'a.pem': pair.cert, 'a.key': pair.key,
    'few.mjs': config('maxFields: 20, maxHeadBytes: 2_048,'),
    'many.mjs': config('maxFields: 400, maxHeadBytes: 65_536,'),
    'idle.mjs': config('keepAliveTimeoutMs: 200,'),
  });
  const fields = (count: number, size: number): http2.OutgoingHttpHeaders => Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`x-${i}`, 'v'.repeat(size)]));
  const [idle, few, many] = await Promise.all(['idle', 'few', 'many'].map(async (name) => (
    connected(t, await httpsPort(start(t, ['-c', `${name}.mjs`], { cwd }))))));
  assert.ok(idle !== undefined && few !== undefined && many !== undefined);
  assert.equal(few.session.remoteSettings.maxHeaderListSize, 2 * 2_048 + 32 * 20);
  assert.equal(await ask(few.session, fields(10, 10)), '200 A');
  assert.match(await ask(few.session, fields(30, 10)), /^431 /);
  assert.equal(await ask(many.session, fields(300, 20)), '200 A');
  await within(idle.over, () => 'the end of a connection that is idle');
});
