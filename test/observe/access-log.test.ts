import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { BalancerError } from '../../src/errors.ts';
import { accessLog, type AccessLogOptions } from '../../src/observe/index.ts';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { type Client, get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, response, serve, startUpstream } from '../support/upstream.ts';
import { Signal, turns } from '../support/wait.ts';
import { WAYS } from '../support/ways.ts';

type Line = Readonly<Record<string, unknown>>;

/** What was written, call by call. */
class Written {
  readonly calls: string[] = [];
  readonly #signal = new Signal();

  readonly write = (lines: string): void => {
    this.calls.push(lines);
    this.#signal.raise();
  };

  get lines(): string[] {
    const text = this.calls.join('');
    assert.ok(text === '' || text.endsWith('\n'), 'whole lines');
    return text.split('\n').slice(0, -1);
  }

  async json(count: number): Promise<Line[]> {
    await this.came(count);
    return this.lines.map((line) => JSON.parse(line) as Line);
  }

  came(count: number): Promise<void> {
    return this.#signal.until(() => this.lines.length >= count, () => `${count} lines, got ${this.lines.length}`);
  }
}

async function started(t: TestContext, options: Partial<AccessLogOptions>, more: Partial<TestOptions> = {}): Promise<{
  readonly under: BalancerUnderTest; readonly client: Client; readonly written: Written;
}> {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], ...more });
  const written = new Written();
  accessLog(under.balancer, { write: written.write, ...options });
  return { under, client: await under.connect(), written };
}

const NAMES = [
  'time', 'id', 'method', 'target', 'host', 'protocol', 'scheme', 'remoteAddress', 'status', 'code', 'pool', 'upstream',
  'attempts', 'bytesIn', 'bytesOut', 'startedAt', 'queuedMs', 'firstByteMs', 'durationMs', 'state',
];

for (const way of WAYS) {
  describe(`a JSON line, through ${way.name}`, () => {
    test('has the names of finished, in a stable order, and the time', async (t) => {
      const upstream = await startUpstream(t, echo);
      const { under, ask } = await way.start(t, { upstreams: [upstream] });
      const written = new Written();
      accessLog(under.balancer, { format: 'json', write: written.write });
      const startedAt = under.time.epoch();
      await ask({ target: '/a"b\\c?d' });
      const [line] = await written.json(1);
      assert.deepEqual(Object.keys(line ?? {}), NAMES);
      const { id, ...rest } = line ?? {};
      assert.match(String(id), /^[\da-f-]{36}$/);
      assert.deepEqual(rest, {
        time: new Date(startedAt).toISOString(), method: 'GET', target: '/a"b\\c?d', host: 'example.test',
        protocol: way.name === 'HTTP/2' ? '2.0' : '1.1', scheme: 'http', remoteAddress: '127.0.0.1', status: 200,
        code: null, pool: 'default', upstream: upstream.origin, attempts: 1, bytesIn: 0, bytesOut: 8, startedAt,
        queuedMs: 0, firstByteMs: 0, durationMs: 0, state: null,
      });
    });
  });
}

for (const front of FRONTS) {
  describe(`the access log, through ${front.name}`, () => {
    test('a malformed request has a line with its status and code, in each format', async (t) => {
      for (const format of ['json', 'common', 'combined'] as const) {
        const { under, client, written } = await started(t, { format }, { front });
        const startedAt = under.time.epoch();
        assert.equal((await client.exchange(get('/', 'X-A: b\r\n'.repeat(101)))).status, 431);
        await written.came(1);
        const [line = ''] = written.lines;
        if (format === 'json') {
          const got = JSON.parse(line) as Line;
          assert.deepEqual(Object.keys(got), NAMES);
          assert.deepEqual(
            [got['status'], got['code'], got['remoteAddress'], got['startedAt'], got['method']],
            [431, 'REQUEST_HEAD_TOO_LARGE', '127.0.0.1', startedAt, null]);
        } else assert.match(line, /^127\.0\.0\.1 - - \[[^\]]+\] "-" 431 0( "-" "-")?$/);
      }
    });

    test('no odd octets of a request forge a line or break one', async (t) => {
      const agent = Buffer.from('evil"\\ \t\x80\x9b\xff end', 'latin1').toString('latin1');
      for (const format of ['json', 'common', 'combined', (): string => 'a\nb\u2028c\x1b[2J\n'] as const) {
        const options = format === 'json' ? { format, headers: ['user-agent', 'x-odd'] } : { format };
        const { client, written } = await started(t, options, { front });
        const odd = `/a"b\\c%0A%0D{"status":200}'`;
        await client.exchange(get(odd, `User-Agent: ${agent}\r\nReferer: "x" \\\\\r\nX-Odd: {"a":"b"}\r\n`));
        await written.came(1);
        await turns(3);
        const [line = '', ...more] = written.lines;
        assert.deepEqual(more, []);
        assert.match(line, /^[\x20-\x7e]*$/);
        if (format === 'json') {
          const { target, headers } = JSON.parse(line) as { target: string; headers: Line };
          assert.deepEqual([target, headers], [odd, { 'user-agent': agent, 'x-odd': '{"a":"b"}' }]);
        } else if (format === 'combined') {
          assert.match(line, / "GET \/a\\x22b\\x5Cc%0A%0D\{\\x22status\\x22:200\}' HTTP\/1\.1" 200 \d+ /);
          assert.ok(line.endsWith(' "\\x22x\\x22 \\x5C\\x5C" "evil\\x22\\x5C \\x09\\x80\\x9B\\xFF end"'), line);
          assert.equal(line.match(/(?<!\\)"/g)?.length, 6);
        } else if (typeof format === 'function') assert.equal(line, 'a\\x0Ab\\xE2\\x80\\xA8c\\x1B[2J');
      }
    });
  });
}

describe('formats', () => {
  test('common and combined', async (t) => {
    const upstream = await startUpstream(t, serve(() => response('hello')));
    for (const [format, end] of [['common', ''], ['combined', ' "http://a/b" "curl/8"']] as const) {
      const { under, client, written } = await started(t, { format }, { upstreams: [upstream] });
      const [, day = '', month = '', year = '', time = ''] =
        /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(new Date(under.time.epoch()).toUTCString()) ?? [];
      await client.exchange(post('/a', 'abc', 'Referer: http://a/b\r\nUser-Agent: curl/8\r\n'));
      await written.came(1);
      assert.deepEqual(
        written.lines, [`127.0.0.1 - - [${day}/${month}/${year}:${time} +0000] "POST /a HTTP/1.1" 200 5${end}`]);
    }
  });

  test('of HTTP/1.0 without a host', async (t) => {
    const { client, written } = await started(t, {});
    await client.exchange('GET / HTTP/1.0\r\n\r\n');
    const [line] = await written.json(1);
    assert.deepEqual([line?.['protocol'], line?.['host']], ['1.0', null]);
  });

  test('of one\'s own', async (t) => {
    const { client, written } = await started(t, {
      format: ({ method, target, requestHeaders }) => `${method} ${target} ${requestHeaders.get('x-a') ?? ''}`,
    });
    await client.exchange(get('/x', 'X-A: 1\r\nX-A: 2\r\n'));
    await written.came(1);
    assert.deepEqual(written.lines, ['GET /x 1, 2']);
  });

  test('of one\'s own, in any language', async (t) => {
    const text = 'é 漢 \u{1f600}';
    const { client, written } = await started(t, { format: () => text });
    await client.exchange(get());
    await client.exchange(get());
    await written.came(2);
    assert.deepEqual(written.lines, [text, text]);
  });

  test('state is logged if it is plain and short', async (t) => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    const states: [state: unknown, logged: unknown][] = [
      [undefined, null], ['é\n', 'é\n'], [7, 7], [{ user: 'a' }, { user: 'a' }], [circular, null], [new Map(), null],
      ['x'.repeat(5_000), null], [() => 1, null], [10n, null],
    ];
    let at = 0;
    const { client, written } = await started(t, {}, {
      onRequest: (exchange) => {
        exchange.state = states[at++]?.[0];
      },
    });
    for (const each of states) await client.exchange(get(`/${typeof each[0]}`));
    const lines = await written.json(states.length);
    assert.deepEqual(lines.map(({ state }) => state), states.map(([, logged]) => logged));
    assert.match(written.calls.join(''), /^[\x0a\x20-\x7e]*$/);
  });
});

describe('headers', () => {
  const SENT = 'Authorization: a\r\nPROXY-Authorization: b\r\nCookie: c\r\nSet-Cookie: d\r\nX-API-Key: e\r\n' +
    'X-Two: 1\r\nx-two: 2\r\n__proto__: p\r\n';

  test('are not logged by default', async (t) => {
    const { client, written } = await started(t, {});
    await client.exchange(get('/', SENT));
    assert.equal('headers' in ((await written.json(1))[0] ?? {}), false);
  });

  test('all: credentials are redacted', async (t) => {
    const { client, written } = await started(t, { headers: true });
    await client.exchange(get('/', SENT));
    await written.came(1);
    const { headers } = JSON.parse(written.lines[0] ?? '') as { headers: Line };
    const redacted = '[redacted]';
    assert.deepEqual(Object.entries(headers), [
      ['host', 'example.test'], ['authorization', redacted], ['proxy-authorization', redacted], ['cookie', redacted],
      ['set-cookie', redacted], ['x-api-key', redacted], ['x-two', '1, 2'], ['__proto__', 'p'],
    ]);
  });

  test('named: as they are', async (t) => {
    const { client, written } = await started(t, { headers: ['Cookie', 'x-two', 'x-none'] });
    await client.exchange(get('/', SENT));
    const [line] = await written.json(1);
    assert.deepEqual(line?.['headers'], { cookie: 'c', 'x-two': '1, 2' });
  });
});

describe('writing', () => {
  test('lines of one turn come in one call', async (t) => {
    const { client, written } = await started(t, {});
    client.send(get('/1') + get('/2') + get('/3'));
    for (let i = 0; i < 3; i++) await client.response();
    await written.came(3);
    assert.deepEqual(written.lines.map((line) => (JSON.parse(line) as Line)['target']), ['/1', '/2', '/3']);
  });

  test('after a call, lines gather for 20 ms, or until they are many', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { client, written } = await started(t, { format: ({ target }) => target.padEnd(50_000) });
    const calls = (): string[][] => written.calls.map((call) => call.match(/\d+/g) ?? []);
    const ask = async (...targets: number[]): Promise<void> => {
      for (const target of targets) await client.exchange(get(`/${target}`));
      await turns(3);
    };
    await ask(1);
    assert.deepEqual(calls(), [['1']]);
    await ask(2, 3);
    t.mock.timers.tick(19);
    await turns(3);
    assert.deepEqual(calls(), [['1']]);
    t.mock.timers.tick(1);
    await turns(3);
    assert.deepEqual(calls(), [['1'], ['2', '3']]);
    await ask(4, 5, 6, 7, 8, 9);
    assert.deepEqual(calls(), [['1'], ['2', '3'], ['4', '5', '6', '7', '8', '9']]);
    await ask(10);
    t.mock.timers.tick(20);
    await turns(3);
    t.mock.timers.tick(20);
    await ask(11);
    assert.deepEqual(calls().slice(3), [['10'], ['11']], 'after a pause, without delay');
  });

  test('close hands over at once what has gathered', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { under, client } = await started(t, {});
    const written = new Written();
    const log = accessLog(under.balancer, { format: ({ target }) => target, write: written.write });
    await client.exchange(get('/1'));
    await turns(3);
    await client.exchange(get('/2'));
    assert.deepEqual(written.lines, ['/1']);
    await log.close();
    assert.deepEqual(written.lines, ['/1', '/2']);
  });

  test('flush hands over at once what is kept, also while a call is pending, and each line once', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { under, client } = await started(t, {});
    const calls: string[] = [];
    let answer: () => unknown = () => new Promise(() => undefined);
    const log = accessLog(under.balancer, {
      format: ({ target }) => target,
      write: (lines) => {
        calls.push(lines);
        return answer();
      },
    });
    log.flush();
    assert.deepEqual(calls, []);
    await client.exchange(get('/1'));
    await turns(3);
    await client.exchange(get('/2'));
    log.flush();
    assert.deepEqual(calls, ['/1\n', '/2\n']);
    for (const fault of [
      (): never => {
        throw new Error('broken');
      },
      () => Promise.reject(new Error('broken')),
    ]) {
      answer = fault;
      await client.exchange(get('/3'));
      log.flush();
      await turns(3);
    }
    answer = () => undefined;
    log.flush();
    assert.deepEqual(calls.slice(2), ['/3\n', '/3\naccess log: 1 line lost\n', 'access log: 2 lines lost\n']);
    assert.deepEqual(under.reports, []);
  });

  test('a sample is asked; sampling loses no other line', async (t) => {
    const { client, written } = await started(t, { sample: ({ target }) => target.startsWith('/yes') });
    for (const target of ['/yes1', '/no', '/yes2']) await client.exchange(get(target));
    const lines = await written.json(2);
    assert.deepEqual(lines.map(({ target }) => target), ['/yes1', '/yes2']);
  });

  test('a pending promise keeps lines back; beyond the bound they are lost and counted', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const calls: { readonly lines: string; readonly done: () => void }[] = [];
    const { client } = await started(t, {
      format: () => 'x'.repeat(300_000),
      write: (lines) => new Promise<void>((resolve) => {
        calls.push({ lines, done: resolve });
      }),
    });
    for (let i = 0; i < 7; i++) await client.exchange(get());
    await turns(3);
    assert.equal(calls.length, 1);
    calls.at(0)?.done();
    await turns(3);
    const second = calls.at(1);
    // Three fit into a mebioctet, three do not.
    assert.deepEqual(
      second?.lines.split('\n').map((line) => line.length > 99 ? line.length : line),
      [300_000, 300_000, 300_000, 'access log: 3 lines lost', '']);
    second.done();
    await client.exchange(get());
    // The length of this line alone has it handed over without delay.
    await turns(3);
    assert.equal(calls.at(2)?.lines.length, 300_001);
    calls.at(2)?.done();
  });

  test('false keeps lines back until the writer flows again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let flows = false;
    const calls: string[] = [];
    const { client } = await started(t, {
      format: ({ target }) => target,
      write: (lines) => {
        calls.push(lines);
        return flows;
      },
    });
    await client.exchange(get('/1'));
    await turns(2);
    await client.exchange(get('/2'));
    await turns(2);
    t.mock.timers.tick(10);
    await turns(2);
    assert.deepEqual(calls, ['/1\n', '']);
    flows = true;
    t.mock.timers.tick(10);
    await turns(2);
    assert.deepEqual(calls, ['/1\n', '']);
    t.mock.timers.tick(10);
    await turns(2);
    assert.deepEqual(calls, ['/1\n', '', '', '/2\n']);
  });

  test('close hands over what is kept, and stops', async (t) => {
    const { under, client } = await started(t, {});
    const written = new Written();
    const log = accessLog(under.balancer, {
      format: ({ target }) => target,
      write: (lines) => {
        written.write(lines);
        return false;
      },
    });
    await client.exchange(get('/1'));
    await turns(3);
    await client.exchange(get('/2'));
    await log.close();
    assert.deepEqual(written.lines, ['/1', '/2']);
    await client.exchange(get('/3'));
    await log.close();
    assert.deepEqual(written.lines, ['/1', '/2']);
  });

  test('a write that fails is reported once until it works again, and its lines are counted', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const fails of [
      (): never => {
        throw new Error('full');
      },
      (): Promise<never> => Promise.reject(new Error('full')),
    ]) {
      let full = true;
      const written = new Written();
      const { under, client } = await started(t, {
        write: (lines) => {
          if (full) return fails();
          written.write(lines);
          return true;
        },
      });
      for (let i = 0; i < 3; i++) {
        assert.equal((await client.exchange(get())).status, 200);
        await turns(3);
        t.mock.timers.tick(20);
        await turns(3);
      }
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.equal(((under.errors[0]?.cause as Error).cause as Error).message, 'full');
      full = false;
      await client.exchange(get('/last'));
      const [line, lost] = await written.json(2);
      assert.deepEqual([line?.['target'], lost], ['/last', { message: 'access log: 3 lines lost' }]);
      assert.equal(under.reports.length, 1);
    }
  });

  test('what format and sample do wrong is reported, and never fatal', async (t) => {
    const wrong: [name: string, options: Partial<AccessLogOptions>, message: RegExp, lines: number][] = [
      ['format throws', { format: () => {
        throw new Error('mine');
      } }, /access log: format threw/, 0],
      ['format is asynchronous', {
        format: (() => Promise.reject(new Error('mine'))) as never,
      }, /returned a promise/, 0],
      ['format returns a number', { format: (() => 7) as never }, /must return a string/, 0],
      ['sample throws', { sample: () => {
        throw new Error('mine');
      } }, /access log: sample threw/, 1],
    ];
    for (const [name, options, message, lines] of wrong) {
      const { under, client, written } = await started(t, options);
      assert.equal((await client.exchange(get())).status, 200, name);
      await turns(3);
      assert.deepEqual(under.reports, ['HOOK_FAILED'], name);
      assert.match((under.errors[0]?.cause as Error).message, message, name);
      assert.equal(written.lines.length, lines, name);
    }
  });
});

test('an exchange that cannot be logged leaves no part of a line behind', async () => {
  const listeners: ((exchange: never) => unknown)[] = [];
  const balancer = { on: (_: string, listener: never) => listeners.push(listener), off: () => undefined };
  const written = new Written();
  const log = accessLog(balancer, { write: written.write });
  const told = (remoteAddress: unknown): unknown => listeners[0]?.({
    id: 'a', method: 'GET', target: '/', host: 'x', protocol: '1.1', scheme: 'http', remoteAddress, status: 200,
    attempts: 1, bytesIn: 0, bytesOut: 5, startedAt: 1e12, queuedMs: 0, durationMs: 5,
  } as never);
  assert.throws(() => told(undefined), TypeError);
  void told('::1');
  await log.close();
  assert.deepEqual((await written.json(1)).map((line) => [Object.keys(line), line['remoteAddress']]), [[NAMES, '::1']]);
});

test('wrong options are refused, all at once', () => {
  const balancer = { on: () => undefined, off: () => undefined };
  const table: [options: unknown, message: RegExp][] = [
    [undefined, /the options must be an object \(got undefined\)/],
    [{}, /^write: must be a function that takes lines \(got undefined\)$/],
    [{ write: 7, format: 'jsno' }, /^format: must be json, common, .*\(got "jsno"\)\nwrite: must be/],
    [{ write: () => 1, headers: 'a' }, /^headers: must be true or a list of names/],
    [{ write: () => 1, headers: ['a b'] }, /^headers: must be true or a list of names/],
    [{ write: () => 1, headers: true, format: 'common' }, /^headers: needs the format 'json'/],
    [{ write: () => 1, sampel: () => true }, /^sampel: unknown option; did you mean sample/],
  ];
  for (const [options, message] of table) {
    assert.throws(() => accessLog(balancer, options as AccessLogOptions), (error: BalancerError) => {
      assert.equal(error.code, 'OPTIONS_INVALID');
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => accessLog({} as never, { write: () => 1 }), /must be a balancer/);
});
