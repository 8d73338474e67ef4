/**
 * A real Chromium, driven by the DevTools protocol.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { atEnd } from '../support/scope.ts';
import { gate, within } from '../support/wait.ts';

/** The first browser of these that is installed. */
const PROGRAM = ['chromium', 'chromium-browser', 'google-chrome']
  .find((name) => spawnSync(name, ['--version']).status === 0);

/** Why tests with a browser are skipped; false if they are not. */
export const NO_CHROMIUM = PROGRAM === undefined ? 'chromium is not installed' : false;

const GONE = { message: 'the browser is gone' };

type Parameters = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Parameters;
  readonly result?: Parameters;
  readonly error?: { readonly message: string };
}

/** One page of the browser. */
export class Page {
  /** The address of its first WebSocket, once something has come by it. */
  readonly webSocket: Promise<string>;
  /** What its console shows of warnings and errors, and what its scripts threw. */
  readonly complaints: readonly string[];
  /** The addresses that it asked for, WebSockets included. */
  readonly requests: readonly string[];
  readonly #socket: WebSocket;
  readonly #sessionId: string;
  readonly #calls: Map<number, (message: Message) => void>;
  #lastId = 1000;

  constructor(
    socket: WebSocket, sessionId: string, calls: Map<number, (message: Message) => void>,
    { webSocket, complaints, requests }: Pick<Page, 'webSocket' | 'complaints' | 'requests'>,
  ) {
    this.webSocket = webSocket;
    this.complaints = complaints;
    this.requests = requests;
    this.#socket = socket;
    this.#sessionId = sessionId;
    this.#calls = calls;
  }

  /** Calls a method of the DevTools protocol. */
  async send(method: string, params: Parameters = {}): Promise<Parameters> {
    const message = { id: ++this.#lastId, sessionId: this.#sessionId, method, params };
    const { result, error } = await call(this.#socket, this.#calls, message);
    if (result === undefined) throw new Error(`${method}: ${error?.message ?? 'no result'}`);
    return result;
  }

  /** Presses a key: Enter, Tab or a space. */
  async press(key: 'Enter' | 'Tab' | ' '): Promise<void> {
    const [code, keyCode] = { Enter: ['Enter', 13], Tab: ['Tab', 9], ' ': ['Space', 32] }[key] as [string, number];
    const event = { key, code, windowsVirtualKeyCode: keyCode };
    const text = key === 'Enter' ? '\r' : key;
    await this.send('Input.dispatchKeyEvent', { ...event, type: 'keyDown', ...(key === 'Tab' ? {} : { text }) });
    await this.send('Input.dispatchKeyEvent', { ...event, type: 'keyUp' });
  }

  /** Resolves with the value of an expression in the page; a promise is awaited there. */
  async evaluate(expression: string): Promise<unknown> {
    const id = ++this.#lastId;
    const { result, error } = await call(this.#socket, this.#calls, {
      id, sessionId: this.#sessionId, method: 'Runtime.evaluate',
      params: { expression, awaitPromise: true, returnByValue: true },
    });
    const { result: value, exceptionDetails } = (result ?? {}) as {
      readonly result?: { readonly value: unknown }; readonly exceptionDetails?: unknown;
    };
    if (error !== undefined) throw new Error(`${expression}: ${error.message}`);
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return value?.value;
  }

  /** Resolves when an expression becomes true in the page. Fails if the page is reloaded meanwhile. */
  async until(expression: string): Promise<void> {
    const seen = this.evaluate(`new Promise((resolve) => {
      const look = () => {
        if (!(${expression})) return;
        observer.disconnect();
        resolve(true);
      };
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      addEventListener('load', look);
      look();
    })`);
    await within(seen, () => `${expression} in the page`);
  }
}

/**
 * Opens a page in a new browser, which is started with these flags besides others, and ends with the test. Resolves
 * when the page has loaded.
 */
export async function openPage(t: TestContext, url: string, flags: readonly string[] = []): Promise<Page> {
  const folder = mkdtempSync(join(tmpdir(), 'equipoise-chromium-'));
  const browser = spawn(PROGRAM ?? '', [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
    '--remote-debugging-port=0', `--user-data-dir=${folder}`, ...flags, 'about:blank',
  ], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(browser, 'close');
  atEnd(t, async () => {
    browser.kill('SIGKILL');
    await ended;
    // Processes of the browser may still be writing there.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  });
  const socket = new WebSocket(await addressOf(browser));
  atEnd(t, async () => {
    const closed = once(socket, 'close');
    socket.terminate();
    await closed;
  });
  const calls = new Map<number, (message: Message) => void>();
  const load = gate();
  const addresses = new Map<unknown, string>();
  const complaints: string[] = [];
  const requests: string[] = [];
  const greeted = gate();
  let first = '';
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message;
    const { requestId, url } = message.params ?? {};
    if (message.method === 'Page.loadEventFired') load.open();
    else if (message.method === 'Network.webSocketCreated') {
      addresses.set(requestId, String(url));
      requests.push(String(url));
    } else if (message.method === 'Network.requestWillBeSent') {
      requests.push(String((message.params?.['request'] as Parameters | undefined)?.['url']));
    } else if (isComplaint(message)) complaints.push(JSON.stringify(message.params));
    if (message.method === 'Network.webSocketFrameReceived') {
      if (first === '') first = addresses.get(requestId) ?? '';
      greeted.open();
    }
    if (message.id === undefined) return;
    calls.get(message.id)?.(message);
    calls.delete(message.id);
  });
  socket.on('close', () => {
    for (const answer of calls.values()) answer({ error: GONE });
    load.open();
  });
  await once(socket, 'open');

  let lastId = 0;
  const ask = async (method: string, params: Parameters, sessionId?: string): Promise<Parameters> => {
    const { result, error } = await call(socket, calls, { id: ++lastId, method, params, sessionId });
    if (result === undefined) throw new Error(`${method}: ${error?.message ?? 'no result'}`);
    return result;
  };
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  const sessionId = String((await ask('Target.attachToTarget', { targetId, flatten: true }))['sessionId']);
  await ask('Page.enable', {}, sessionId);
  await ask('Network.enable', {}, sessionId);
  await ask('Runtime.enable', {}, sessionId);
  await ask('Log.enable', {}, sessionId);
  await ask('Page.navigate', { url }, sessionId);
  await load.opened;
  return new Page(socket, sessionId, calls, {
    webSocket: greeted.opened.then(() => first), complaints, requests,
  });
}

function isComplaint({ method, params }: Message): boolean {
  switch (method) {
    case 'Runtime.exceptionThrown': return true;
    case 'Runtime.consoleAPICalled': return ['error', 'warning', 'assert'].includes(String(params?.['type']));
    case 'Log.entryAdded': {
      return ['error', 'warning'].includes(String((params?.['entry'] as Parameters | undefined)?.['level']));
    }
    default: return false;
  }
}

/** Sends a call; resolves with its result, or with why there is none. */
function call(
  socket: WebSocket, calls: Map<number, (message: Message) => void>, message: Parameters & { readonly id: number },
): Promise<Message> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) resolve({ error: GONE });
    else {
      calls.set(message.id, resolve);
      socket.send(JSON.stringify(message));
    }
  });
}

/** Where the browser listens for the DevTools protocol, as it says on standard error; that is read to its end. */
function addressOf(browser: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    browser.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const address = /^DevTools listening on (ws:.*)$/m.exec(said)?.[1];
      if (address !== undefined) resolve(address);
    });
    browser.on('error', reject).on('close', (code, signal) => {
      reject(new Error(`the browser ended with ${signal ?? code ?? ''}: ${said}`));
    });
  });
}
