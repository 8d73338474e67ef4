/**
 * Reads from connections that a balancer accepted itself bypass the stream while nothing has to be held back.
 */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { pattern } from '../support/message.ts';
import { atEnd } from '../support/scope.ts';
import { echo, request, response, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** Records the length of each read that enters the streams of sockets at this port; -1 is the end. */
function watch(t: TestContext, port: number): number[] {
  const entered: number[] = [];
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its stream
  const { push } = Readable.prototype;
  Readable.prototype.push = function watched(this: Readable, chunk: unknown, encoding?: BufferEncoding): boolean {
    if (this instanceof Socket && this.localPort === port) entered.push(Buffer.isBuffer(chunk) ? chunk.length : -1);
    return push.call(this, chunk, encoding);
  };
  atEnd(t, () => {
    Readable.prototype.push = push;
  });
  return entered;
}

describe('a connection that the balancer accepted itself', () => {
  test('is read around its stream', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const entered = watch(t, under.port);
    const client = await under.connect();
    for (let i = 0; i < 3; i++) assert.equal((await client.exchange(get(`/${i}`))).text, `/${i}`);
    assert.equal((await client.exchange(post('/3', 'body'))).text, '/3');
    assert.deepEqual(entered, [], 'should Node have changed where reads enter, see Sockets.serveOwn');
    client.end();
    await client.over();
    assert.deepEqual(entered, [-1]);
  });

  test('becomes an ordinary stream once something has to be held back, and loses nothing', async (t) => {
    const held = gate();
    const upstream = await startUpstream(t, [[
      () => held.opened, request, response('one'), request, response('two'), request, response('three'),
    ]]);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const entered = watch(t, under.port);
    const client = await under.connect();
    const body = pattern(12 << 20);
    client.send(post('/1', body));
    client.send(get('/2'));
    client.send(get('/3'));
    await under.picked(1);
    held.open();
    for (const text of ['one', 'two', 'three']) assert.equal((await client.response()).text, text);
    assert.ok(upstream.requests[0]?.body.bytes.equals(body));
    assert.deepEqual(upstream.requests.map(({ head }) => head.line.split(' ')[1]), ['/1', '/2', '/3']);
    assert.ok(entered.length > 0, 'some of it was held back');
  });
});
