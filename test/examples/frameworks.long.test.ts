/**
 * The examples with frameworks that are too large for every run: they are installed into a folder of their own, in the
 * versions of frameworks/package-lock.json. Hot reload is seen by a real browser. Needs `npm run build`.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { root } from '../support/documents.ts';
import { get } from '../support/process-client.ts';
import { NO_CHROMIUM, openPage } from './chromium.ts';
import { asked, echoed, type Example, pathOf, startEcho, startExample } from './example.ts';

/** For a test: a development server compiles what a page needs when it is asked for. */
const LIMIT = { timeout: 180_000 };
let folder = '';
/** Why these tests are skipped. */
let missing = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'equipoise-frameworks-'));
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(pathOf(`frameworks/${name}`), join(folder, name));
  }
  const { status, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder, encoding: 'utf8',
  });
  // A registry that is out of reach is not a fault of ours.
  if (status !== 0) missing = `the frameworks could not be installed: ${stderr.trim().split('\n')[0] ?? ''}`;
  else symlinkSync(root, join(folder, 'node_modules/equipoise'), 'dir');
});

after(() => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** Starts a copy of an example beside the frameworks. */
function startCopy(
  t: TestContext, name: string, settings: Readonly<Record<string, string>>, args: readonly string[] = [],
): Promise<Example> {
  const path = join(folder, name);
  copyFileSync(pathOf(name), path);
  return startExample(t, name, settings, { path, args });
}

/** Writes the files of a project; returns its folder. */
function project(name: string, files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name, path)), { recursive: true });
    writeFileSync(join(folder, name, path), text);
  }
  return join(folder, name);
}

/** Edits a file, again and again until it is seen: development servers do not say when they have begun to watch. */
async function edit(name: string, path: string, text: string, seen: () => Promise<void>): Promise<void> {
  let edits = 0;
  const write = (): void => {
    project(name, { [path]: `${text}// edit ${++edits}\n` });
  };
  const again = setInterval(write, 2000);
  try {
    write();
    await seen();
  } finally {
    clearInterval(again);
  }
}

test('nest.mjs: behind guards, with the bodies that parsers have read, upgrades included', LIMIT, async (t) => {
  if (missing !== '') {
    t.skip(missing);
    return;
  }
  const upstream = await startEcho(t);
  const { port } = await startCopy(t, 'nest.mjs', { UPSTREAMS: upstream.origin });
  const key = { 'x-key': 'sesame' };
  assert.equal((await get(port, '/health')).body, '{"ready":true}');
  assert.deepEqual([(await get(port, '/api/users')).status, await echoed(port, '/api/chat', 'hello')], [403, 401]);
  assert.equal(upstream.requests.length, 0);
  for (const type of ['application/json', 'text/csv']) {
    const response = await fetch(`http://127.0.0.1:${port}/api/users?id=1`, {
      method: 'POST', headers: { ...key, 'content-type': type, connection: 'close' }, body: '{ "a": 1 }',
    });
    const { method, url, body } = asked(await response.text());
    assert.deepEqual([method, url, body], ['POST', '/api/users?id=1', '{ "a": 1 }'], type);
  }
  assert.equal(await echoed(port, '/api/chat', 'hello', key), 'hello');
});

test('vite.mjs: an edited module changes a page without a reload', { ...LIMIT, skip: NO_CHROMIUM }, async (t) => {
  if (missing !== '') {
    t.skip(missing);
    return;
  }
  const site = project('vite', {
    'index.html': '<!doctype html><p id="text"></p><p id="api"></p><script type="module" src="/main.js"></script>\n',
    'main.js': `
      import { text } from './text.js';
      const show = (id, value) => { document.getElementById(id).textContent = value; };
      show('text', text);
      show('api', (await (await fetch('/api/users')).json()).url);
      import.meta.hot.accept('./text.js', (changed) => show('text', changed.text));\n`,
    'text.js': 'export const text = "first";\n',
  });
  const api = await startEcho(t);
  const { port } = await startCopy(t, 'vite.mjs', { API: api.origin }, [site]);
  const page = await openPage(t, `http://127.0.0.1:${port}/`);
  await page.until('document.querySelector("#text").textContent === "first"');
  await page.until('document.querySelector("#api").textContent === "/users"');
  assert.match(await page.webSocket, new RegExp(`^ws://127\\.0\\.0\\.1:${port}/`));
  await page.evaluate('window.isTheSamePage = true');
  await edit('vite', 'text.js', 'export const text = "second";\n', () => (
    page.until('document.querySelector("#text").textContent === "second"')));
  assert.equal(await page.evaluate('window.isTheSamePage'), true);
});

test('next.mjs: an edited component keeps its state', { ...LIMIT, skip: NO_CHROMIUM }, async (t) => {
  if (missing !== '') {
    t.skip(missing);
    return;
  }
  const component = (text: string): string => `
    'use client';
    import { useEffect, useState } from 'react';
    export default function Page() {
      const [count, setCount] = useState(0);
      useEffect(() => document.body.classList.add('hydrated'), []);
      return <button onClick={() => setCount(count + 1)}>{\`${text} \${count}\`}</button>;
    }\n`;
  const site = project('next', {
    'app/layout.js': 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;\n',
    'app/page.js': component('first'),
  });
  const api = await startEcho(t);
  const { port } = await startCopy(t, 'next.mjs', { API: api.origin, NEXT_TELEMETRY_DISABLED: '1' }, [site]);
  assert.equal(asked((await get(port, '/api/users')).body).url, '/users');
  const page = await openPage(t, `http://127.0.0.1:${port}/`);
  await page.until('document.querySelector("button").textContent === "first 0"');
  assert.match(await page.webSocket, new RegExp(`^ws://127\\.0\\.0\\.1:${port}/`));
  // A click does nothing before the page is hydrated.
  await page.until('document.body.classList.contains("hydrated")');
  await page.evaluate('document.querySelector("button").click()');
  await page.until('document.querySelector("button").textContent === "first 1"');
  await page.evaluate('window.isTheSamePage = true');
  await edit('next', 'app/page.js', component('second'), () => (
    page.until('document.querySelector("button").textContent === "second 1"')));
  assert.equal(await page.evaluate('window.isTheSamePage'), true);
});
