/**
 * Lookups from a name server over UDP: callers get what the resolver of Node.js makes of its answers, and of its
 * silence.
 */
import assert from 'node:assert/strict';
import dgram, { type RemoteInfo } from 'node:dgram';
import { Resolver } from 'node:dns';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { Names } from '../../src/upstreams/names.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { atEnd } from '../support/scope.ts';
import { Signal, within } from '../support/wait.ts';

/** The server's answer for a name: addresses, or one of its errors. */
type Answer = readonly string[] | 'SERVFAIL' | 'NXDOMAIN';

describe('a name server', () => {
  test('is asked once for all callers that wait', async (t) => {
    const { server, ask } = await start(t);
    const all = Array.from({ length: 100 }, () => ask('many.test'));
    await server.asked('many.test');
    server.say('many.test', ['10.0.0.1', '10.0.0.2']);
    for (const got of await Promise.all(all)) assert.equal(got, '10.0.0.1 10.0.0.2');
    assert.deepEqual(server.queries, ['many.test']);
  });

  test('is asked again for later callers: a name that moves is followed', async (t) => {
    const { server, ask } = await start(t);
    server.say('a.test', ['10.0.0.1']);
    assert.equal(await ask('a.test'), '10.0.0.1');
    server.say('a.test', ['10.0.0.2']);
    assert.equal(await ask('a.test'), '10.0.0.2');
    assert.deepEqual(server.queries, ['a.test', 'a.test']);
  });
});

describe('a name server that is silent on one name', () => {
  test('does not hold up another', async (t) => {
    const { server, ask } = await start(t);
    const silent = [ask('silent.test'), ask('silent.test')];
    await server.asked('silent.test');
    for (const name of ['a.test', 'b.test', 'c.test']) server.say(name, ['10.0.0.1']);
    assert.deepEqual(await Promise.all(['a.test', 'b.test', 'c.test'].map(ask)), ['10.0.0.1', '10.0.0.1', '10.0.0.1']);
    assert.deepEqual(server.queries, ['silent.test', 'a.test', 'b.test', 'c.test']);
    // It was awaited all the time.
    server.say('silent.test', ['10.0.0.9']);
    assert.deepEqual(await Promise.all(silent), ['10.0.0.9', '10.0.0.9']);
  });

  test('nor on two, for more than a second', async (t) => {
    const { server, started, ask, advance } = await start(t);
    const silent = ['silent.test', 'silent-too.test'].map(ask);
    await server.asked('silent.test');
    await server.asked('silent-too.test');
    server.say('a.test', ['10.0.0.1']);
    const other = ask('a.test');
    advance(999);
    assert.deepEqual(started, ['silent.test', 'silent-too.test']);
    advance(1);
    assert.equal(await other, '10.0.0.1');
    for (const name of ['silent.test', 'silent-too.test']) server.say(name, ['10.0.0.9']);
    assert.deepEqual(await Promise.all(silent), ['10.0.0.9', '10.0.0.9']);
  });

  test('has its last good answer stand in', async (t) => {
    const { server, ask, advance } = await start(t);
    server.say('a.test', ['10.0.0.1']);
    assert.equal(await ask('a.test'), '10.0.0.1');
    server.hush('a.test');
    const got = [ask('a.test'), ask('a.test')];
    await server.asked('a.test', 2);
    advance(1_000);
    assert.deepEqual(await Promise.all(got), ['10.0.0.1', '10.0.0.1']);
  });
});

describe('a name server that fails', () => {
  for (const [error, code, ms] of [
    ['SERVFAIL', 'ESERVFAIL', 600_000], ['NXDOMAIN', 'ENOTFOUND', 30_000],
  ] as const) {
    test(`with ${error}: its last good answer stands in for ${ms / 1_000} s`, async (t) => {
      const { server, ask, advance } = await start(t);
      server.say('a.test', ['10.0.0.1']);
      assert.equal(await ask('a.test'), '10.0.0.1');
      server.say('a.test', error);
      const all = [ask('a.test'), ask('a.test')];
      assert.deepEqual(await Promise.all(all), ['10.0.0.1', '10.0.0.1']);
      advance(ms);
      assert.equal(await ask('a.test'), '10.0.0.1');
      advance(1);
      assert.equal(await ask('a.test'), code);
      // Those that waited together share one query.
      assert.equal(server.queries.length, 4);
      server.say('a.test', ['10.0.0.3']);
      assert.equal(await ask('a.test'), '10.0.0.3');
    });
  }

  test('on a name that was never resolved: the error is reported', async (t) => {
    const { server, ask } = await start(t);
    server.say('a.test', 'SERVFAIL');
    assert.deepEqual(await Promise.all([ask('a.test'), ask('a.test')]), ['ESERVFAIL', 'ESERVFAIL']);
    assert.deepEqual(server.queries, ['a.test']);
  });
});

/** A name server, and lookups that use only this server. */
async function start(t: TestContext): Promise<{
  readonly server: NameServer;
  /** The names whose lookups have begun: their queries may still be on their way. */
  readonly started: readonly string[];
  /** Looks a name up: its addresses, or the code of the error. */
  readonly ask: (name: string) => Promise<string>;
  readonly advance: (ms: number) => void;
}> {
  const server = new NameServer();
  const port = await server.listen();
  // One try, which outlasts the test: any further query would be the resolver's own.
  const resolver = new Resolver({ timeout: 60_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  atEnd(t, async () => {
    resolver.cancel();
    await server.close();
  });
  const time = new VirtualTime();
  const started: string[] = [];
  const names = new Names((name, found) => {
    started.push(name);
    resolver.resolve4(name, (error, addresses) => {
      found(error, error === null ? addresses.map((address) => ({ address, family: 4 })) : []);
    });
  }, () => time.now());
  const ask = (name: string): Promise<string> => within(new Promise<string>((resolve) => {
    names.lookup(name, { all: true }, (error, found) => {
      if (error !== null) resolve(error.code ?? error.message);
      else resolve(typeof found === 'string' ? found : found.map(({ address }) => address).join(' '));
    });
  }), () => `an answer on ${name}; the server was asked for ${server.queries.join()}`);
  return {
    server,
    started,
    ask,
    advance: (ms) => {
      time.advance(ms);
      names.sweep(time.now());
    },
  };
}

/** Answers the names that it was given, and is silent on all others. */
class NameServer {
  /** The names that it was asked for, in order. */
  readonly queries: string[] = [];
  readonly #socket = dgram.createSocket('udp4');
  readonly #known = new Map<string, Answer>();
  readonly #signal = new Signal();
  #open: { readonly name: string; readonly query: Buffer; readonly from: RemoteInfo }[] = [];

  async listen(): Promise<number> {
    this.#socket.on('message', (query, from) => {
      const name = nameIn(query);
      this.queries.push(name);
      this.#open.push({ name, query, from });
      this.#answer();
      this.#signal.raise();
    });
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    return this.#socket.address().port;
  }

  /** Answers this from now on, also to waiting queries. */
  say(name: string, answer: Answer): void {
    this.#known.set(name, answer);
    this.#answer();
  }

  /** Answers nothing from now on. */
  hush(name: string): void {
    this.#known.delete(name);
  }

  /** Resolves when it has been asked for a name this many times. */
  asked(name: string, times = 1): Promise<void> {
    return this.#signal.until(
      () => this.queries.filter((each) => each === name).length >= times,
      () => `${times} queries of ${name}, having ${this.queries.join()}`,
    );
  }

  async close(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }

  #answer(): void {
    const waiting = this.#open;
    this.#open = [];
    for (const each of waiting) {
      const answer = this.#known.get(each.name);
      if (answer === undefined) this.#open.push(each);
      else this.#socket.send(message(each.query, answer), each.from.port, each.from.address);
    }
  }
}

/** The name in the question of a query (RFC 1035 §4.1.2). */
function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = HEADER_BYTES; query[at] !== 0; at += 1 + query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query.readUInt8(at)));
  }
  return labels.join('.');
}

/** The answer to a query (RFC 1035 §4.1). Its addresses must not be cached: a cache would hide a query. */
function message(query: Buffer, answer: Answer): Buffer {
  const question = query.subarray(HEADER_BYTES, query.indexOf(0, HEADER_BYTES) + 5);
  const addresses = typeof answer === 'string' ? [] : answer;
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(RESPONSE_FLAGS | (typeof answer === 'string' ? RCODES[answer] : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  // The name by a pointer to the question, type A, class IN, a TTL of 0, and four octets.
  const records = addresses.map((address) => (
    Buffer.from([0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)])));
  return Buffer.concat([header, question, ...records]);
}

const HEADER_BYTES = 12;
/** A response, recursion desired and available. */
const RESPONSE_FLAGS = 0x8180;
const RCODES = { SERVFAIL: 2, NXDOMAIN: 3 } as const;
