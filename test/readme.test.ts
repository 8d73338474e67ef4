/**
 * The README tells the truth: its programs run, its commands exist, its table of options is that of the code.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http, { type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseOptions } from '../src/options/parse.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
  .map(([, language = '', code = '']) => ({ language, code }));
const programs = blocks.filter(({ language }) => language === 'js').map(({ code }) => code);

describe('README', () => {
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
    folder = mkdtempSync(join(tmpdir(), 'equipoise-readme-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/equipoise'), 'dir');
    symlinkSync(join(root, 'node_modules/express'), join(folder, 'node_modules/express'), 'dir');
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
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
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    return child;
  };

  /** The code with its ports replaced: 8080 by `port`, 3001 to 3003 by those of our upstreams. */
  const placed = (code: string, port: number): string =>
    code.replace(/\b300([123])\b/g, (_, n) => String((upstreams[Number(n) - 1]?.address() as AddressInfo).port))
      .replace(/\b8080\b/g, String(port));

  test('the two commands are scripts of the package', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    const there = blocks.some(({ code }) => code === 'npm ci && npm start\nnpm ci && npm test\n');
    assert.ok(there, 'the two commands are there');
    assert.deepEqual(['start', 'test'].filter((name) => !(name in scripts)), []);
  });

  test('the command line runs', async () => {
    const line = blocks.find(({ code }) => code.startsWith('equipoise '))?.code ?? '';
    const port = await freePort();
    const child = start([join(root, 'dist/src/cli/main.js'), '-l', `127.0.0.1:${port}`,
      ...placed(line, port).trim().split(' ').slice(1)]);
    const [ready] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    const promised = /prints `(.*)` when it is ready/.exec(readme)?.[1] ?? '';
    assert.equal(ready.toString(), `${promised.replace('8080', String(port))}\n`);
    assert.match(await answer(port), /^upstream \d \/x$/);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  for (const [i, code] of programs.entries()) {
    if (!code.includes('8080')) continue;
    const line = /^(.*createServer.*|.*app = .*|.*listen.*)$/m.exec(code)?.[1] ?? '';
    test(`program ${i + 1} serves: ${line}`, async () => {
      const port = await freePort();
      writeFileSync(join(folder, `program-${i}.js`), placed(code, port));
      const child = start([`program-${i}.js`]);
      let errors = '';
      child.stderr?.on('data', (text: Buffer) => {
        errors += text.toString();
      });
      await Promise.race([accepting(port), once(child, 'exit').then(() => {
        throw new Error(`the program ended: ${errors}`);
      })]);
      assert.match(await answer(port), /^upstream \d \/x$/);
      // A program that asks who may upgrade does so: the README shows how.
      if (code.includes('allowed(request)')) assert.equal(await upgradeStatus(port), 401);
      // What a launcher tells of its workers is no error.
      assert.equal(errors.replace(/^equipoise: (all )?workers?\b.*\n/gm, ''), '');
    });
  }

  const launched = programs.filter((code) => code.includes('launch(') && code.includes('8000'));
  for (const [i, code] of launched.entries()) {
    test(`the launcher serves in workers, and drains: ${/^.*launch\(.*$/m.exec(code)?.[0] ?? ''}`, async () => {
      const port = await freePort();
      assert.ok(code.trim().split('\n').length < 15, 'it has less than 15 lines');
      writeFileSync(join(folder, `launched-${i}.js`), code.replace(/\b8000\b/, String(port)));
      const child = start([`launched-${i}.js`]);
      child.stderr?.resume();
      await accepting(port);
      const text = await (await fetch(`http://127.0.0.1:${port}/`)).text();
      assert.match(text, /^hello from \d+$/);
      assert.notEqual(text, `hello from ${child.pid ?? 0}`, 'the primary does no such work');
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    });
  }

  test('the strategy is one, by the conformance suite, as the README runs it', async () => {
    const strategy = programs.find((code) => code.includes('pick(candidates)')) ?? '';
    const name = /^\/\/ (\S+\.js)/.exec(strategy)?.[1] ?? '';
    assert.ok(strategy.trim().split('\n').length <= 15, 'it has at most 15 lines');
    writeFileSync(join(folder, name), strategy);
    writeFileSync(join(folder, 'conforms.js'), programs.find((code) => code.includes('equipoise/testing')) ?? '');
    // NODE_TEST_CONTEXT would make the inner run report to the outer one.
    const env = { ...process.env };
    delete env['NODE_TEST_CONTEXT'];
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', 'conforms.js'],
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
  });

  test('the table of options names each with its default', () => {
    const table = readme.matchAll(/^\| `(\w+)` \| (?:`?([^|`]*)`? )?\|/gm);
    const rows = new Map([...table].map(([, name, value]) => [name, value]));
    const defaults: Record<string, unknown> = { ...parseOptions({ upstreams: [] }) };
    for (const [name, value] of Object.entries(defaults)) {
      const shown = value === Infinity ? 'no limit' : String(value);
      if (typeof value === 'number') assert.equal(rows.get(name), shown, name);
      else if (name !== 'trusts') assert.ok(rows.has(name), `${name} is in the table`);
    }
    assert.ok(rows.has('trustForwarded'), 'trustForwarded is in the table');
  });
});

/** What a WebSocket handshake without credentials is answered. */
function upgradeStatus(port: number): Promise<number | undefined> {
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  return new Promise((resolve, reject) => {
    http.get({ port, path: '/x', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

/**
 * A port to put into a program. Below those that the system hands out by itself, so that no other test can be given it
 * before the program listens.
 */
async function freePort(): Promise<number> {
  for (let port = 20_000 + process.pid % 10_000; ; port++) {
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => { resolve(false); });
      server.listen(port, '127.0.0.1', () => { resolve(true); });
    });
    if (free !== true) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Resolves when connections to the port are accepted. */
async function accepting(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => { resolve(true); });
      socket.once('error', () => { resolve(false); });
    });
    socket.destroy();
    if (connected === true) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function answer(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/x`);
  assert.equal(response.status, 200);
  return response.text();
}
