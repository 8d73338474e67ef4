/**
 * Middleware that fails or interferes. Whatever it does, the exchange ends, the fault is reported, nothing is left in
 * flight (the harness checks that), and the next request is served.
 */
import assert from 'node:assert/strict';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { ask, H2C, startHttp2 } from '../support/http2.ts';
import { chunked, pattern } from '../support/message.ts';
import { echo, request, response, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

type Method = 'writeHead' | 'write' | 'end' | 'destroy' | 'addTrailers' | 'flushHeaders' | 'writeEarlyHints';
type Call = (...given: unknown[]) => unknown;
type Replace = (own: Call, response: ServerResponse, request: IncomingMessage) => Call;

/** Replaces a method of the response for one path, `/bad`. */
function replacing(method: Method, replace: Replace) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url !== '/bad') return;
    const own = Reflect.get(response, method) as () => unknown;
    const call = replace((...given) => Reflect.apply(own, response, given), response, request);
    Object.assign(response, { [method]: call });
  };
}

function behind(interfere: (request: IncomingMessage, response: ServerResponse) => void): FrontKind {
  return {
    name: 'node:http',
    open: (balancer) => serve(http.createServer(UNTIMED, (request, response) => {
      interfere(request, response);
      balancer.handle(request, response);
    })),
  };
}

const throws: Replace = () => () => {
  throw new Error('middleware is broken');
};
const rejects: Replace = (own) => (...given) => {
  own(...given);
  return Promise.reject(new Error('middleware is broken'));
};
/** Two pieces, so that the first of them is sent by `write`. */
const STREAMED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n';

describe('a request or a response whose methods throw', () => {
  const broken = (): never => {
    throw new Error('middleware is broken');
  };
  /** Breaks a method once: node:http calls it as well, and an error there would end the process. */
  const once = (target: object, method: 'on' | 'resume'): void => {
    Object.assign(target, { [method]: () => {
      Reflect.deleteProperty(target, method);
      broken();
    } });
  };
  const unreadable = (target: object, property: string): void => {
    Object.defineProperty(target, property, { configurable: true, get: broken });
  };
  const body = 'POST /bad HTTP/1.1\r\nHost: example.test\r\nContent-Length: 5\r\n\r\nhello';
  const table: readonly (readonly [string, string, (request: IncomingMessage, response: ServerResponse) => void])[] = [
    ['response.on', get('/bad'), (_, response) => { once(response, 'on'); }],
    ['request.on', body, (request) => { once(request, 'on'); }],
    ['request.resume', body, (request) => { once(request, 'resume'); }],
    ['request.rawTrailers', body, (request) => { unreadable(request, 'rawTrailers'); }],
    ['request.stream', body, (request) => { unreadable(request, 'stream'); }],
  ];
  for (const [what, bytes, interfere] of table) {
    test(`${what}: 500, reported, and nothing is left`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front: behind((request, response) => {
        if (request.url === '/bad') interfere(request, response);
      }) });
      const answer = await (await under.connect()).exchange(bytes);
      assert.equal(answer.status, 500);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /^balancer\.handle: .*middleware is broken$/);
      assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
      // A leaked downstream would be counted.
      assert.deepEqual(await under.balancer.close(), { cut: 0 });
    });
  }

  test('request.stream, over HTTP/2, while it is served: 500, reported, and nothing is left', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { under, session } = await startHttp2(t, {
      ...H2C,
      open: (balancer) => serve(H2C.server((asked, answer) => {
        balancer.handle(asked, answer);
        if (asked.url === '/bad') unreadable(asked, 'stream');
      })),
    }, [upstream]);
    const answer = await ask(session, { ':method': 'POST', ':path': '/bad' }, Buffer.from('hello'));
    assert.equal(answer.status, 500);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.equal((await ask(session, { ':path': '/good' })).body.toString(), '/good');
    const closed = under.balancer.close();
    // The session itself stays for a moment, for requests that are on their way.
    await under.advance(1_000);
    assert.deepEqual(await closed, { cut: 0 });
  });

  test('a socket that cannot be read: cut, reported, and nothing is left', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind((request) => {
      if (request.url !== '/bad') return;
      const { socket } = request;
      Object.defineProperty(request, 'socket', { configurable: true, get: () => {
        Object.defineProperty(request, 'socket', { value: socket });
        broken();
      } });
    }) });
    await (await under.connect()).send(get('/bad')).over();
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
  });
});

describe('middleware that throws', () => {
  test('from writeHead: 500, without it', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing('writeHead', throws)) });
    const client = await under.connect();
    const answer = await client.exchange(get('/bad'));
    assert.equal(answer.status, 500);
    assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_internal_error');
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.match(under.errors[0]?.message ?? '', /^balancer\.handle: .*middleware is broken$/);
    assert.equal(under.outcomes[0]?.error, 'HOOK_FAILED');
    assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
  });

  for (const [method, bytes] of [
    ['write', STREAMED], ['end', response('hello')], ['write', response(pattern(100_000).toString('latin1'))],
  ] as const) {
    test(`from ${method}, of ${bytes.length} octets: the response is cut`, async (t) => {
      const upstream = await startUpstream(t, [[request, bytes], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing(method, throws)) });
      const client = await under.connect();
      await assert.rejects(client.exchange(get('/bad')));
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      await under.settled(1);
      assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
    });
  }

  test('from every method of a subclass: cut, as nothing can be sent', async (t) => {
    class Broken extends http.ServerResponse {
      override writeHead(): never {
        throw new Error(`${String(this.req.url)} is broken`);
      }
    }
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'node:http with a response of its own',
        open: (balancer) => serve(http.createServer({ ...UNTIMED, ServerResponse: Broken }, balancer.handle)),
      },
    });
    await assert.rejects((await under.connect()).exchange(get()));
    assert.deepEqual(under.reports, ['HOOK_FAILED', 'HOOK_FAILED']);
  });

  test('from the end of a refusal', async (t) => {
    const under = await startBalancer(t, { upstreams: [], front: behind(replacing('end', throws)) });
    await assert.rejects((await under.connect()).exchange(get('/bad')));
    assert.equal((await (await under.connect()).exchange(get('/good'))).status, 503);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
  });

  test('from addTrailers: cut', async (t) => {
    const bytes = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${String(chunked('hello', 5, 'X-Sum: 5\r\n'))}`;
    const upstream = await startUpstream(t, [[request, bytes]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing('addTrailers', throws)) });
    await assert.rejects((await under.connect()).exchange(get('/bad')));
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
  });

  test('from flushHeaders: cut', async (t) => {
    const upstream = await startUpstream(t, [[request, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n']]);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing('flushHeaders', throws)) });
    await assert.rejects((await under.connect()).exchange(get('/bad')));
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
  });

  test('from flushHeaders, when its turn on the connection comes: cut, after the response before it', async (t) => {
    const waits = gate();
    const upstream = await startUpstream(t, async (peer) => {
      const { head: { line } } = await peer.request();
      if (line.includes('/bad')) peer.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
      else {
        await waits.opened;
        peer.send(response('first'));
      }
    });
    const flushHeaders = replacing('flushHeaders', throws);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind((asked, answer) => {
      flushHeaders(asked, answer);
      answer.on('newListener', (name) => {
        if (name === 'socket') waits.open();
      });
    }) });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/first') + get('/bad'))).text, 'first');
    await client.over();
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.match(under.errors[0]?.message ?? '', /^balancer\.handle: a method of the response threw: middleware is/);
    await under.settled(2);
    assert.deepEqual(await under.balancer.close(), { cut: 0 });
  });

  test('from destroy, when its response is to be cut', async (t) => {
    const cut = gate();
    const upstream = await startUpstream(t, [[request, STREAMED, when(cut.opened), (peer) => peer.socket.destroy()]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing('destroy', throws)) });
    const client = await under.connect();
    client.send(get('/bad'));
    await client.head();
    cut.open();
    await under.settled(1);
    assert.ok(under.reports.includes('HOOK_FAILED'), under.reports.join());
    client.destroy();
  });

  test('in a turn with others: the others are sent, and its own is settled', async (t) => {
    const all = 24;
    const go = gate();
    let came = 0;
    const upstream = await startUpstream(t, async (peer) => {
      const { head } = await peer.request();
      if (++came === all) go.open();
      await go.opened;
      peer.send(response(head.line));
    });
    const end = replacing('end', throws);
    const under = await startBalancer(t, { upstreams: [upstream], front: behind(end) });
    const clients = await Promise.all(Array.from({ length: all }, () => under.connect()));
    const targets = clients.map((_, i) => i % 8 === 3 ? '/bad' : '/');
    const answers = await Promise.allSettled(clients.map((client, i) => client.exchange(get(targets[i]))));
    assert.deepEqual(answers.flatMap(({ status }, i) => status === 'rejected' ? [i] : []), [3, 11, 19]);
    await under.settled(all);
    assert.deepEqual(under.reports, Array.from({ length: 3 }, () => 'HOOK_FAILED'));
    // No downstream is left that a close would wait for.
    assert.deepEqual(await under.balancer.close({ timeoutMs: 1_000 }), { cut: 0 });
  });

  for (const method of ['writeHead', 'write', 'end'] as const) {
    test(`later, from a promise of ${method}: reported`, async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello'), echo], echo]);
      const under = await startBalancer(t, { upstreams: [upstream], front: behind(replacing(method, rejects)) });
      const client = await under.connect();
      await client.exchange(get('/bad')).catch(() => undefined);
      await under.reported(1);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /rejected: middleware is broken$/);
      assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
    });

    test(`over HTTP/2, from ${method}`, async (t) => {
      const broken = replacing(method, throws);
      const upstream = await startUpstream(t, echo);
      const { under, session } = await startHttp2(t, {
        ...H2C,
        open: (balancer) => serve(H2C.server((asked, answer) => {
          broken(asked as unknown as IncomingMessage, answer as unknown as ServerResponse);
          balancer.handle(asked, answer);
        })),
      }, [upstream]);
      const answer = await ask(session, { ':path': '/bad' }).catch(() => undefined);
      // A body goes through `write` only where middleware watches it; and a head can be replaced.
      assert.equal(answer?.status, method === 'writeHead' ? 500 : undefined);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.equal((await ask(session, { ':path': '/good' })).body.toString(), '/good');
    });
  }
});

describe('middleware that returns nonsense from write', () => {
  for (const [what, value] of [
    ['undefined', undefined], ['0', 0], ['null', null], ['a string', 'yes'], ['a promise', Promise.resolve(false)],
  ] as const) {
    test(`${what}: a large body arrives whole`, async (t) => {
      const body = pattern(3_000_000);
      const upstream = await startUpstream(t, [[request, response(body.toString('latin1'))]]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front: behind(replacing('write', (own) => (...given) => {
          own(...given);
          return value;
        })),
      });
      assert.deepEqual((await (await under.connect()).exchange(get('/bad'))).bytes, body);
      assert.deepEqual(under.reports, []);
    });
  }
});

describe('middleware that interferes', () => {
  test('removes all listeners: a downstream that leaves is still noticed', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const taken: IncomingMessage[] = [];
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: {
        name: 'node:http',
        open: (balancer) => serve(http.createServer(UNTIMED, (asked, answer) => {
          balancer.handle(asked, answer);
          answer.removeAllListeners('close').removeAllListeners('error');
          taken.push(asked);
        })),
      },
    });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    const gone = new Promise((resolve) => taken[0]?.socket.once('close', resolve));
    client.destroy();
    await gone;
    await under.advance(1_000);
    await under.settled(1);
    assert.equal(under.outcomes[0]?.error, 'DOWNSTREAM_GONE');
  });

  test('destroys the socket in writeHead', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: behind(replacing('writeHead', (own, answer) => (...given) => {
        answer.socket?.destroy();
        return own(...given);
      })),
    });
    const client = await under.connect();
    client.send(get('/bad'));
    assert.notEqual(await client.over(), undefined);
    await under.settled(1);
    assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
  });

  for (const bytes of [response('hello'), STREAMED]) {
    test(`ends the response in writeHead, of ${bytes.length} octets: that is the answer`, async (t) => {
      const more = gate();
      const upstream = await startUpstream(t, [[request, bytes, when(more.opened), '0\r\n\r\n'], echo]);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front: behind(replacing('writeHead', (own, answer) => () => {
          own(403, { 'Content-Length': 2 });
          answer.end('no');
          return answer;
        })),
      });
      const answer = await (await under.connect()).exchange(get('/bad'));
      assert.deepEqual([answer.status, answer.text], [403, 'no']);
      await under.settled(1);
      more.open();
      assert.equal((await (await under.connect()).exchange(get('/good'))).text, '/good');
    });
  }

  test('begins its own response before that of the upstream: left alone, and reported', async (t) => {
    const asked = gate();
    const upstream = await startUpstream(t, [[request, when(asked.opened), response('late')], echo]);
    let mine: ServerResponse | undefined;
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: behind((_, answer) => {
        mine ??= answer;
      }),
    });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    mine?.writeHead(504, { 'Content-Length': 4 }).write('mi');
    await client.head();
    asked.open();
    await under.settled(1);
    mine?.end('ne');
    assert.equal((await client.inbox.exactly(4)).toString(), 'mine');
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
    assert.match(under.errors[0]?.message ?? '', /another handler answered/);
  });

  test('ends later, by its own promise: end is called once', async (t) => {
    let ends = 0;
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: behind(replacing('end', (own) => (...given) => {
        ends++;
        setImmediate(() => own(...given));
        return undefined;
      })),
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/bad'))).text, '/bad');
    assert.equal((await client.exchange(get('/bad'))).text, '/bad');
    assert.equal(ends, 2);
  });
});
