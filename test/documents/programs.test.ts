/**
 * The programs of all documents run: every block of JavaScript, every configuration, and the command line. Needs
 * `npm run build`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage, type Server } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { makeCertificate, NO_OPENSSL } from '../support/certificate.ts';
import { documentAt, documents, root } from '../support/documents.ts';
import { freePort } from '../support/process-client.ts';

const BINARY = join(root, 'dist/src/cli/main.js');
const POLL_MS = 10;
const MAX_LAUNCHER_LINES = 15;
const MAX_ROOT_STRATEGY_LINES = 15;
/** The token that programs must accept if they ask for one. */
const TOKEN = 'sesame';

/** How a block of JavaScript is tested. */
type Kind = 'serves' | 'launches' | 'configures' | 'strategy' | 'test' | 'ends';

function kindOf(code: string): Kind {
  if (code.includes('equipoise/testing')) return 'test';
  if (/^\/\/ \S+\.js/.test(code) && /\bpick\(/.test(code)) return 'strategy';
  if (code.includes('export default defineConfig(')) return 'configures';
  if (/\b8080\b/.test(code)) return 'serves';
  if (/\b8000\b/.test(code) && code.includes('launch(')) return 'launches';
  return 'ends';
}

const certificate = makeCertificate();

describe('programs of the documents', () => {
  const upstreams: Server[] = [];
  const children: ChildProcess[] = [];
  let folder = '';

  before(async () => {
    for (let i = 0; i < 3; i++) {
      const server = http.createServer((request, response) => response.end(`upstream ${i} ${request.url ?? ''}`));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      upstreams.push(server);
    }
    folder = mkdtempSync(join(tmpdir(), 'equipoise-documents-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/equipoise'), 'dir');
    for (const used of ['express', '@opentelemetry']) {
      symlinkSync(join(root, 'node_modules', used), join(folder, 'node_modules', used), 'dir');
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    if (certificate === undefined) return;
    writeFileSync(join(folder, 'key.pem'), certificate.key);
    writeFileSync(join(folder, 'cert.pem'), certificate.cert);
  });

  after(async () => {
    for (const child of children) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    for (const server of upstreams) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(folder, { recursive: true });
  });

  const start = (args: readonly string[]): ChildProcess => {
    const env = { ...process.env, TOKEN };
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    return child;
  };

  /** Starts a program that logs only errors; also returns what it has logged so far. */
  const program = (args: readonly string[]): { readonly child: ChildProcess; readonly errors: () => string } => {
    const child = start(args);
    child.stdout?.resume();
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    return { child, errors: () => errors };
  };

  /** The code with its ports replaced: 8080 by `port`, 3001 to 3003 by those of our upstreams. */
  const placed = (code: string, port: number): string =>
    code.replace(/\b300([123])\b/g, (_, n) => String((upstreams[Number(n) - 1]?.address() as AddressInfo).port))
      .replace(/\b8080\b/g, String(port));

  /** Resolves when the program accepts connections; rejects if it ends. */
  const ready = (child: ChildProcess, port: number, errors: () => string): Promise<void> => (
    Promise.race([accepting(port, child), once(child, 'exit').then(() => {
      throw new Error(`the program ended: ${errors()}`);
    })]));

  test('the command line runs, and prints what the README promises', async () => {
    const { text, blocks } = documentAt('README.md');
    const line = blocks.find(({ code }) => code.startsWith('equipoise '))?.code ?? '';
    const port = await freePort();
    const child = start([BINARY, '-l', String(port), ...placed(line, port).trim().split(' ').slice(1)]);
    const [printed] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    const promised = /prints\s+`(.*)`/.exec(text)?.[1] ?? '';
    assert.equal(printed.toString(), `${promised.replace('8080', String(port))}\n`);
    assert.match(await answer(port), /^upstream \d \/x$/);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  for (const { path, blocks } of documents) {
    const programs = blocks.filter(({ language }) => language === 'js')
      .map(({ code }) => ({ code, kind: kindOf(code) }));
    const of = (kind: Kind): readonly (readonly [number, string])[] => (
      [...programs.entries()].flatMap(([i, each]) => (each.kind === kind ? [[i, each.code] as const] : [])));
    const file = (i: number): string => `${path.replaceAll(/\W/g, '-')}-${i}.js`;

    for (const [i, code] of of('serves')) {
      const line = /^(.*createServer.*|.*app = .*|.*listen.*)$/m.exec(code)?.[1] ?? '';
      const secure = code.includes('tls.createServer');
      const skip = secure && certificate === undefined ? NO_OPENSSL : false;
      test(`${path}, program ${i + 1} serves: ${line}`, { skip }, async () => {
        const port = await freePort();
        writeFileSync(join(folder, file(i)), placed(code, port));
        const { child, errors } = program([file(i)]);
        await ready(child, port, errors);
        assert.match(await (secure ? secureAnswer(port) : answer(port)), /^upstream \d \/x$/);
        // A program that authorizes clients does so for upgrades, too: the README shows how.
        if (code.includes('allowed(request)')) {
          assert.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 401);
          assert.equal(await upgradeStatus(port), 401);
        }
        // What a launcher logs about its workers is not an error.
        assert.equal(errors().replace(/^equipoise: (all )?workers?\b.*\n/gm, ''), '');
      });
    }

    for (const [i, code] of of('launches')) {
      const line = /^.*launch\(.*$/m.exec(code)?.[0] ?? '';
      test(`${path}: the launcher serves in workers, and drains: ${line}`, async () => {
        const port = await freePort();
        assert.ok(code.trim().split('\n').length < MAX_LAUNCHER_LINES, 'it is short');
        writeFileSync(join(folder, file(i)), code.replace(/\b8000\b/, String(port)));
        const { child, errors } = program([file(i)]);
        await ready(child, port, errors);
        const text = await (await fetch(`http://127.0.0.1:${port}/`)).text();
        assert.match(text, /^hello from \d+$/);
        assert.notEqual(text, `hello from ${child.pid ?? 0}`, 'the primary does no such work');
        child.kill('SIGTERM');
        assert.deepEqual(await once(child, 'exit'), [0, null]);
      });
    }

    for (const [i, code] of of('ends')) {
      test(`${path}, program ${i + 1} runs to its end`, async () => {
        const port = await freePort();
        writeFileSync(join(folder, file(i)), placed(code, port));
        const { child, errors } = program([file(i)]);
        assert.deepEqual(await once(child, 'close'), [0, null], errors());
        assert.equal(errors(), '');
      });
    }

    const strategies = of('strategy');
    if (strategies.length > 0) {
      test(`${path}: strategies conform, by the tests of the document`, async () => {
        const names = strategies.map(([, code]) => /^\/\/ (\S+\.js)/.exec(code)?.[1] ?? '');
        for (const [at, [, code]] of strategies.entries()) writeFileSync(join(folder, names[at] ?? ''), code);
        const tests = of('test');
        for (const name of names) {
          assert.ok(tests.some(([, code]) => code.includes(`'./${name}'`)), `${name} is tested`);
        }
        for (const [i, code] of tests) {
          writeFileSync(join(folder, file(i)), code);
          await conforms(file(i));
        }
      });
      test(`${path}: strategies are served by`, async () => {
        for (const [, code] of strategies) {
          const name = /^\/\/ (\S+\.js)/.exec(code)?.[1] ?? '';
          writeFileSync(join(folder, name), code);
          const port = await freePort();
          const { child, errors } = program([BINARY, '-l', `127.0.0.1:${port}`, '-s', `./${name}`,
            ...placed('http://127.0.0.1:3001 http://127.0.0.1:3002', port).split(' ')]);
          await ready(child, port, errors);
          assert.match(await answer(port), /^upstream \d \/x$/);
        }
      });
    } else assert.deepEqual(of('test'), [], `${path}: a test has a strategy to test`);

    const configurations = [
      ...blocks.filter(({ language }) => language === 'json').map(({ code }, i) => (
        [file(i).replace(/js$/, 'json'), code] as const)),
      ...of('configures').map(([i, code]) => [file(i), code] as const),
    ];
    for (const [name, code] of configurations) {
      test(`${path}: the binary serves by ${name}`, async () => {
        const port = await freePort();
        const text = placed(code, port);
        if (name.endsWith('.json')) assert.equal(typeof JSON.parse(text), 'object');
        writeFileSync(join(folder, name), text);
        const { child, errors } = program([BINARY, '-c', name]);
        await ready(child, port, errors);
        assert.match(await answer(port), /^upstream \d \/x$/);
        assert.equal(errors(), '');
      });
    }
  }

  test('the strategy of the root README is short', () => {
    const strategy = documentAt('README.md').blocks.find(({ language, code }) => (
      language === 'js' && kindOf(code) === 'strategy'))?.code ?? '';
    assert.notEqual(strategy, '', 'it is there');
    assert.ok(strategy.trim().split('\n').length <= MAX_ROOT_STRATEGY_LINES);
  });

  /** Runs a file of tests. */
  async function conforms(name: string): Promise<void> {
    // NODE_TEST_CONTEXT would make the inner run report to the outer one.
    const env = { ...process.env };
    delete env['NODE_TEST_CONTEXT'];
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', name],
      { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    let output = '';
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString();
    });
    const [exitCode] = (await once(child, 'close')) as [number];
    assert.equal(exitCode, 0, output);
    assert.match(output, /^# fail 0$/m);
    assert.doesNotMatch(output, /^# tests 0$/m);
  }
});

/** The answer to a WebSocket handshake without credentials. */
function upgradeStatus(port: number): Promise<number | undefined> {
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  return new Promise((resolve, reject) => {
    http.get({ port, path: '/x', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

/** Resolves when connections to the port are accepted; never once the program has ended. */
async function accepting(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => { resolve(true); });
      socket.once('error', () => { resolve(false); });
    });
    socket.destroy();
    if (connected === true) return;
    // The program needs the processor more than this loop does.
    await pause(POLL_MS);
  }
  await new Promise(() => undefined);
}

async function answer(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/x`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  assert.equal(response.status, 200);
  return response.text();
}

/** The same over TLS. */
async function secureAnswer(port: number): Promise<string> {
  const request = https.get({ host: '127.0.0.1', port, path: '/x', ca: certificate?.cert, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  let text = '';
  for await (const piece of response) text += String(piece);
  return text;
}
