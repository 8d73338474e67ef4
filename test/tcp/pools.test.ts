import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { echo, rawUpstream, REFUSING, startTcp } from '../support/tcp.ts';
import { turns } from '../support/wait.ts';

describe('the pools of layer 4', () => {
  test('try another upstream after a failed connect, and eject the one that fails', async (t) => {
    const dead = REFUSING;
    const upstream = await rawUpstream(t, echo('hello\n'));
    const under = await startTcp(t, { upstreams: [dead, upstream], ejectAfter: 2 });
    for (let i = 0; i < 3; i++) {
      const client = await under.connect();
      assert.equal(await client.inbox.until('\n'), 'hello\n');
      client.end();
      await under.done(i + 1);
    }
    const [settled, retried] = [`settled ${dead} failed CONNECT_REFUSED`, `retried CONNECT_REFUSED after ${dead}`];
    assert.deepEqual(under.events.filter((event) => event.includes(dead)), [
      settled, retried, `ejected ${dead} by attempts`, settled, retried,
    ]);
    assert.deepEqual(under.finished.map(({ attempts, status }) => [attempts, status]), [[2, 200], [2, 200], [1, 200]]);
    assert.deepEqual(under.reports, [`CONNECT_REFUSED at ${dead}`, `CONNECT_REFUSED at ${dead}`]);
  });

  test('reset a connection for which there is no upstream', async (t) => {
    const dead = REFUSING;
    const under = await startTcp(t, { upstreams: [dead], ejectAfter: 0 });
    await under.refused();
    await under.done(1);
    assert.deepEqual(under.events, [`settled ${dead} failed CONNECT_REFUSED`, 'refused CONNECT_REFUSED 502']);
    const [event] = under.finished;
    assert.equal(event?.status, 502);
    assert.equal(event.code, 'CONNECT_REFUSED');
    await under.balancer.update([]);
    await under.refused();
    await under.done(2);
    assert.equal(under.finished[1]?.code, 'NO_CANDIDATE');
    assert.equal(under.finished[1].upstream, undefined);
  });

  test('give up a connect that takes too long', async (t) => {
    const upstream = await rawUpstream(t, echo('b\n'));
    const { Duplex } = await import('node:stream');
    const under = await startTcp(t, {
      upstreams: ['tcp://127.0.0.1:9', upstream],
      connectTimeoutMs: 100,
      connect: ({ port }) => {
        const silent = new Duplex({ read: () => undefined, write: () => undefined });
        return port === 9 ? Object.assign(silent, { connecting: true }) : undefined;
      },
    });
    const client = await under.connect();
    await under.soon(() => under.balancer.upstreams[0]?.inFlight === 1, 'the first attempt');
    await under.advance(150);
    assert.equal(await client.inbox.until('\n'), 'b\n');
    assert.ok(under.events.includes('retried CONNECT_TIMEOUT after tcp://127.0.0.1:9'));
  });

  test('count an open connection as in flight, and have others wait for room', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, { upstreams: [{ origin: upstream.origin, maxInFlight: 1 }], maxQueued: 1 });
    const first = await under.connect();
    first.send('a');
    await first.inbox.exactly(1);
    const second = await under.connect();
    second.send('b');
    await under.soon(() => under.connections.queued === 1, 'the second to wait');
    await under.refused();
    await under.done(1);
    assert.equal(under.finished[0]?.code, 'OVERLOADED');
    first.end();
    assert.equal(await first.over(), 'end');
    assert.equal((await second.inbox.exactly(1)).toString(), 'b');
    second.end();
    await under.done(3);
    assert.equal(upstream.count, 2);
    // A wait that takes too long ends.
    const fourth = await under.connect();
    fourth.send('d');
    await fourth.inbox.exactly(1);
    const fifth = await under.connect();
    await under.soon(() => under.connections.queued === 1, 'the fifth to wait');
    await under.advance(1_001);
    assert.equal(await fifth.over(), 'reset');
  });

  test('probe by connecting', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, {
      upstreams: [upstream], healthCheck: { intervalMs: 100, timeoutMs: 100, fall: 1, rise: 1 }, slowStartMs: 0,
    });
    await upstream.down();
    const eject = `ejected ${upstream.origin} by probes`;
    for (let i = 0; i < 200 && !under.events.includes(eject); i++) await under.advance(20);
    assert.ok(under.events.includes(eject));
    await upstream.up();
    const readmit = `readmitted ${upstream.origin} by probes`;
    for (let i = 0; i < 200 && !under.events.includes(readmit); i++) await under.advance(20);
    assert.ok(under.events.includes(readmit));
  });

  test('drain an upstream that is removed, and reset what is left in the end', async (t) => {
    const [one, two] = [await rawUpstream(t, echo()), await rawUpstream(t, echo())];
    const under = await startTcp(t, { upstreams: [one, two] });
    const client = await under.connect();
    client.send('a');
    await client.inbox.exactly(1);
    const removed = under.balancer.remove(one.origin, { timeoutMs: 1_000 });
    client.send('b');
    assert.equal((await client.inbox.exactly(1)).toString(), 'b');
    const other = await under.connect();
    other.send('c');
    await other.inbox.exactly(1);
    assert.equal(two.count, 1);
    await under.advance(1_001);
    assert.equal(await client.over(), 'reset');
    await removed;
    await under.done(1);
    assert.equal(under.finished[0]?.code, 'UPSTREAM_REMOVED');
  });

  test('are left in order when the balancer closes, and cut when that takes too long', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, { upstreams: [upstream] });
    const [leaves, stays] = [await under.connect(), await under.connect()];
    for (const client of [leaves, stays]) {
      client.send('a');
      await client.inbox.exactly(1);
    }
    const closed = under.balancer.close({ timeoutMs: 5_000 });
    assert.equal(under.balancer.ready, false);
    await assert.rejects(under.connect());
    leaves.send('b').end();
    assert.equal((await leaves.inbox.rest()).toString(), 'b');
    stays.send('c');
    assert.equal((await stays.inbox.exactly(1)).toString(), 'c');
    await under.advance(5_001);
    assert.equal(await stays.over(), 'reset');
    assert.deepEqual(await closed, { cut: 1 });
    assert.deepEqual(under.finished.map(({ code }) => code), [undefined, 'CLOSING']);
  });

  test('take no more than maxConnections', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const under = await startTcp(t, { upstreams: [upstream], maxConnections: 1 });
    const unread: string[] = [];
    under.balancer.on('unread', ({ code }) => unread.push(code));
    const first = await under.connect();
    first.send('a');
    await first.inbox.exactly(1);
    await under.refused();
    assert.deepEqual(under.reports, ['CONNECTIONS_EXHAUSTED']);
    assert.deepEqual(unread, ['CONNECTIONS_EXHAUSTED']);
    first.end();
    await under.done(1);
    const second = await under.connect();
    second.send('b');
    await second.inbox.exactly(1);
  });

  test('change at run time, while connections stay where they are', async (t) => {
    const [one, two] = [await rawUpstream(t, echo('1')), await rawUpstream(t, echo('2'))];
    const under = await startTcp(t, { upstreams: [one], helloTimeoutMs: 77, idleTimeoutMs: 50_000 });
    const client = await under.connect();
    assert.equal((await client.inbox.exactly(1)).toString(), '1');
    void under.balancer.configure({
      upstreams: null, pools: { other: { upstreams: [two.origin], idleTimeoutMs: 1_000 } },
    });
    await turns(3);
    assert.deepEqual(Object.keys(under.balancer.pools), ['other']);
    const other = await under.connect();
    assert.equal((await other.inbox.exactly(1)).toString(), '2');
    await under.advance(1_001);
    assert.equal(await other.over(), 'reset');
    client.send('x');
    assert.equal((await client.inbox.exactly(1)).toString(), 'x');
    await assert.rejects(under.balancer.configure({ via: false } as object), /via: is about HTTP/);
    await assert.rejects(under.balancer.configure({ helloTimeoutMs: 5 } as object), /helloTimeoutMs: belongs to/);
    client.end();
    await under.done(2);
  });
});
