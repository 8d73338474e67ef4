/**
 * HTTP/2 connections when a balancer closes: a GOAWAY, the streams that are open are finished, and the deadline holds.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { NODE_HTTP } from '../support/fronts.ts';
import { ask, H2C, startHttp2 } from '../support/http2.ts';
import { connectFrames, type FrameClient, get, GOAWAY } from '../support/http2-frames.ts';
import { atEnd } from '../support/scope.ts';
import { echo, request, response, type ScriptedUpstream, startUpstream, when } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';

describe('HTTP/2 connections of an embedder, when the balancer closes', () => {
  test('one without streams gets a GOAWAY with its last stream, and ends', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { under } = await startHttp2(t, H2C, [upstream]);
    const client = await connectFrames(t, under.port);
    client.send(get(1, '/1'));
    assert.equal(await client.status(1), 200);
    await under.settled(1);
    assert.deepEqual(await within(under.balancer.close(), () => 'the close'), { cut: 0 });
    await client.over();
    assert.deepEqual(goaways(client), ['0 1']);
  });

  test('streams in flight are finished', async (t) => {
    const go = gate();
    const upstream = await startUpstream(t, [[request, when(go.opened), response('done')]]);
    const { under, session } = await startHttp2(t, H2C, [upstream]);
    const answer = ask(session, { ':path': '/' });
    await upstream.read(1);
    const left = new Promise((resolve) => session.once('close', resolve));
    const closed = under.balancer.close();
    await under.advance(1_000);
    go.open();
    assert.equal((await answer).body.toString(), 'done');
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 0 });
    await within(left, () => 'the end of the session');
  });

  test('what is in flight at the deadline is cut', async (t) => {
    const upstream = await startUpstream(t, [[request]]);
    const { under, session } = await startHttp2(t, H2C, [upstream]);
    const stream = session.request({ ':path': '/' });
    const over = new Promise((resolve) => stream.on('error', () => undefined).once('close', resolve));
    await upstream.read(1);
    const closed = under.balancer.close({ timeoutMs: 2_000 });
    await under.advance(1_000);
    await under.advance(2_000);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 1 });
    await within(over, () => 'the end of the stream');
    assert.notEqual(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR);
  });

  test('one that comes while it closes gets its GOAWAY with its first request', async (t) => {
    const go = gate();
    const upstream = await startUpstream(t, [[request, when(go.opened), response('slow')], echo]);
    const { under, session } = await startHttp2(t, H2C, [upstream]);
    const slow = ask(session, { ':path': '/slow' });
    await upstream.read(1);
    const closed = under.balancer.close();
    const client = await connectFrames(t, under.port);
    client.send(get(1, '/late'));
    assert.equal(await client.status(1), 200);
    await client.over();
    go.open();
    assert.equal((await slow).body.toString(), 'slow');
    await under.advance(1_000);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 0 });
  });

  test('close and open do not leave listeners or sessions behind', async (t) => {
    const upstream = await startUpstream(t, echo);
    const { under, session } = await startHttp2(t, H2C, [upstream]);
    for (let i = 0; i < 20; i++) await ask(session, { ':path': '/' });
    const left = new Promise((resolve) => session.once('close', resolve));
    session.close();
    await within(left, () => 'the end of the session');
    const closed = under.balancer.close();
    await under.advance(1);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 0 });
  });
});

describe('HTTP/2 connections of a server that was passed to serve, when the balancer closes', () => {
  /** A server that also takes connections that are not its own, as behind a TLS handshake that took its time. */
  async function served(t: TestContext, upstream: ScriptedUpstream) {
    const under = await startBalancer(t, { upstreams: [upstream], front: NODE_HTTP });
    const server = http2.createServer(under.balancer.handle);
    const { port } = await under.balancer.serve(server, { port: 0, host: '127.0.0.1' }) as AddressInfo;
    const late = net.createServer((socket) => server.emit('connection', socket));
    await new Promise<void>((resolve) => late.listen(0, '127.0.0.1', resolve));
    atEnd(t, () => {
      late.close();
    });
    return { under, port, latePort: (late.address() as AddressInfo).port };
  }

  test('one that never asked gets a GOAWAY at once', async (t) => {
    const { under, port } = await served(t, await startUpstream(t, echo));
    const client = await connectFrames(t, port);
    const closed = under.balancer.close();
    await client.over();
    assert.deepEqual(goaways(client), ['0 0']);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 0 });
  });

  test('one that comes while it closes may ask once; if it is silent, it goes after a while', async (t) => {
    const go = gate();
    const upstream = await startUpstream(t, [[request, when(go.opened), response('slow')], echo]);
    const { under, port, latePort } = await served(t, upstream);
    const slow = await connectFrames(t, port);
    slow.send(get(1, '/slow'));
    await upstream.read(1);
    const closed = under.balancer.close({ timeoutMs: 60_000 });
    const asking = await connectFrames(t, latePort);
    const silent = await connectFrames(t, latePort);
    await under.advance(1_000);
    assert.deepEqual([asking, silent].map(goaways), [[], []]);
    asking.send(get(1, '/late'));
    assert.equal(await asking.status(1), 200);
    await asking.over();
    assert.deepEqual(goaways(asking), ['0 1']);
    await under.advance(6_000);
    await silent.over();
    assert.deepEqual(goaways(silent), ['0 0']);
    go.open();
    assert.equal(await slow.status(1), 200);
    await slow.over();
    assert.deepEqual(goaways(slow), ['0 1']);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 0 });
  });
});

/** What its GOAWAYs said, code and last stream; node:http2 says it again as it closes the connection. */
function goaways({ frames }: FrameClient): string[] {
  const all = frames.filter(({ type }) => type === GOAWAY)
    .map(({ payload }) => `${payload.readUInt32BE(4)} ${payload.readUInt32BE(0)}`);
  return [...new Set(all)];
}
