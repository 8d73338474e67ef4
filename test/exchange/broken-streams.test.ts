/**
 * The embedder's streams throw: the exchange ends, nothing stays in flight, and the process survives.
 */
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { chunked } from '../support/message.ts';
import { echo, response, serve, startUpstream } from '../support/upstream.ts';
import { Signal, turns } from '../support/wait.ts';

/** A downstream that reads what the test pushes, and whose writes throw. */
class ThrowingStream extends Duplex {
  thrown = 0;

  override _read(): void {
    // The test pushes.
  }

  override write(): boolean {
    this.thrown++;
    throw new Error('write threw');
  }
}

const CHUNKS = chunked('a'.repeat(20_000)).toString('latin1');

describe('a downstream whose write throws', () => {
  for (const [name, answer] of [
    ['a short response', response('short')],
    ['a long one', response('x'.repeat(100_000))],
    ['one in chunks', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`],
  ] as const) {
    test(`is gone: ${name} settles`, async (t) => {
      const upstream = await startUpstream(t, serve(() => answer));
      const under = await startBalancer(t, { upstreams: [upstream] });
      for (let i = 1; i <= 5; i++) {
        const stream = new ThrowingStream();
        stream.on('error', () => undefined);
        under.balancer.accept(Object.assign(stream, { setNoDelay: () => stream }) as unknown as Socket);
        const closed = new Promise((resolve) => stream.once('close', resolve));
        stream.push(get(`/${i}`));
        await under.settled(i);
        await closed;
        assert.ok(stream.thrown > 0);
        assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
        assert.equal(under.balancer.upstreams[0].failures, 0, 'it is not the upstream that failed');
      }
    });
  }

  test('is gone as well when it is refused, and the others are served', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream] });
    const stream = new ThrowingStream();
    stream.on('error', () => undefined);
    under.balancer.accept(Object.assign(stream, { setNoDelay: () => stream }) as unknown as Socket);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.push('hello\r\n\r\n');
    await closed;
    assert.equal((await (await under.connect()).exchange(get('/other'))).text, '/other');
  });
});

describe('an upstream whose stream throws', () => {
  test('in write gets an error response, and nothing stays in flight', async (t) => {
    const upstream = await startUpstream(t, echo);
    let throws = true;
    const under = await startBalancer(t, {
      upstreams: [upstream],
      ejectAfter: 0,
      connect: () => {
        if (!throws) return undefined;
        const socket = net.connect(upstream.port, '127.0.0.1');
        socket.write = () => {
          throw new Error('write threw');
        };
        return socket;
      },
    });
    const client = await under.connect();
    for (let i = 1; i <= 40; i++) {
      // Some writes go at once, some at the end of the turn.
      const { status } = await client.exchange(get());
      assert.ok(status === 500 || status === 502, `${status}`);
      assert.equal(under.balancer.upstreams[0]?.inFlight, 0);
    }
    throws = false;
    assert.equal((await client.exchange(get('/well'))).text, '/well');
  });
});

type Method = 'cork' | 'destroy' | 'end' | 'pause' | 'resume' | 'uncork' | 'write';

/**
 * An open stream in memory, one method of which may throw. Node's own calls of `destroy` are off: nothing could catch
 * what they throw.
 */
class Line extends Duplex {
  /** What was written. */
  text = '';
  thrown = 0;
  /** Called when something was written. */
  onText: (() => void) | undefined;
  /** Whether writes wait, as for a reader that does not read. */
  withholds = false;
  #release: (() => void) | undefined;

  constructor() {
    super({ autoDestroy: false, allowHalfOpen: true });
    this.on('error', () => undefined);
  }

  setNoDelay(): this {
    return this;
  }

  /** Makes `method` throw from now on. */
  breaks(method: Method): void {
    this[method] = (): never => {
      this.thrown++;
      throw new Error(`${method} threw`);
    };
  }

  /** Releases the waiting writes. */
  release(): void {
    this.withholds = false;
    this.#release?.();
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.text += bytes.toString('latin1');
    this.onText?.();
    if (this.withholds) this.#release = done;
    else done();
  }
}

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n';
const LONG = response('x'.repeat(100_000));
const ANSWERS: Readonly<Record<string, readonly (string | null)[]>> = {
  '/short': [response('short')],
  '/long': [LONG],
  '/half': [LONG.slice(0, 50_000)],
  '/cut': [LONG.slice(0, 50_000), null],
  '/until-close': ['HTTP/1.1 200 OK\r\n\r\nall of it', null],
  '/tunnel': [SWITCHED],
  '/tunnel-ended': [SWITCHED, null],
};

/** Lets the other end of an upstream's line answer by the target, once a request is complete. */
function answers(line: Line): Line {
  const answer = (target: string): void => {
    for (const part of ANSWERS[target] ?? []) line.push(part === null ? null : Buffer.from(part, 'latin1'));
  };
  line.onText = () => {
    const head = /^\S+ (\S+) [^]*?\r\n\r\n/.exec(line.text);
    if (head === null) return;
    const length = Number(/^content-length: (\d+)/im.exec(head[0])?.[1] ?? 0);
    if (line.text.length < head[0].length + length) return;
    line.text = line.text.slice(head[0].length + length);
    setImmediate(answer, head[1] ?? '');
  };
  return line;
}

/** What makes a method be called: what the downstream sends, and what it does then. */
interface Scenario {
  readonly method: Method;
  readonly name: string;
  readonly sends: string;
  /** Whether the downstream does not read at first. */
  readonly slow?: true;
  /** What the downstream does once it has the head of the response. */
  readonly then?: (line: Line) => void;
}

const TUNNEL = get('/tunnel', 'Connection: upgrade\r\nUpgrade: raw\r\n');
const UPLOAD = `${get('/short', 'Content-Length: 20000\r\n', 'POST')}${'y'.repeat(20_000)}`;
const reads = (line: Line): void => {
  line.release();
};
const halfCloses = (line: Line): void => {
  line.push(null);
};

const DOWNSTREAM: readonly Scenario[] = [
  { method: 'write', name: 'a short response', sends: get('/short') },
  { method: 'write', name: 'a long response', sends: get('/long') },
  { method: 'write', name: 'a refusal', sends: 'hello\r\n\r\n' },
  { method: 'cork', name: 'a long response', sends: get('/long') },
  { method: 'uncork', name: 'a long response', sends: get('/long') },
  { method: 'end', name: 'the last response', sends: get('/short', 'Connection: close\r\n') },
  { method: 'end', name: 'a refusal', sends: 'hello\r\n\r\n' },
  { method: 'end', name: 'the end of a tunnel', sends: TUNNEL.replace('/tunnel', '/tunnel-ended') },
  { method: 'pause', name: 'more than may be held', sends: get('/short').repeat(40) },
  { method: 'resume', name: 'the end of what was held', sends: get('/short').repeat(40) },
  { method: 'destroy', name: 'a response that is cut', sends: get('/cut') },
  { method: 'destroy', name: 'the end of the downstream', sends: get('/half'), then: halfCloses },
];

const UPSTREAM: readonly Scenario[] = [
  { method: 'write', name: 'a request', sends: get('/short') },
  { method: 'write', name: 'an upload', sends: UPLOAD },
  { method: 'cork', name: 'an upload', sends: UPLOAD },
  { method: 'uncork', name: 'an upload', sends: UPLOAD },
  { method: 'end', name: 'the end of a tunnel', sends: TUNNEL, then: halfCloses },
  { method: 'pause', name: 'a slow reader', sends: get('/half'), slow: true },
  { method: 'resume', name: 'a slow reader', sends: get('/half'), slow: true, then: reads },
  { method: 'resume', name: 'a slow reader of all', sends: get('/long'), slow: true, then: reads },
  { method: 'destroy', name: 'a response that is cut', sends: get('/cut') },
  { method: 'destroy', name: 'the end of the downstream', sends: get('/half'), then: halfCloses },
];

/** A balancer whose connections, on both sides, are lines. */
class Lines {
  readonly under: BalancerUnderTest;
  readonly upstreams: readonly Line[];
  readonly #signal = new Signal();

  private constructor(under: BalancerUnderTest, upstreams: readonly Line[]) {
    this.under = under;
    this.upstreams = upstreams;
    under.onReport = () => {
      this.#signal.raise();
    };
  }

  /** `onDial` is given each new upstream connection, and how many there were before. */
  static async start(t: TestContext, onDial: (line: Line, before: number) => void): Promise<Lines> {
    const upstreams: Line[] = [];
    return new Lines(await startBalancer(t, {
      upstreams: ['http://lines.test'],
      ejectAfter: 0,
      maxHeldBytes: 1024,
      connect: () => {
        const line = answers(new Line());
        onDial(line, upstreams.push(line) - 1);
        return line;
      },
    }), upstreams);
  }

  accept(prepare: (line: Line) => void): Line {
    const line = new Line();
    line.onText = () => {
      this.#signal.raise();
    };
    prepare(line);
    this.under.balancer.accept(line as unknown as Socket);
    return line;
  }

  until(seen: () => boolean, what: string): Promise<void> {
    return this.#signal.until(seen, () => `${what}; reports: [${this.under.reports.join(', ')}]`);
  }
}

test('a write that threw is not followed by a clean end', async (t) => {
  const lines = await Lines.start(t, () => undefined);
  let ended = false;
  const victim = lines.accept((line) => {
    const write = line.write.bind(line);
    line.write = (): never => {
      line.write = write;
      throw new Error('write threw once');
    };
    line.end = (): Line => {
      ended = true;
      return line;
    };
  });
  // To HTTP/1.0 the end of the connection is the end of the body.
  victim.push('GET /until-close HTTP/1.0\r\nHost: example.test\r\n\r\n');
  await lines.until(() => lines.under.reports.includes('INTERNAL_ERROR'), 'the report');
  await turns(3);
  assert.equal(ended, false);
  assert.equal(victim.destroyed, true);
  assert.equal(lines.under.balancer.upstreams[0]?.inFlight, 0);
});

/** How many short responses have come over a line. */
function shorts(line: Line): number {
  return line.text.split('\r\n\r\nshort').length - 1;
}

for (const [side, scenarios] of [['downstream', DOWNSTREAM], ['upstream', UPSTREAM]] as const) {
  for (const used of [false, true]) {
    // In the middle of the senders of one turn, or the only one.
    for (const others of [0, 8]) {
      // The test does not control which of many idle upstream connections a request gets.
      if (side === 'upstream' && used && others > 0) continue;
      const among = others === 0 ? 'alone' : `one of ${others + 1} in a turn`;
      describe(`a ${used ? 'used' : 'new'} ${side} connection, ${among}, whose stream throws`, () => {
        for (const { method, name, sends, slow, then } of scenarios) {
          test(`in ${method}, at ${name}, fails, and nothing else does`, async (t) => {
            const middle = others / 2;
            const breaking = (of: typeof side) => (line: Line, place: number): void => {
              if (!used && side === of && place === middle) line.breaks(method);
            };
            const lines = await Lines.start(t, breaking('upstream'));
            const { balancer, reports } = lines.under;
            const all = Array.from({ length: others + 1 }, (_, i) => lines.accept((line) => {
              breaking('downstream')(line, i);
            }));
            const victim = all[middle];
            assert.ok(victim !== undefined);
            if (used) {
              for (const line of all) line.push(get('/short'));
              await lines.until(() => all.every((line) => shorts(line) === 1), 'the first responses');
            }
            const broken = (): Line | undefined => side === 'downstream' ? victim : lines.upstreams[middle];
            if (used) broken()?.breaks(method);
            victim.withholds = slow === true;
            const before = victim.text.length;
            for (const line of all) line.push(line === victim ? sends : get('/short'));
            if (then !== undefined && (broken()?.thrown ?? 0) === 0) {
              await lines.until(() => victim.text.length > before || reports.length > 0, 'the head of a response');
              then(victim);
            }
            const unusable = side === 'upstream' && method === 'resume' && !used;
            const report = unusable ? 'CONNECT_UNUSABLE' : 'INTERNAL_ERROR';
            await lines.until(() => reports.some((each) => each.startsWith(report)), 'the report');
            const rest = all.filter((line) => line !== victim);
            await lines.until(() => rest.every((line) => shorts(line) === (used ? 2 : 1)), 'the others');
            await turns(3);
            assert.ok((broken()?.thrown ?? 0) > 0, 'it threw');
            assert.equal(balancer.upstreams[0]?.inFlight, 0);
            if (method !== 'destroy') assert.ok(broken()?.destroyed === true, 'it is closed');
            for (const line of rest) assert.equal(line.destroyed, false);
          });
        }
      });
    }
  }
}
