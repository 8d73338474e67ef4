/**
 * WebSockets over HTTP/2: an extended CONNECT (RFC 8441) becomes a handshake of HTTP/1.1.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http2, {
  type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type IncomingHttpStatusHeader,
} from 'node:http2';
import { describe, test, type TestContext } from 'node:test';
import type { TestOptions } from '../support/balancer.ts';
import { Finished } from '../support/finished.ts';
import { connecting, H2C, startHttp2 } from '../support/http2.ts';
import { pattern } from '../support/message.ts';
import {
  bytes, close, echo, halfClose, type Peer, request, reset, response, type Script, type ScriptedUpstream,
  startUpstream, untilEnd, when,
} from '../support/upstream.ts';
import { atRest, gate, Signal, turns, within } from '../support/wait.ts';

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = http2.constants;
const CONNECT = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/chat?room=1' };
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const LARGE = pattern(8 << 20);

/** Answers a handshake as RFC 6455 says; `fields` are whole lines. */
function accept(fields = ''): (peer: Peer) => Promise<void> {
  return async (peer) => {
    const { head: asked } = await peer.request();
    const key = asked.get('sec-websocket-key') ?? '';
    const answer = createHash('sha1').update(key + GUID).digest('base64');
    peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
      + `Sec-WebSocket-Accept: ${answer}\r\n${fields}\r\n`);
  };
}

/** The client's side of a stream, read as it comes. */
class Tunnel {
  readonly stream: ClientHttp2Stream;
  head: IncomingHttpHeaders & IncomingHttpStatusHeader | undefined;
  ended = false;
  closed = false;
  readonly #parts: Buffer[] = [];
  readonly #signal = new Signal();

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    stream.on('response', (got) => {
      this.head = got;
      this.#signal.raise();
    });
    stream.on('data', (part: Buffer) => {
      this.#parts.push(part);
      this.#signal.raise();
    });
    stream.on('end', () => {
      this.ended = true;
      this.#signal.raise();
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      this.closed = true;
      this.#signal.raise();
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Resolves with the status of the response. */
  async status(): Promise<number | undefined> {
    await this.#signal.until(() => this.head !== undefined || this.closed, () => 'a response to CONNECT');
    return this.head?.[':status'];
  }

  async read(text: string): Promise<void> {
    await this.#signal.until(() => this.bytes.toString('latin1') === text, () => `${text} (got ${String(this.bytes)})`);
  }

  async until(length: number): Promise<void> {
    const size = (): number => this.#parts.reduce((sum, part) => sum + part.length, 0);
    await this.#signal.until(() => size() >= length, () => `${length} octets (got ${size()})`);
  }

  async end(): Promise<void> {
    await this.#signal.until(() => this.ended || this.closed, () => 'the end of the tunnel');
  }

  /** Resolves with the code of the stream's end. */
  async over(): Promise<number | undefined> {
    await this.#signal.until(() => this.closed, () => 'the stream to close');
    return this.stream.rstCode;
  }
}

function open(session: ClientHttp2Session, fields: http2.OutgoingHttpHeaders = {}): Tunnel {
  return new Tunnel(session.request({ ...CONNECT, ...fields }, { endStream: false }));
}

async function start(
  t: TestContext, script: readonly Script[] | ((peer: Peer) => unknown), options: Partial<TestOptions> = {},
  kind = connecting(),
) {
  const upstream: ScriptedUpstream = await startUpstream(t, script);
  const { under, session } = await startHttp2(t, kind, [upstream], options);
  await within(new Promise((resolve) => session.once('remoteSettings', resolve)), () => 'settings');
  return { upstream, under, session, finished: new Finished(under) };
}

describe('an extended CONNECT for a WebSocket', () => {
  test('is offered only where a server enables it', async (t) => {
    const enabled = await start(t, []);
    assert.equal(enabled.session.remoteSettings.enableConnectProtocol, true);
    const plain = await start(t, [], {}, H2C);
    assert.notEqual(plain.session.remoteSettings.enableConnectProtocol, true);
  });

  test('becomes a handshake of HTTP/1.1, and 101 becomes 200', async (t) => {
    const { upstream, session, finished } = await start(t, [[
      accept('Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nContent-Length: 3\r\n'),
      bytes(5), 'there', untilEnd, halfClose,
    ]]);
    const tunnel = open(session, {
      ':authority': 'example.com', origin: 'https://example.com', 'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat, other', 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
      'sec-websocket-key': 'forged', cookie: ['a=1', 'b=2'],
    });
    assert.equal(await tunnel.status(), 200);
    const { head: asked } = upstream.requests[0] ?? {};
    assert.equal(asked?.line, 'GET /chat?room=1 HTTP/1.1');
    assert.equal(asked.get('host'), 'example.com');
    assert.equal(asked.get('connection'), 'Upgrade');
    assert.equal(asked.get('upgrade'), 'websocket');
    const keys = asked.fields.filter(([name]) => name.toLowerCase() === 'sec-websocket-key');
    assert.equal(keys.length, 1);
    assert.equal(Buffer.from(keys[0]?.[1] ?? '', 'base64').length, 16);
    assert.equal(asked.get('sec-websocket-version'), '13');
    assert.equal(asked.get('sec-websocket-protocol'), 'chat, other');
    assert.equal(asked.get('sec-websocket-extensions'), 'permessage-deflate; client_max_window_bits');
    assert.equal(asked.get('origin'), 'https://example.com');
    assert.equal(asked.get('cookie'), 'a=1; b=2');
    assert.match(asked.get('via') ?? '', /^2\.0 /);
    assert.equal(asked.get('x-forwarded-for'), '127.0.0.1');
    for (const name of ['content-length', 'transfer-encoding']) assert.equal(asked.get(name), undefined);
    assert.equal(tunnel.head?.['sec-websocket-protocol'], 'chat');
    assert.equal(tunnel.head['sec-websocket-extensions'], 'permessage-deflate');
    for (const name of ['sec-websocket-accept', 'connection', 'upgrade', 'content-length', 'transfer-encoding']) {
      assert.equal(tunnel.head[name], undefined, name);
    }
    tunnel.stream.write('hello');
    await tunnel.read('there');
    tunnel.stream.end();
    await tunnel.end();
    assert.equal(await tunnel.over(), NGHTTP2_NO_ERROR);
    const { method, target, protocol, status, code, bytesIn, bytesOut } = await finished.one();
    assert.deepEqual({ method, target, protocol, status, code, bytesIn, bytesOut }, {
      method: 'GET', target: '/chat?room=1', protocol: '2.0', status: 200, code: undefined, bytesIn: 5, bytesOut: 5,
    });
  });

  test('each handshake has its own key', async (t) => {
    const { upstream, session } = await start(t, [[accept(), close], [accept(), close]]);
    await open(session).end();
    await open(session).end();
    const keys = upstream.requests.map(({ head: asked }) => asked.get('sec-websocket-key'));
    assert.equal(new Set(keys).size, 2);
  });

  test('named protocols are tunnelled as well; any other is 501, and so is a plain CONNECT', async (t) => {
    const raw = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';
    const { upstream, session, under } = await start(t, [[request, raw, bytes(1), 'b', close]]);
    for (const fields of [
      { ':protocol': 'connect-udp' }, { ':protocol': 'websockets' }, { ':protocol': 'web socket' },
    ]) assert.equal(await open(session, fields).status(), 501, JSON.stringify(fields));
    const plain = new Tunnel(session.request({ ':method': 'CONNECT', ':authority': 'example.com:443' }));
    assert.equal(await plain.status(), 501);
    plain.stream.end();
    assert.equal(under.picks.length, 0);
    const tunnel = open(session, { ':protocol': 'raw' });
    assert.equal(await tunnel.status(), 200);
    const { head: asked } = upstream.requests[0] ?? {};
    assert.equal(asked?.get('upgrade'), 'raw');
    assert.equal(asked.get('sec-websocket-key'), undefined);
    tunnel.stream.write('a');
    await tunnel.read('b');
  });
});

describe('nobody gets a tunnel unnoticed', () => {
  test('without a listener for connect, CONNECT is 405', async (t) => {
    const { session, under } = await start(t, [], {}, H2C);
    const tunnel = new Tunnel(session.request({ ':method': 'CONNECT', ':authority': 'example.com:443' }));
    assert.equal(await tunnel.status(), 405);
    tunnel.stream.end();
    assert.equal(under.picks.length, 0);
  });

  test('handle refuses CONNECT, whoever calls it', async (t) => {
    const { serve } = await import('../support/fronts.ts');
    const { session, under } = await start(t, [], {}, {
      ...H2C,
      open: (balancer) => serve(http2.createServer({ settings: { enableConnectProtocol: true } })
        .on('request', balancer.handle).on('connect', balancer.handle)),
    });
    assert.equal(await open(session).status(), 501);
    assert.equal(under.picks.length, 0);
  });

  test('the listener decides, as for upgrade', async (t) => {
    const { session, under } = await start(t, [[accept(), close]], {}, connecting(({ headers }) => {
      return headers.authorization === 'Basic YTpi';
    }));
    assert.equal(await open(session).status(), 401);
    assert.equal(under.picks.length, 0);
    assert.equal(await open(session, { authorization: 'Basic YTpi' }).status(), 200);
  });

  test('edits of headers count, and upgradeTarget', async (t) => {
    const { session, upstream } = await start(t, [[accept(), close]], {
      upgradeTarget: ({ url = '' }) => url.replace('/chat', '/rooms'),
    }, connecting((asked) => {
      delete asked.headers.authorization;
      asked.headers['x-user'] = 'alice';
      return true;
    }));
    assert.equal(await open(session, { authorization: 'secret' }).status(), 200);
    const { head: asked } = upstream.requests[0] ?? {};
    assert.equal(asked?.line, 'GET /rooms?room=1 HTTP/1.1');
    assert.equal(asked.get('authorization'), undefined);
    assert.equal(asked.get('x-user'), 'alice');
  });

  test('an upgradeTarget that throws is 500', async (t) => {
    const { session, under } = await start(t, [], {
      upgradeTarget: () => {
        throw new Error('x');
      },
    });
    assert.equal(await open(session).status(), 500);
    assert.deepEqual(under.reports, ['HOOK_FAILED']);
  });
});

describe('an upstream that does not open the tunnel', () => {
  test('its refusal is passed on', async (t) => {
    const { session, under } = await start(t, [[request, response('no', 'X-Why: 1\r\n', '403 Forbidden')]]);
    const tunnel = open(session);
    assert.equal(await tunnel.status(), 403);
    assert.equal(tunnel.head?.['x-why'], '1');
    await tunnel.read('no');
    tunnel.stream.end();
    await under.settled(1);
    assert.equal(under.outcomes[0]?.ok, true);
  });

  test('a 2xx does not pass for an open tunnel, and is nobody\'s fault', async (t) => {
    const { session, under, finished } = await start(t, [[request, response('page')], [request, response('page')]]);
    for (const count of [1, 2]) {
      const tunnel = open(session);
      assert.equal(await tunnel.status(), 502);
      assert.match(String(tunnel.head?.['proxy-status']), /http_upgrade_failed/);
      const { status, code } = await finished.one(count);
      assert.deepEqual([status, code], [502, 'UPGRADE_DECLINED']);
    }
    assert.deepEqual(under.outcomes.map(({ error }) => error), ['UPGRADE_DECLINED', 'UPGRADE_DECLINED']);
    assert.equal(under.balancer.upstreams[0]?.state, 'active');
  });

  test('neither does the answer of a hook', async (t) => {
    const { session, finished } = await start(t, [], { onRequest: () => new Response('page') });
    const tunnel = open(session);
    assert.equal(await tunnel.status(), 502);
    assert.equal((await finished.one()).status, 502);
    tunnel.stream.end();
  });

  for (const [what, accepted] of [['a wrong', 'Sec-WebSocket-Accept: x\r\n'], ['no', '']] as const) {
    test(`${what} Sec-WebSocket-Accept is its failure`, async (t) => {
      const wrong = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
      const { upstream, session, under } = await start(t, [[request, `${wrong}${accepted}\r\n`]]);
      const tunnel = open(session);
      assert.equal(await tunnel.status(), 502);
      assert.deepEqual(under.reports, [`UPGRADE_INVALID at ${upstream.origin}`]);
      tunnel.stream.end();
    });
  }

  test('hooks see it as an upgrade, and may answer for its failure', async (t) => {
    const seen: string[] = [];
    const { session } = await start(t, [[request, response('page')]], {
      onRequest: ({ request: { method, protocol, headers } }) => {
        seen.push(`${method} ${protocol} ${headers.get('upgrade') ?? 'none'} ${headers.get('connection') ?? 'none'}`);
      },
      onError: (_, error) => {
        seen.push(error.code);
        return new Response('sorry', { status: 418 });
      },
    });
    const tunnel = open(session);
    assert.equal(await tunnel.status(), 418);
    await tunnel.read('sorry');
    tunnel.stream.end();
    assert.equal(seen[1], 'UPGRADE_DECLINED');
    assert.match(seen[0] ?? '', /^GET 2\.0 /);
  });
});

describe('a tunnel over HTTP/2 ends as its sides do', () => {
  test('the client first: the upstream may go on', async (t) => {
    const { upstream, session, under } = await start(t, [[accept(), untilEnd, 'later', halfClose]]);
    const tunnel = open(session);
    await tunnel.status();
    tunnel.stream.end('last');
    await upstream.saw('1 end');
    await tunnel.read('later');
    assert.equal(await tunnel.over(), NGHTTP2_NO_ERROR);
    await under.settled(1);
    assert.equal(under.outcomes[0]?.ok, true);
  });

  test('the upstream first: the client may go on, however slowly the upstream reads', async (t) => {
    const read = gate();
    const { session, under, finished } = await start(t, [[
      accept(), 'bye', halfClose, when(read.opened), (peer) => peer.inbox.exactly(LARGE.length), untilEnd,
    ]]);
    const tunnel = open(session);
    await tunnel.end();
    assert.equal(tunnel.bytes.toString(), 'bye');
    tunnel.stream.end(LARGE);
    await turns(20);
    read.open();
    assert.equal(await tunnel.over(), NGHTTP2_NO_ERROR);
    await under.settled(1);
    assert.equal(under.outcomes[0]?.ok, true);
    const { code, bytesIn, bytesOut } = await finished.one();
    assert.deepEqual([code, bytesIn, bytesOut], [undefined, LARGE.length, 3]);
  });

  test('a reset of the stream resets the connection to the upstream', async (t) => {
    const { upstream, session, under, finished } = await start(t, [[accept()]]);
    const tunnel = open(session);
    await tunnel.status();
    // Where it is closed with a code instead, Node's client sends END_STREAM first.
    tunnel.stream.destroy();
    assert.equal(await upstream.gone(1), 'reset');
    await under.settled(1);
    assert.equal((await finished.one()).code, 'DOWNSTREAM_GONE');
  });

  test('a reset by the upstream becomes RST_STREAM with CANCEL', async (t) => {
    const { session } = await start(t, [[accept(), 'some', bytes(1), reset]]);
    const tunnel = open(session);
    await tunnel.read('some');
    tunnel.stream.write('x');
    assert.equal(await tunnel.over(), NGHTTP2_CANCEL);
  });

  test('a session that breaks ends its tunnels', async (t) => {
    const { upstream, session, under } = await start(t, [[accept()], [accept()]]);
    await Promise.all([open(session).status(), open(session).status()]);
    session.destroy();
    assert.deepEqual([await upstream.gone(1), await upstream.gone(2)], ['reset', 'reset']);
    await under.settled(2);
  });

  test('one in which nothing moves is ended by tunnelIdleTimeoutMs', async (t) => {
    const { session, under } = await start(t, [[accept()]], { tunnelIdleTimeoutMs: 5_000 });
    const tunnel = open(session);
    await tunnel.status();
    await under.advance(4_000);
    assert.equal(tunnel.closed, false);
    await under.advance(2_000);
    assert.equal(await tunnel.over(), NGHTTP2_CANCEL);
  });

  test('a close of the balancer ends it at the deadline, with CANCEL', async (t) => {
    const { session, under } = await start(t, [[accept()]]);
    const tunnel = open(session);
    await tunnel.status();
    const closed = under.balancer.close({ timeoutMs: 1_000 });
    await under.advance(500);
    assert.equal(tunnel.closed, false);
    await under.advance(600);
    assert.deepEqual(await within(closed, () => 'the close'), { cut: 1 });
    assert.equal(await tunnel.over(), NGHTTP2_CANCEL);
  });
});

describe('a tunnel over HTTP/2 has back-pressure', () => {
  test('a client that stops reading stops the upstream, and nothing is lost', async (t) => {
    let sent = 0;
    const { session } = await start(t, [[accept(), async (peer) => {
      for (let at = 0; at < LARGE.length; at += 65_536) {
        await peer.push(LARGE.subarray(at, at + 65_536));
        sent = at + 65_536;
      }
    }, halfClose, untilEnd]]);
    const stream = session.request(CONNECT, { endStream: false });
    await within(new Promise((resolve) => stream.once('response', resolve)), () => 'a response');
    await atRest(() => sent);
    assert.ok(sent < LARGE.length, 'all of it was taken');
    const tunnel = new Tunnel(stream);
    await tunnel.until(LARGE.length);
    assert.ok(tunnel.bytes.equals(LARGE));
    stream.end();
    assert.equal(await tunnel.over(), NGHTTP2_NO_ERROR);
  });

  test('an upstream that stops reading stops the client, and nothing is lost', async (t) => {
    const read = gate();
    const { session } = await start(t, [[accept(), when(read.opened), async (peer) => {
      const got = await peer.inbox.exactly(LARGE.length);
      peer.send(got.equals(LARGE) ? 'whole' : 'damaged');
    }, untilEnd, halfClose]]);
    const tunnel = open(session);
    await tunnel.status();
    let taken = false;
    tunnel.stream.write(LARGE, () => {
      taken = true;
    });
    await turns(200);
    assert.equal(taken, false);
    read.open();
    await tunnel.read('whole');
    tunnel.stream.end();
    assert.equal(await tunnel.over(), NGHTTP2_NO_ERROR);
  });

  test('requests go on beside it', async (t) => {
    const { session, under } = await start(t, [[accept(), bytes(2), 'ok'], echo]);
    const { ask } = await import('../support/http2.ts');
    const tunnel = open(session);
    await tunnel.status();
    assert.equal((await ask(session, { ':path': '/next' })).body.toString(), '/next');
    tunnel.stream.write('hi');
    await tunnel.read('ok');
    tunnel.stream.close(NGHTTP2_CANCEL);
    await under.settled(2);
  });
});
