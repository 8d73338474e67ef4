/**
 * One request through any front, so that a test of what hooks do is the same for all of them, HTTP/2 included.
 */
import assert from 'node:assert/strict';
import http2, { type ClientHttp2Session } from 'node:http2';
import type { TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from './balancer.ts';
import { get, post } from './client.ts';
import { ACCEPT, type FrontKind, NODE_HTTP, SOCKET } from './fronts.ts';
import { H2C } from './http2.ts';
import { atEnd } from './scope.ts';
import { within } from './wait.ts';

export interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Answered {
  readonly status: number;
  readonly text: string;
  /** The value of a header, by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** The trailers, by lower-case name. */
  readonly trailers: Readonly<Record<string, string>>;
}

/** A request on its way. */
export interface Asking {
  /** Rejects where the response breaks off, or never starts. */
  readonly answer: Promise<Answered>;
  /** Goes away without waiting for the answer. */
  readonly leave: () => void;
}

export interface Served {
  readonly under: BalancerUnderTest;
  readonly begin: (asked?: Asked) => Promise<Asking>;
  readonly ask: (asked?: Asked) => Promise<Answered>;
}

export interface Way {
  readonly name: string;
  readonly front: FrontKind;
  readonly start: (t: TestContext, options: TestOptions) => Promise<Served>;
}

function http1(front: FrontKind): Way {
  return {
    name: front.name,
    front,
    async start(t, options) {
      const under = await startBalancer(t, { ...options, front });
      const begin = async ({ method, target = '/', headers = {}, body }: Asked = {}): Promise<Asking> => {
        const client = await under.connect();
        const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
        client.send(body === undefined ? get(target, fields, method) : post(target, body, fields, method));
        const answer = client.response(method).then((response): Answered => ({
          status: response.status,
          text: response.text,
          header: (name) => response.head.get(name),
          trailers: Object.fromEntries(response.trailers.split('\r\n').filter((line) => line !== '').map((line) => {
            const [name = '', value = ''] = line.split(': ');
            return [name.toLowerCase(), value];
          })),
        }));
        answer.catch(() => undefined);
        return {
          answer,
          leave: () => {
            client.destroy();
          },
        };
      };
      return { under, begin, ask: async (asked) => (await begin(asked)).answer };
    },
  };
}

const HTTP2: Way = {
  name: 'HTTP/2',
  front: H2C,
  async start(t, options) {
    const under = await startBalancer(t, { ...options, front: H2C });
    const session = http2.connect(H2C.url(under.port));
    session.on('error', () => {
      // The streams report it.
    });
    const done = new Promise((resolve) => session.once('close', resolve));
    atEnd(t, async () => {
      session.destroy();
      await done;
    });
    const begin = (asked?: Asked): Promise<Asking> => Promise.resolve(overHttp2(session, asked));
    return { under, begin, ask: async (asked) => (await begin(asked)).answer };
  },
};

function overHttp2(session: ClientHttp2Session, { method = 'GET', target = '/', headers, body }: Asked = {}): Asking {
  const stream = session.request(
    { ...headers, ':method': method, ':path': target, ':authority': 'example.test' },
    { endStream: body === undefined });
  let left = false;
  const answer = within(new Promise<Answered>((resolve, reject) => {
    let got: Record<string, unknown> = {};
    let trailers: Record<string, string> = {};
    const parts: Buffer[] = [];
    stream.on('response', (response) => {
      got = response;
    });
    stream.on('trailers', (sent) => {
      trailers = { ...sent } as Record<string, string>;
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', reject);
    stream.on('close', () => {
      if (stream.rstCode !== 0 || got[':status'] === undefined || left) reject(new Error(`RST ${stream.rstCode}`));
      resolve({
        status: Number(got[':status']),
        text: Buffer.concat(parts).toString('latin1'),
        header: (name) => got[name] as string | undefined,
        trailers,
      });
    });
  }), () => 'a response over HTTP/2');
  answer.catch(() => undefined);
  if (body !== undefined) stream.end(body);
  return {
    answer,
    leave: () => {
      left = true;
      stream.close(http2.constants.NGHTTP2_CANCEL);
    },
  };
}

/** Every way to ask a balancer. */
export const WAYS: readonly Way[] = [...[SOCKET, ACCEPT, NODE_HTTP].map(http1), HTTP2];

/** Resolves when a request has failed. */
export function ended(answer: Promise<unknown>): Promise<void> {
  return assert.rejects(within(answer, () => 'the request to fail'));
}
