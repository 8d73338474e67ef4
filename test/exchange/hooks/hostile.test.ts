/**
 * Hooks that misbehave: a clear error, the process lives, nothing stays in flight, and the next request is served.
 */
import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import type { HookExchange, HookResult, Hooks } from '../../../src/hooks.ts';
import { echo, refusingOrigin, startUpstream } from '../../support/upstream.ts';
import { turns } from '../../support/wait.ts';
import { ended, WAYS } from '../../support/ways.ts';

const hostileProxy = (): object => new Proxy({}, {
  get() {
    throw new Error('a trap');
  },
  getPrototypeOf() {
    throw new Error('a trap');
  },
});
const locked = (): Response => {
  const answer = new Response('text');
  answer.body?.getReader();
  return answer;
};
/** What `new Response` itself would refuse. */
const madeUp = (parts: object): Response => ({
  status: 200, statusText: '', headers: new Headers(), body: null, bodyUsed: false, ...parts,
}) as unknown as Response;

/** What a hook may not return. */
const RETURNS: Record<string, () => unknown> = {
  'a number': () => 42,
  'null': () => null,
  'a string': () => 'text',
  'a symbol': () => Symbol('x'),
  'a function': () => () => undefined,
  'an empty object': () => ({}),
  'a Proxy that throws': hostileProxy,
  'a promise of a number': () => Promise.resolve(42),
  'a promise of a Proxy that throws': () => Promise.resolve(new Proxy({}, {
    get(_, key) {
      if (key === 'then') return undefined;
      throw new Error('a trap');
    },
  })),
  'a thenable that throws': () => ({
    then() {
      throw new Error('a trap');
    },
  }),
  'a Response with a locked body': locked,
  'Response.error()': () => Response.error(),
  'a status of 101': () => madeUp({ status: 101 }),
  'a status of 1e9': () => madeUp({ status: 1e9 }),
  'line ends in a header': () => madeUp({ headers: [['x-a', 'b\r\nSet-Cookie: c=d']] }),
  'line ends in a header name': () => madeUp({ headers: [['x-a\r\nx-b', 'b']] }),
  'headers that are no pairs': () => madeUp({ headers: [42] }),
  'a getter that throws': () => madeUp({
    get headers() {
      throw new Error('a trap');
    },
  }),
};

/** What a hook may not do: each throws at the line that does it. */
const WRITES: Record<string, [(exchange: HookExchange) => void, RegExp]> = {
  'line ends in a value': [({ request: { headers } }) => {
    headers.set('x-a', 'b\r\nX-Evil: 1');
  }, /header "x-a" must not hold line ends/],
  'a NUL in a value': [({ request: { headers } }) => {
    headers.set('x-a', 'b\0');
  }, /header "x-a" must not hold control characters/],
  'line ends in a name': [({ request: { headers } }) => {
    headers.set('x-a: 1\r\nx-b', 'c');
  }, /a header name must be a token/],
  'line ends in the target': [({ request }) => {
    request.target = '/ HTTP/1.1\r\nX-Evil: 1';
  }, /request.target must be a path/],
  'a target without a slash': [({ request }) => {
    request.target = 'http://evil.test/';
  }, /request.target must be a path/],
  'a Host that is no host': [({ request: { headers } }) => {
    headers.set('host', 'a/b');
  }, /header "host" must be a host/],
  'a pool that is not there': [(exchange) => {
    exchange.pool = 'none';
  }, /there is no pool "none"/],
  // Such an assignment would change nothing, and a header that a hook means to drop would be sent.
  'other headers in place of these': [({ request }) => {
    (request as { headers: object }).headers = new Headers({ 'x-a': 'b' });
  }, /Cannot set property headers/],
  ...Object.fromEntries((['method', 'host', 'protocol'] as const).map((name) => [`the ${name}`, [
    ({ request }: HookExchange): void => {
      (request as unknown as Record<string, string>)[name] = '1';
    }, new RegExp(`Cannot set property ${name}`)] as const])),
  ...Object.fromEntries((['request', 'response', 'remoteAddress', 'scheme', 'socket'] as const).map((name) => [
    `exchange.${name}`, [(exchange: HookExchange): void => {
      (exchange as unknown as Record<string, string>)[name] = '1';
    }, new RegExp(`Cannot set property ${name}`)] as const])),
  ...Object.fromEntries([
    'Content-Length', 'Transfer-Encoding', 'Connection', 'Keep-Alive', 'Upgrade', 'TE', 'Trailer', 'Expect',
    'Transfer_Encoding', 'Content_Length',
  ].map((name) => [name, [({ request: { headers } }: HookExchange) => {
    headers.set(name, '1');
  }, new RegExp(`header "${name.toLowerCase()}" cannot be changed`)] as const])),
};

for (const way of WAYS) {
  describe(`hostile hooks through ${way.name}`, () => {
    for (const hook of ['onRequest', 'onResponse'] as const) {
      test(`${hook} returns nonsense`, async (t) => {
        const upstream = await startUpstream(t, echo);
        let nonsense: (() => unknown) | undefined;
        const { under, ask } = await way.start(t, {
          upstreams: [upstream], ejectAfter: 0, [hook]: (): HookResult => nonsense?.() as HookResult,
        });
        for (const [name, returned] of Object.entries(RETURNS)) {
          nonsense = returned;
          const reports = under.reports.length;
          const answer = await ask();
          assert.equal(answer.status, 500, name);
          assert.equal(under.reports.length, reports + 1, name);
          const message = under.errors.at(-1)?.message ?? '';
          assert.doesNotMatch(message, /^$|Cannot read|not iterable|undefined is not/, name);
          assert.equal(answer.header('x-evil'), undefined);
        }
        nonsense = undefined;
        assert.equal((await ask({ target: '/well' })).text, '/well');
      });
    }

    test('onRequest writes what it may not', async (t) => {
      const upstream = await startUpstream(t, echo);
      let write: ((exchange: HookExchange) => void) | undefined;
      const { under, ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: (exchange) => {
          write?.(exchange);
        },
      });
      for (const [name, [act, message]] of Object.entries(WRITES)) {
        write = act;
        assert.equal((await ask()).status, 500, name);
        assert.match(under.errors.at(-1)?.message ?? '', message);
      }
      write = undefined;
      assert.equal((await ask({ target: '/well' })).text, '/well');
      assert.equal(upstream.requests.length, 1);
    });

    test('a hook that catches what it threw goes on with the request as it was', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: (exchange) => {
          for (const [act] of Object.values(WRITES)) assert.throws(() => {
            act(exchange);
          }, TypeError);
        },
      });
      assert.equal((await ask({ target: '/well' })).text, '/well');
      const text = upstream.requests[0]?.head.text ?? '';
      assert.doesNotMatch(text, /evil|none|x-a|_/i);
    });

    test('onResponse gives the response other headers: that throws', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onResponse: ({ response }) => {
          assert.throws(() => {
            (response as { headers: object }).headers = new Headers();
          }, /Cannot set property headers/);
        },
      });
      assert.equal((await ask({ target: '/well' })).text, '/well');
    });

    test('a body that is no body: pieces that are no octets, and errors', async (t) => {
      let piece: unknown;
      const { under, ask } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: () => new Response(new ReadableStream({
          start: (controller) => {
            controller.enqueue(piece as Uint8Array);
          },
        })),
      });
      for (piece of ['text', 42, null, new Uint16Array(2), hostileProxy()]) {
        const answer = await ask().catch(() => 'cut');
        assert.equal(answer, 'cut');
      }
      assert.deepEqual(new Set(under.reports), new Set(['HOOK_FAILED']));
    });

    test('a body that never ends is cut when it has stalled for too long', async (t) => {
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], idleTimeoutMs: 5000, onRequest: () => new Response(new ReadableStream()),
      });
      const { answer } = await begin();
      for (let i = 0; i < 5; i++) await under.advance(2000);
      await ended(answer);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
    });

    test('an exchange that is kept shows its own data, and takes no changes', async (t) => {
      const upstream = await startUpstream(t, echo);
      const kept: HookExchange[] = [];
      const { ask } = await way.start(t, {
        upstreams: [upstream],
        onRequest: (exchange) => {
          kept.push(exchange);
        },
        onResponse: () => undefined,
      });
      await ask({ target: '/1', headers: { 'x-user': 'alice', authorization: 'Basic secret' } });
      await ask({ target: '/2', headers: { 'x-user': 'bob' } });
      const [first, second] = kept;
      assert.ok(first !== undefined && second !== undefined);
      assert.equal(first.request.target, '/1');
      assert.equal(first.request.headers.get('x-user'), 'alice');
      assert.equal(second.request.headers.get('x-user'), 'bob');
      assert.equal(second.request.headers.get('authorization'), null);
      assert.notEqual(first.request.id, second.request.id);
      assert.equal(first.attempts, 1);
      assert.equal(first.upstream?.origin, upstream.origin);
      assert.equal(first.response?.status, 200);
      assert.equal(first.request.signal.aborted, false);
      const late: ((exchange: HookExchange) => void)[] = [
        ({ request: { headers } }) => {
          headers.set('x-late', '1');
        },
        ({ request: { headers } }) => {
          headers.delete('x-user');
        },
        ({ request }) => {
          request.target = '/late';
        },
        ({ request }) => {
          request.pipeThrough(new TransformStream());
        },
        (exchange) => {
          exchange.pool = 'default';
        },
        ({ response }) => response?.headers.set('x-late', '1'),
        ({ response }) => {
          if (response !== undefined) response.status = 404;
        },
        ({ response }) => response?.pipeThrough(new TransformStream()),
        ({ response }) => response?.body,
      ];
      for (const act of late) assert.throws(() => {
        act(first);
      }, TypeError);
      assert.equal((await ask({ target: '/3' })).text, '/3');
      assert.equal(upstream.requests.at(-1)?.head.get('x-late'), undefined);
    });

    test('200 hooks that never resolve, whose downstreams leave, leave nothing', async (t) => {
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], onRequest: () => new Promise<undefined>(() => undefined),
      });
      const many = await Promise.all(Array.from({ length: 200 }, () => begin()));
      await turns(20);
      for (const { leave } of many) leave();
      await Promise.all(many.map(({ answer }) => ended(answer)));
      assert.deepEqual(under.reports, []);
    });
  });
}

test('1,000 hooks at once, each with its own request, and no listener is left', async (t) => {
  const upstream = await startUpstream(t, echo);
  const [socketWay] = WAYS;
  assert.ok(socketWay !== undefined);
  let most = 0;
  let running = 0;
  const sockets = new Map<EventEmitter, number>();
  const count = (socket: EventEmitter): number => {
    return socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0);
  };
  const hooks: Hooks = {
    onRequest: async ({ request, socket }) => {
      most = Math.max(most, ++running);
      if (socket !== undefined) sockets.set(socket, count(socket));
      await turns(3);
      running--;
      request.headers.set('x-target', request.target);
    },
    onResponse: ({ request, response, socket }) => {
      response.headers.set('x-target', request.target);
      if (socket !== undefined) assert.equal(count(socket), sockets.get(socket));
    },
  };
  const { begin } = await socketWay.start(t, { upstreams: [upstream], ...hooks });
  for (let round = 0; round < 4; round++) {
    const many = await Promise.all(Array.from({ length: 250 }, (_, i) => begin({ target: `/${round}/${i}` })));
    for (const [i, { answer }] of many.entries()) {
      const { text, header } = await answer;
      assert.equal(text, `/${round}/${i}`);
      assert.equal(header('x-target'), text);
    }
    for (const { leave } of many) leave();
  }
  assert.equal(running, 0);
  for (const { head } of upstream.requests) assert.equal(head.get('x-target'), head.line.split(' ')[1]);
});
