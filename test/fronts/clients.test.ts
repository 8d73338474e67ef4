import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Agent, fetch as undiciFetch, Pool, request } from 'undici';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { type FrontKind, FRONTS } from '../support/fronts.ts';
import { startHttpUpstream } from '../support/http-upstream.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { within } from '../support/wait.ts';

const LARGE = pattern(4 << 20);
const DIGEST = createHash('sha256').update(LARGE).digest('hex');

/** A small application: what it does depends on the target. */
function application(asked: IncomingMessage, answer: ServerResponse): void {
  switch (asked.url) {
    case '/large':
      answer.end(LARGE);
      break;
    case '/stream':
      Readable.from(pieces()).pipe(answer);
      break;
    case '/gzip':
      answer.setHeader('content-encoding', 'gzip').end(gzipSync('small text'));
      break;
    case '/redirect':
      answer.writeHead(302, { location: '/echo' }).end();
      break;
    case '/nothing':
      answer.writeHead(204).end();
      break;
    case '/endless':
      answer.write('x');
      break;
    case '/cookies':
      answer.setHeader('set-cookie', ['a=1', 'b=2']).end();
      break;
    default: {
      const hash = createHash('sha256');
      asked.on('data', (part: Buffer) => hash.update(part)).on('end', () => {
        answer.setHeader('x-length', asked.headers['content-length'] ?? 'none');
        answer.end(`${String(asked.method)} ${String(asked.url)} ${hash.digest('hex')}`);
      });
    }
  }
}

function* pieces(): Generator<Buffer> {
  for (let at = 0; at < LARGE.length; at += 10_000) yield LARGE.subarray(at, at + 10_000);
}

async function start(
  t: TestContext, front: FrontKind,
): Promise<{ under: BalancerUnderTest; base: string; agent: Agent }> {
  const upstreams = await Promise.all([0, 1, 2].map(() => startHttpUpstream(t, application)));
  let turn = 0;
  const under = await startBalancer(t, {
    upstreams: upstreams.map(({ origin }) => origin),
    front,
    strategy: { name: 'in turn', pick: (candidates) => candidates[turn++ % candidates.length] },
  });
  const agent = new Agent({ connections: 10 });
  atEnd(t, () => agent.destroy());
  return { under, base: `http://127.0.0.1:${under.port}`, agent };
}

const CLIENTS: readonly (readonly [name: string, get: (url: string, init: {
  readonly agent: Agent; readonly method?: string; readonly body?: Buffer | Readable; readonly signal?: AbortSignal;
}) => Promise<{ status: number; field: (name: string) => string | null; bytes: () => Promise<Buffer> }>])[] = [
  ['fetch of undici', async (url, { agent, method = 'GET', body, signal }) => {
    const answer = await undiciFetch(url, {
      dispatcher: agent, method, duplex: 'half', ...(body && { body }), ...(signal && { signal }),
    });
    return {
      status: answer.status,
      field: (name) => answer.headers.get(name),
      bytes: async () => Buffer.from(await answer.arrayBuffer()),
    };
  }],
  ['request of undici', async (url, { agent, method = 'GET', body, signal }) => {
    const answer = await request(url, {
      dispatcher: agent, method, body: body ?? null, ...(signal && { signal }),
    });
    return {
      status: answer.statusCode,
      field: (name) => String(answer.headers[name] ?? ''),
      bytes: async () => Buffer.from(await answer.body.arrayBuffer()),
    };
  }],
  ['fetch of Node', async (url, { method = 'GET', body, signal }) => {
    const stream = body instanceof Readable ? (Readable.toWeb(body) as ReadableStream) : body;
    const init: RequestInit & { duplex: 'half' } = { method, duplex: 'half' };
    const answer = await fetch(url, { ...init, ...(stream && { body: stream }), ...(signal && { signal }) });
    return {
      status: answer.status,
      field: (name) => answer.headers.get(name),
      bytes: async () => Buffer.from(await answer.arrayBuffer()),
    };
  }],
];

for (const front of FRONTS) {
  for (const [name, call] of CLIENTS) {
    describe(`${name} through ${front.name}`, () => {
      test('large responses, streamed and whole', async (t) => {
        const { base, agent } = await start(t, front);
        for (const target of ['/large', '/stream']) {
          const answer = await call(`${base}${target}`, { agent });
          assert.ok((await answer.bytes()).equals(LARGE), target);
        }
      });

      test('large requests, streamed and whole', async (t) => {
        const { base, agent } = await start(t, front);
        const whole = await call(`${base}/echo`, { agent, method: 'POST', body: LARGE });
        assert.equal(String(await whole.bytes()), `POST /echo ${DIGEST}`);
        assert.equal(whole.field('x-length'), String(LARGE.length));
        const streamed = await call(`${base}/echo`, { agent, method: 'PUT', body: Readable.from(pieces()) });
        assert.equal(String(await streamed.bytes()), `PUT /echo ${DIGEST}`);
        assert.equal(streamed.field('x-length'), 'none');
      });

      test('204', async (t) => {
        const { base, agent } = await start(t, front);
        const answer = await call(`${base}/nothing`, { agent });
        assert.equal(answer.status, 204);
        assert.equal((await answer.bytes()).length, 0);
      });

      test('an abort in the middle of a body reaches the upstream', async (t) => {
        const { base, agent, under } = await start(t, front);
        const abort = new AbortController();
        const answer = await call(`${base}/endless`, { agent, signal: abort.signal });
        const bytes = answer.bytes();
        abort.abort();
        await assert.rejects(bytes);
        await under.settled(1);
        assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
      });

      test('many at once', async (t) => {
        const { base, agent, under } = await start(t, front);
        const none = createHash('sha256').digest('hex');
        const answers = Promise.all(Array.from({ length: 300 }, async (_, i) => {
          const answer = await call(`${base}/echo?${i}`, { agent });
          assert.equal(String(await answer.bytes()), `GET /echo?${i} ${none}`);
        }));
        await within(answers, () => 'all answers');
        await under.settled(300);
        assert.deepEqual(under.balancer.upstreams.map(({ picks }) => picks), [100, 100, 100]);
      });
    });
  }

  describe(`what clients rely on, through ${front.name}`, () => {
    test('a content coding is left as it is', async (t) => {
      const { base, agent } = await start(t, front);
      const answer = await undiciFetch(`${base}/gzip`, { dispatcher: agent });
      assert.equal(answer.headers.get('content-encoding'), 'gzip');
      assert.equal(await answer.text(), 'small text');
    });

    test('redirects and cookies', async (t) => {
      const { base, agent } = await start(t, front);
      const answer = await undiciFetch(`${base}/redirect`, { dispatcher: agent });
      assert.equal(answer.redirected, true);
      assert.match(await answer.text(), /^GET \/echo /);
      const cookies = await undiciFetch(`${base}/cookies`, { dispatcher: agent });
      assert.deepEqual(cookies.headers.getSetCookie(), ['a=1', 'b=2']);
    });

    test('pipelining', async (t) => {
      const { base } = await start(t, front);
      const pool = new Pool(base, { connections: 1, pipelining: 10 });
      atEnd(t, () => pool.destroy());
      const answers = await Promise.all(Array.from({ length: 100 }, async (_, i) => {
        const answer = await pool.request({ path: `/echo?${i}`, method: 'GET' });
        return answer.body.text();
      }));
      for (const [i, answer] of answers.entries()) assert.ok(answer.startsWith(`GET /echo?${i} `), answer);
    });

    test('an agent of node:http that keeps its connection', async (t) => {
      const { base } = await start(t, front);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      atEnd(t, () => {
        agent.destroy();
      });
      const ports = new Set<number>();
      for (let i = 0; i < 10; i++) {
        await new Promise<void>((resolve, reject) => {
          http.get(`${base}/nothing`, { agent }, (answer) => {
            ports.add(answer.socket.localPort ?? 0);
            answer.resume().on('end', resolve);
          }).on('error', reject);
        });
      }
      assert.equal(ports.size, 1);
    });
  });
}
