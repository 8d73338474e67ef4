/**
 * A browser before the binary: a page and a WebSocket over HTTP/2, and the live page of the admin listener.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import { NO_CHROMIUM, openPage } from '../examples/chromium.ts';
import { NO_OPENSSL } from '../support/certificate.ts';
import { start } from '../support/process-binary.ts';
import { get, listening, startUpstream } from '../support/process-client.ts';
import { directory } from '../support/process-files.ts';
import { httpsPort } from '../support/tls-client.ts';
import { hasOpenssl, selfSigned } from '../support/tls-files.ts';
import { within } from '../support/wait.ts';

test('a page and its WebSocket come over HTTP/2, the WebSocket by RFC 8441', {
  skip: hasOpenssl ? NO_CHROMIUM : NO_OPENSSL,
}, async (t) => {
  const server = http.createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(request.url === '/' ? '<!doctype html><link rel="icon" href="data:,"><p>hello' : 'more');
  });
  const sockets = new WebSocketServer({ server });
  const handshakes: (string | undefined)[] = [];
  sockets.on('connection', (socket, { headers }) => {
    handshakes.push(headers.via);
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary });
    });
  });
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
  const upstream = `http://127.0.0.1:${await listening(t, server)}`;
  const pair = selfSigned('localhost', ['localhost']);
  const cwd = directory(t, { 'a.pem': pair.cert, 'a.key': pair.key });
  const args = ['-l', 'tls:127.0.0.1:0', '--tls-cert', 'a.pem', '--tls-key', 'a.key', upstream];
  const binary = start(t, args, { cwd });
  const port = await httpsPort(binary);
  const page = await openPage(t, `https://localhost:${port}/`, ['--ignore-certificate-errors']);
  assert.equal(await page.evaluate('performance.getEntriesByType("navigation")[0].nextHopProtocol'), 'h2');
  const together = 'Promise.all([...Array(50).keys()].map(async (i) => (await fetch("/" + i + "x")).text()))';
  assert.deepEqual(await page.evaluate(together), Array<string>(50).fill('more'));
  assert.deepEqual(await page.evaluate(`new Promise((resolve, reject) => {
    const got = [];
    const socket = new WebSocket('wss://' + location.host + '/echo');
    socket.onopen = () => {
      socket.send('hello');
      socket.send('x'.repeat(300000));
    };
    socket.onmessage = ({ data }) => {
      got.push(data.length);
      if (got.length === 2) socket.close(1000);
    };
    socket.onerror = () => reject(new Error('failed'));
    socket.onclose = ({ code }) => resolve([...got, code]);
  })`), [5, 300_000, 1_000]);
  assert.deepEqual(handshakes.map((via) => via?.slice(0, 4)), ['2.0 ']);
  assert.deepEqual(page.complaints, []);
  binary.signal('SIGTERM');
  assert.equal((await binary.exit()).code, 0);
});

/** Upstreams, of which one is slow and one can be killed, with the binary before them. */
async function operated(t: TestContext) {
  const quick = await startUpstream(t, (_request, response) => response.end('quick'));
  const slow = await startUpstream(t, (_request, response) => {
    setTimeout(() => response.end('slow'), 500);
  });
  const mortal = http.createServer((_request, response) => response.end('mortal'));
  const doomed = `http://127.0.0.1:${await listening(t, mortal)}`;
  const args = ['-s', 'least-connections', '-l', '127.0.0.1:0', '--admin', '127.0.0.1:0', quick, slow, doomed];
  const binary = start(t, args);
  const port = await binary.port();
  await binary.logged(/admin listener: /);
  const admin = /admin listener: (http:\/\/127\.0\.0\.1:\d+)/.exec(binary.stderr)?.[1] ?? '';
  let going = true;
  const load = Array.from({ length: 8 }, async () => {
    while (going) await get(port).catch(() => undefined);
  });
  t.after(async () => {
    going = false;
    await Promise.all(load);
  });
  const kill = (): number => {
    const { port: at } = mortal.address() as AddressInfo;
    mortal.close();
    mortal.closeAllConnections();
    return at;
  };
  return { admin, quick, slow, doomed, mortal, kill };
}

test('the live page shows what is slow and what is dead, and drains by keyboard', { skip: NO_CHROMIUM }, async (t) => {
  const { admin, quick, slow, doomed, mortal, kill } = await operated(t);
  const { headers } = await get({ host: '127.0.0.1', port: Number(new URL(admin).port) });
  const policy = String(headers['content-security-policy']);
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);

  const page = await openPage(t, `${admin}/`);
  /** The part of the page about an upstream. */
  const row = (origin: string): string => (
    `[...document.querySelectorAll('li.up')].find((li) => li.textContent.includes(${JSON.stringify(origin)}))`);
  const shows = (origin: string, pattern: RegExp): Promise<void> => (
    page.until(`${String(pattern)}.test(${row(origin)}?.textContent)`));
  await shows(slow, /slow: .* times the .* of the others/);

  const at = kill();
  await shows(doomed, /Ejected .*: too many attempts failed in a row/);
  mortal.listen(at, '127.0.0.1');
  await shows(doomed, /active/);

  // Tab reaches the button from the top of the page.
  for (let presses = 0; presses < 30; presses++) {
    await page.press('Tab');
    if (await page.evaluate(`document.activeElement === ${row(quick)}.querySelector('button')`) === true) break;
  }
  assert.equal(await page.evaluate(`document.activeElement === ${row(quick)}.querySelector('button')`), true);
  await page.press('Enter');
  await shows(quick, /drained/);
  await page.until(`${row(quick)}.querySelector('button').textContent === 'Activate'`);
  await page.press(' ');
  await shows(quick, /active/);

  const narrow = { width: 360, height: 740, deviceScaleFactor: 1, mobile: true };
  await page.send('Emulation.setDeviceMetricsOverride', narrow);
  await within(page.evaluate('new Promise((resolve) => requestAnimationFrame(() => resolve(true)))'), () => 'a frame');
  assert.deepEqual(await page.evaluate('[innerWidth, document.documentElement.scrollWidth]'), [360, 360]);

  assert.deepEqual(page.complaints, []);
  assert.deepEqual(page.requests.filter((url) => !url.startsWith(`${admin}/`) && !url.startsWith('data:')), []);
});
