/**
 * A refused HEAD is answered like a GET, except for the body (RFC 9110 §9.3.2): for any reason, and however
 * little of the request was read.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { NODE_HTTP, SOCKET } from '../support/fronts.ts';
import { Holding } from '../support/holding.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const long = 'x'.repeat(9_000);

/** What follows the method, the status, and whether time has to pass first. */
const REFUSED: readonly (readonly [name: string, rest: string, status: number, waits?: true])[] = [
  ['two Hosts', '/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['a target with a space', '/a b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['no target', '\r\n\r\n', 400],
  ['a long target without an end', `/${long}`, 414],
  ['a long target', `/${long} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ['an unknown expectation', '/ HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n', 417],
  ['a large head without an end', `/ HTTP/1.1\r\nHost: a\r\nA: ${long}\r\nB: ${long}`, 431],
  ['an unknown coding', '/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n', 501],
  ['another version', '/ HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['a head that does not end', '/ HTTP/1.1\r\nHost: a\r\n', 408, true],
  ['a request line that does not end', '/', 408, true],
  ['nothing but the method', '', 408, true],
];

/** Sends `bytes` on a connection that has served some requests, in this many pieces, and reads everything. */
async function refusal(under: BalancerUnderTest, bytes: string, pieces: number, waits = false): Promise<string> {
  const client = await under.connect();
  const size = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length; at += size) {
    await new Promise((resolve) => client.socket.write(bytes.slice(at, at + size), 'latin1', resolve));
  }
  if (waits) {
    // An exchange on another connection comes behind what was sent before.
    await (await under.connect()).exchange(get('/seen'));
    await under.advance(1_000);
  }
  return rest(client);
}

/** Everything up to a clean end of the connection, without the Date. */
async function rest(client: Client): Promise<string> {
  return (await client.inbox.rest()).toString('latin1').replace(/^Date: .*\r\n/m, '');
}

describe('a refused HEAD has no body', () => {
  for (const [name, after, status, waits] of REFUSED) {
    for (const [how, before, pieces] of [
      ['at once', '', 1], ['in pieces', '', 7], ['behind empty lines', '\r\n\r\n', 1],
      ['behind empty lines, in pieces', '\r\n\r\n', 5],
    ] as const) {
      test(`${name}, ${how}: ${status}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], headTimeoutMs: 1_000 });
        const toGet = await refusal(under, `${before}GET ${after}`, pieces, waits);
        const toHead = await refusal(under, `${before}HEAD ${after}`, pieces, waits);
        const end = toGet.indexOf('\r\n\r\n') + 4;
        assert.equal(toGet.split(' ')[1], String(status));
        assert.ok(toGet.length > end, 'GET has a body');
        assert.equal(toHead, toGet.slice(0, end), 'the same head, Content-Length included, and nothing else');
        assert.match(toHead, /\r\nContent-Length: [1-9]\d*\r\n/);
      });
    }
  }

  test('after requests on the same connection', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const client = await under.connect();
    client.send(`${get('/1')}${get('/2', '', 'HEAD')}${get('/3')}HEAD / HTTP/1.1\r\n\r\n`);
    assert.equal((await client.response()).text, '/1');
    assert.equal((await client.response('HEAD')).status, 200);
    assert.equal((await client.response()).text, '/3');
    assert.match(await rest(client), /^HTTP\/1\.1 400 [^]*\r\n\r\n$/);
  });

  test('but a method that only looks like HEAD has', async (t) => {
    const under = await startBalancer(t, { upstreams: [] });
    for (const method of ['HEADER', 'head', ' HEAD', 'HEA']) {
      assert.match(await refusal(under, `${method} / HTTP/9.9\r\n\r\n`, 1), /\r\n\r\n.+\n$/, method);
    }
  });

  for (const front of [SOCKET, NODE_HTTP]) {
    test(`refused by the balancer after it was read, through ${front.name}`, async (t) => {
      const holding = await Holding.start(t);
      const under = await startBalancer(t, {
        upstreams: [{ origin: holding.origin, maxInFlight: 1 }], front, maxBodyBytes: 3, responseTimeoutMs: 1_000,
        maxAttempts: 1,
      });
      const client = await under.connect();
      client.send(get('/held', '', 'HEAD'));
      await holding.came(1);
      for (const [status, fields] of [[503, ''], [413, 'Content-Length: 4\r\n']] as const) {
        const other = await under.connect();
        const answer = await other.send(get('/', `Connection: close\r\n${fields}`, 'HEAD')).head();
        assert.equal(answer.line.split(' ')[1], String(status));
        assert.equal(await rest(other), '');
      }
      await under.advance(1_000);
      client.end();
      assert.match((await client.head()).line, / 504 /);
      assert.equal(await rest(client), '');
      holding.release();
    });
  }

  test('nor has the answer to one connection too many, whatever its request', async (t) => {
    const under = await startBalancer(t, { upstreams: [], maxConnections: 1 });
    await under.connect();
    const second = await under.connect();
    const text = await rest(second);
    assert.match(text, /^HTTP\/1\.1 503 [^]*\r\nContent-Length: 0\r\n[^]*\r\n\r\n$/);
  });
});
