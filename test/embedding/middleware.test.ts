/**
 * Middleware in front of the balancer that inspects, or changes, what is sent: popular packages, and the ways
 * in which others replace the methods of a response.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { brotliDecompressSync, createGunzip, gunzipSync } from 'node:zlib';
import middie from '@fastify/middie';
import compression from 'compression';
import express, { type RequestHandler } from 'express';
import session from 'express-session';
import fastify from 'fastify';
import morgan from 'morgan';
import responseTime from 'response-time';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { chunked, pattern } from '../support/message.ts';
import { request, response, type Script, serve as answering, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const compressed = compression() as unknown as Middleware;

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const NODE = (middleware: Middleware): FrontKind => ({
  name: 'node:http',
  open: (balancer) => serve(http.createServer(UNTIMED, (asked, answer) => {
    middleware(asked, answer, () => {
      balancer.handle(asked, answer);
    });
  })),
});

const EXPRESS = (middleware: Middleware): FrontKind => ({
  name: 'Express',
  open: (balancer) => {
    const application = express();
    application.set('env', 'test').disable('x-powered-by');
    application.use(middleware as RequestHandler, balancer.handle);
    return serve(http.createServer(UNTIMED, application));
  },
});

const FASTIFY = (middleware: Middleware): FrontKind => ({
  name: 'Fastify',
  async open(balancer) {
    const application = fastify();
    await application.register(middie);
    application.use(middleware);
    application.use(balancer.handle);
    await application.listen({ port: 0, host: '127.0.0.1' });
    const { port } = application.server.address() as { readonly port: number };
    return {
      port,
      close: () => {
        application.server.closeAllConnections();
        return application.close();
      },
    };
  },
});

/** It has no types. */
const onHeaders = createRequire(import.meta.url)('on-headers') as (
  response: ServerResponse, listener: (this: ServerResponse) => void,
) => void;

/** The original methods of a response, for arguments of any kind. */
type Own = Record<'writeHead' | 'write' | 'end', (...given: unknown[]) => never>;
/** The replacement of a method. */
type Replace = (response: ServerResponse, own: Own) => Partial<Record<keyof Own, (...given: never[]) => unknown>>;

/** Replaces methods of the response before the balancer gets it. */
function replacing(replace: Replace): Middleware {
  return (_, answer, next) => {
    const own = Object.fromEntries((['writeHead', 'write', 'end'] as const).map((name) => {
      const method = Reflect.get(answer, name) as () => never;
      return [name, (...given: unknown[]): unknown => Reflect.apply(method, answer, given)];
    })) as Own;
    Object.assign(answer, replace(answer, own));
    next();
  };
}

const FIELDS = 'Content-Type: text/plain\r\nX-Two: 1\r\nX-Two: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n';
const REASON = '200 Quite Fine';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n';

for (const kind of [NODE, EXPRESS, FASTIFY]) {
  const { name } = kind((_, __, next) => {
    next();
  });
  describe(`middleware in ${name}`, () => {
    // Each expects writeHead to be called in another way, and adds a field.
    const heads: [what: string, replace: Replace][] = [
      ['(status, reason, object)', (_, own) => ({
        writeHead: (status: number, reason?: unknown, fields?: unknown) => {
          const given = typeof reason === 'string' ? fields : reason;
          const all = { ...(given as object), 'X-Mine': 'yes' };
          return typeof reason === 'string' ? own.writeHead(status, reason, all) : own.writeHead(status, all);
        },
      })],
      ['(status, object)', (_, own) => ({
        writeHead: (status: number, fields: Record<string, string> = {}) => {
          fields['X-Mine'] = 'yes';
          return own.writeHead(status, fields);
        },
      })],
      ['(status, object of which each field is set)', (answer, own) => ({
        writeHead: (status: number, fields: Record<string, string> = {}) => {
          for (const [field, value] of Object.entries(fields)) answer.setHeader(field.toLowerCase(), value);
          answer.setHeader('X-Mine', 'yes');
          return own.writeHead(status);
        },
      })],
      ['(...anything)', (answer, own) => ({
        writeHead: (...given: unknown[]) => {
          answer.setHeader('X-Mine', 'yes');
          return own.writeHead(...given);
        },
      })],
      ['on-headers', (answer) => {
        onHeaders(answer, function onHead() {
          assert.equal(this.statusCode, 200);
          assert.equal(this.getHeader('Content-Type'), 'text/plain');
          this.setHeader('X-Mine', 'yes');
        });
        return {};
      }],
    ];
    for (const [what, replace] of heads) {
      test(`that replaces writeHead by ${what}`, async (t) => {
        const upstream = await startUpstream(t, answering(() => response('hello', FIELDS, REASON)));
        const under = await startBalancer(t, { upstreams: [upstream], front: kind(replacing(replace)) });
        const { head, status, text } = await (await under.connect()).exchange(get());
        assert.equal(head.line, `HTTP/1.1 ${REASON}`);
        assert.deepEqual([status, text], [200, 'hello']);
        assert.equal(head.get('content-type'), 'text/plain');
        assert.equal(head.get('x-two'), '1, 2');
        assert.deepEqual(head.all('set-cookie'), ['a=b', 'c=d']);
        assert.equal(head.get('x-mine'), 'yes');
        assert.ok(head.fields.every(([field]) => !/^\d+$/.test(field)));
        assert.deepEqual(under.reports, []);
      });
    }

    const bodies: [what: string, bytes: string | Buffer, body: Buffer][] = [
      ['a short body', response('hello'), Buffer.from('hello')],
      ['a body of octets', response('\x00\xff\xe9'), Buffer.from('\x00\xff\xe9', 'latin1')],
      ['a large body', response(pattern(500_000).toString('latin1')), pattern(500_000)],
      ['a chunked body', Buffer.concat([Buffer.from(CHUNKED), chunked(pattern(300_000), 9_000)]), pattern(300_000)],
      ['no body', response(''), Buffer.alloc(0)],
    ];
    for (const [what, bytes, body] of bodies) {
      test(`that replaces write sees all of ${what}`, async (t) => {
        const seen: Buffer[] = [];
        let ends = 0;
        const upstream = await startUpstream(t, answering(() => bytes));
        const under = await startBalancer(t, {
          upstreams: [upstream],
          front: kind(replacing((_, own) => ({
            write: (part: Buffer) => {
              // As most do: without regard to text in an encoding.
              const piece = Buffer.from(part);
              seen.push(piece);
              return own.write(piece);
            },
            end: (...given: unknown[]) => {
              ends++;
              return own.end(...given);
            },
          }))),
        });
        const answer = await (await under.connect()).exchange(get());
        assert.deepEqual(answer.bytes, body);
        assert.deepEqual(Buffer.concat(seen), body);
        assert.equal(ends, 1);
      });

      test(`that replaces only end sees all of ${what}, or none of it`, async (t) => {
        const seen: Buffer[] = [];
        let ends = 0;
        const upstream = await startUpstream(t, answering(() => bytes));
        const under = await startBalancer(t, {
          upstreams: [upstream],
          front: kind(replacing((_, own) => ({
            end: (part?: Buffer, ...rest: unknown[]) => {
              ends++;
              if (part !== undefined) seen.push(Buffer.from(part));
              return own.end(part, ...rest);
            },
          }))),
        });
        const answer = await (await under.connect()).exchange(get());
        assert.deepEqual(answer.bytes, body);
        assert.equal(ends, 1);
        if (body.length < 9_000) assert.deepEqual(Buffer.concat(seen), body);
        else if (seen.length > 0) assert.deepEqual(Buffer.concat(seen), body);
      });
    }

    test('cannot frame the response: preset framing headers are dropped', async (t) => {
      const upstream = await startUpstream(t, [[
        request, Buffer.concat([Buffer.from(CHUNKED), chunked('hello', 2)]), request, response('hello'),
      ]]);
      const front = kind((_, answer, next) => {
        answer.setHeader('Content-Length', '2');
        answer.setHeader('Transfer-Encoding', 'chunked');
        next();
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const first = await client.exchange(get());
      assert.deepEqual([first.text, first.head.get('content-length')], ['hello', undefined]);
      const second = await client.exchange(get());
      assert.deepEqual([second.text, second.head.get('transfer-encoding')], ['hello', undefined]);
    });

    test('express-session: its cookie joins those of the upstream', async (t) => {
      const upstream = await startUpstream(t, answering(() => response('hello', FIELDS)));
      const sessions = session({ secret: 'x', resave: true, saveUninitialized: true }) as unknown as Middleware;
      const under = await startBalancer(t, { upstreams: [upstream], front: kind(sessions) });
      const client = await under.connect();
      const answer = await client.exchange(get());
      assert.equal(answer.text, 'hello');
      assert.equal(answer.head.all('set-cookie').length, 3);
      assert.match(answer.head.all('set-cookie').join(), /connect\.sid=/);
      assert.equal((await client.exchange(get())).text, 'hello');
    });

    for (const coding of ['gzip', 'br'] as const) {
      test(`compression by ${coding}: bodies arrive whole, whatever their framing`, async (t) => {
        const upstream = await startUpstream(t, answering(({ head: { line } }) => {
          const text = 'text '.repeat(60_000);
          if (line.includes('/length')) return response(text, 'Content-Type: text/plain\r\n');
          return Buffer.concat([Buffer.from(CHUNKED), chunked(text, 9_000)]);
        }));
        const under = await startBalancer(t, { upstreams: [upstream], front: kind(compressed) });
        const client = await under.connect();
        for (const target of ['/length', '/chunks', '/length']) {
          const { head, bytes } = await client.exchange(get(target, `Accept-Encoding: ${coding}\r\n`));
          assert.equal(head.get('content-encoding'), coding);
          const plain = coding === 'br' ? brotliDecompressSync(bytes) : gunzipSync(bytes);
          assert.equal(plain.toString(), 'text '.repeat(60_000));
        }
        assert.deepEqual(under.reports, []);
      });
    }

    test('compression passes events on as they come', async (t) => {
      const [first, second] = [gate(), gate()];
      const event = (text: string): string => String(chunked(`data: ${text}\n\n`, 100)).replace(/0\r\n\r\n$/, '');
      const script: Script = [
        request, CHUNKED, event('one'), when(first.opened), event('two'), when(second.opened), '0\r\n\r\n',
      ];
      const upstream = await startUpstream(t, [script]);
      const under = await startBalancer(t, { upstreams: [upstream], front: kind(compressed) });
      const client = await under.connect();
      client.send(get('/', 'Accept-Encoding: gzip\r\n'));
      assert.equal((await client.head()).get('content-encoding'), 'gzip');
      const gunzip = createGunzip();
      const seen = async (event: string): Promise<void> => {
        let got = '';
        while (!got.includes(event)) {
          const size = parseInt(await client.inbox.until('\r\n'), 16);
          gunzip.write(await client.inbox.exactly(size));
          await client.inbox.until('\r\n');
          await new Promise<void>((resolve) => {
            gunzip.flush(resolve);
          });
          const read = gunzip.read() as Buffer | null;
          got += read?.toString() ?? '';
        }
      };
      await seen('data: one');
      first.open();
      await seen('data: two');
      second.open();
      await under.settled(1);
    });

    test('response-time and morgan', async (t) => {
      const logged = gate();
      let line = '';
      const log = morgan(':method :url :status :res[content-length] :res[x-two]', {
        stream: {
          write: (text) => {
            line = text;
            logged.open();
          },
        },
      });
      const timed = responseTime() as unknown as Middleware;
      const upstream = await startUpstream(t, answering(() => response('hello', FIELDS)));
      const front = kind((asked, answer, next) => {
        log(asked, answer, () => {
          timed(asked, answer, next);
        });
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const answer = await (await under.connect()).exchange(get('/a'));
      assert.match(answer.head.get('x-response-time') ?? '', /ms$/);
      await logged.opened;
      assert.equal(line, 'GET /a 200 5 1, 2\n');
    });

    test('all of them at once', async (t) => {
      const chain: Middleware[] = [
        morgan('tiny', { stream: { write: () => undefined } }),
        responseTime(),
        session({ secret: 'x', resave: false, saveUninitialized: true }) as unknown as Middleware,
        compression({ threshold: 0 }) as unknown as Middleware,
      ];
      const upstream = await startUpstream(t, answering(() => response('hello '.repeat(1_000), FIELDS)));
      const front = kind((asked, answer, next) => {
        const step = (i: number): void => {
          const middleware = chain[i];
          if (middleware === undefined) next();
          else middleware(asked, answer, () => {
            step(i + 1);
          });
        };
        step(0);
      });
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      for (let i = 0; i < 3; i++) {
        const { head, bytes } = await client.exchange(get('/', 'Accept-Encoding: gzip\r\n'));
        assert.equal(gunzipSync(bytes).toString(), 'hello '.repeat(1_000));
        assert.equal(head.all('set-cookie').length, 3);
        assert.notEqual(head.get('x-response-time'), undefined);
      }
      assert.deepEqual(under.reports, []);
    });
  });
}
