/**
 * HTTP/2 connections when a balancer closes: a GOAWAY, the streams that are open are finished, and the deadline holds.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, test } from 'node:test';
import { createHttp2Server } from '../../src/cli/http2.ts';
import { serve } from '../support/fronts.ts';
import { ask, H2C, type Http2Kind, startHttp2 } from '../support/http2.ts';
import { connectFrames, get, GOAWAY } from '../support/http2-frames.ts';
import { echo, request, response, startUpstream, when } from '../support/upstream.ts';
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
    const [goaway] = client.frames.filter(({ type }) => type === GOAWAY);
    assert.deepEqual([goaway?.payload.readUInt32BE(0), goaway?.payload.readUInt32BE(4)], [1, 0]);
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

test('the server of the binary says GOAWAY to all connections when it is closed, asked or not', async (t) => {
  const servers: http2.Http2Server[] = [];
  const kind: Http2Kind = {
    ...H2C,
    open: (balancer) => {
      const server = createHttp2Server(balancer);
      servers.push(server);
      return serve(net.createServer((socket) => server.emit('connection', socket)));
    },
  };
  const upstream = await startUpstream(t, echo);
  const { under } = await startHttp2(t, kind, [upstream]);
  const client = await connectFrames(t, under.port);
  servers[0]?.close();
  assert.equal((await client.frame(GOAWAY)).payload.readUInt32BE(4), 0);
  await client.over();
});
