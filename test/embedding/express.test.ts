import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import express, { type Express, type RequestHandler } from 'express';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { pattern } from '../support/message.ts';
import { echo, request, response, serve as answering, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** An Express application with the balancer in it. */
function app(build: (application: Express, handle: RequestHandler) => void): FrontKind {
  return {
    name: 'Express',
    open: (balancer) => {
      const application = express();
      build(application, balancer.handle);
      // Express answers unanswered requests; it must not print their errors.
      application.set('env', 'test');
      return serve(http.createServer(UNTIMED, application));
    },
  };
}

describe('balancer.handle in Express', () => {
  test('as the last of several handlers', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.get('/health', (_, answer) => {
          answer.json({ well: true });
        });
        application.use(handle);
      }),
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/health'))).text, '{"well":true}');
    assert.equal((await client.exchange(get('/other?a=b'))).text, '/other?a=b');
    assert.equal((await client.exchange(post('/upload', pattern(100_000)))).text, '/upload');
    assert.equal(upstream.requests[1]?.body.bytes.length, 100_000);
    assert.equal(under.picks.length, 2);
  });

  test('mounted: the upstream sees the path below the mount', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use('/api', handle);
      }),
    });
    const client = await under.connect();
    assert.equal((await client.exchange(get('/api/users?id=1'))).text, '/users?id=1');
    assert.equal((await client.exchange(get('/api'))).text, '/');
    assert.equal((await client.exchange(get('/api?a'))).text, '/?a');
    assert.equal((await client.exchange(get('/other'))).status, 404);
  });

  test('behind a slow handler', async (t) => {
    const upstream = await startUpstream(t, echo);
    const late = gate();
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((_, __, next) => {
          void late.opened.then(() => {
            next();
          });
        }, handle);
      }),
    });
    const client = await under.connect();
    const answer = client.exchange(post('/', 'hello'));
    late.open();
    assert.equal((await answer).text, '/');
    assert.equal(upstream.requests[0]?.body.bytes.toString(), 'hello');
  });

  test('behind a handler that sets fields: each field of the upstream arrives', async (t) => {
    const fields = 'Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Two: 1\r\nX-Two: 2\r\nX-Frame-Options: ALLOW\r\n';
    const upstream = await startUpstream(t, answering(() => response('x', fields)));
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((_, answer, next) => {
          answer.setHeader('X-Mine', 'yes').setHeader('X-Frame-Options', 'DENY');
          next();
        }, handle);
      }),
    });
    const { head } = await (await under.connect()).exchange(get());
    assert.deepEqual(head.all('set-cookie'), ['a=b', 'c=d']);
    assert.equal(head.get('x-two'), '1, 2');
    assert.equal(head.get('x-mine'), 'yes');
    assert.equal(head.get('x-powered-by'), 'Express');
    // What the upstream says about itself takes precedence.
    assert.equal(head.get('x-frame-options'), 'ALLOW');
  });

  test('behind a handler that changes the request: the upstream gets the original, under the new target', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((asked, _, next) => {
          asked.url = '/rewritten';
          next();
        }, handle);
      }),
    });
    assert.equal((await (await under.connect()).exchange(get('/a'))).text, '/rewritten');
  });

  test('behind a body parser: 500, reported with the remedy', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use(express.json(), handle);
      }),
    });
    const client = await under.connect();
    const answer = await client.exchange(post('/', '{"a":1}', 'Content-Type: application/json\r\n'));
    assert.equal(answer.status, 500);
    assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_configuration_error');
    assert.deepEqual(under.reports, ['BODY_CONSUMED']);
    assert.match(under.errors[0]?.message ?? '', /before body parsers/);
    // A request without a body has lost nothing; nor has one that the parser skips.
    const next = await under.connect();
    assert.equal((await next.exchange(get('/a'))).text, '/a');
    assert.equal((await next.exchange(post('/b', 'x', 'Content-Type: text/plain\r\n'))).text, '/b');
    assert.equal(upstream.requests[1]?.body.bytes.toString(), 'x');
  });

  test('where the downstream left during a slow handler, no upstream is involved', async (t) => {
    const upstream = await startUpstream(t, echo);
    const [asked, left] = [gate(), gate()];
    const handled = gate();
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((_, answer, next) => {
          asked.open();
          answer.on('close', () => {
            left.open();
          });
          void left.opened.then(() => {
            setImmediate(() => {
              next();
              handled.open();
            });
          });
        }, handle);
      }),
    });
    const client = await under.connect();
    client.send(get());
    await asked.opened;
    client.destroy();
    await handled.opened;
    for (let i = 0; i < 20; i++) await under.advance(0);
    // Everything is over without waiting for a timeout.
    await under.settled(under.picks.length);
    assert.equal(upstream.requests.length, 0);
  });

  test('where another handler gives up waiting and answers, that is the answer', async (t) => {
    const late = gate();
    const upstream = await startUpstream(t, [[request, () => late.opened, response('too late')], echo]);
    let giveUp = (): void => undefined;
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((_, answer, next) => {
          giveUp = () => {
            answer.status(504).send('patience lost');
          };
          next();
        }, handle);
      }),
    });
    const client = await under.connect();
    client.send(get());
    await upstream.read(1);
    giveUp();
    const answer = await client.response();
    assert.equal(answer.status, 504);
    assert.equal(answer.text, 'patience lost');
    await under.settled(1);
    late.open();
    giveUp = () => undefined;
    assert.equal((await client.exchange(get('/next'))).text, '/next');
  });

  test('where another handler answers at the very moment that the upstream does, nothing breaks', async (t) => {
    const upstream = await startUpstream(t, [[request, response('late'), echo], echo]);
    const under = await startBalancer(t, {
      upstreams: [upstream],
      front: app((application, handle) => {
        application.use((asked, answer, next) => {
          next();
          if (asked.url === '/') answer.status(504).write('mine');
        }, handle);
      }),
    });
    const client = await under.connect();
    client.send(get());
    assert.equal((await client.head()).line.split(' ')[1], '504');
    await under.settled(1);
    assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
  });
});
