import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonFormat } from '../../src/observe/formats.ts';
import { LineBuffer } from '../../src/observe/line-buffer.ts';
import type { LoggedExchange } from '../../src/observe/logged-exchange.ts';
import { readTrace } from '../../src/lab/trace.ts';

const format = jsonFormat(undefined);
const START = Date.UTC(2026, 10, 26, 15, 43, 52);

/** A line as the balancer writes it. */
function line(more: object): string {
  const exchange = {
    id: 'a', method: 'GET', target: '/', host: 'x', protocol: '1.1', scheme: 'http', remoteAddress: '10.0.0.1',
    status: 200, code: undefined, pool: 'default', upstream: { origin: 'http://10.0.0.2:1' }, attempts: 1, bytesIn: 0,
    bytesOut: 5, startedAt: START, queuedMs: 0, firstByteMs: 4, durationMs: 5, state: undefined, ...more,
  };
  const lines = new LineBuffer();
  format(exchange as unknown as LoggedExchange, lines);
  lines.end();
  return lines.take().toString();
}

test('our JSON lines give arrivals in order, and durations without the wait in the queue', async () => {
  const text = line({ startedAt: START + 10, durationMs: 30, queuedMs: 10 }) + line({ durationMs: 50 });
  const { timesMs, sizesMs, outOfOrder, malformed } = await readTrace(text);
  assert.deepEqual([...timesMs], [0, 10]);
  assert.deepEqual([...sizesMs ?? []], [50, 20]);
  assert.deepEqual([outOfOrder, malformed], [1, 0]);
});

test('requests that needed no upstream are left out; those that failed to get one count as average', async () => {
  const text = line({ durationMs: 8 }) + line({ upstream: undefined, status: 308 }) +
    line({ upstream: undefined, method: '', code: 'REQUEST_MALFORMED', status: 400 }) +
    line({ upstream: undefined, code: 'OVERLOADED', status: 503, startedAt: START + 1 }) + line({ durationMs: 4 });
  const { sizesMs, sized, unserved } = await readTrace(text);
  assert.deepEqual([...sizesMs ?? []].sort(), [4, 6, 8]);
  assert.deepEqual([sized, unserved], [2, 2]);
});

test('Common and Combined lines are spread within their second, always alike', async () => {
  const common = '10.0.0.1 - bob [26/Nov/2026:15:43:52 +0000] "GET / HTTP/1.1" 200 5\r\n';
  const combined = '::1 - - [26/Nov/2026:16:43:54 +0100] "GET /[a] HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11)"\n';
  const text = common.repeat(50) + combined;
  const { timesMs, sizesMs, spread, malformed } = await readTrace(text);
  assert.equal(sizesMs, undefined);
  assert.deepEqual([spread, malformed, timesMs.length], [51, 0, 51]);
  const last = timesMs.at(-1) ?? 0;
  assert.ok(last > 1_000 && last < 3_000, String(last));
  assert.equal(new Set(timesMs.slice(0, 50)).size, 50);
  assert.deepEqual((await readTrace(text)).timesMs, timesMs);
});

test('malformed lines are counted, and the first is named', async () => {
  const bad = ['nonsense', '{"startedAt":', '{"startedAt":"x"}', '{}', '[26/Nov/2026:15:43:52 +0000] "GET', '{"a":1}'];
  const { timesMs, malformed, firstMalformed } = await readTrace(`${line({})}\n${bad.join('\n')}\n${line({})}`);
  assert.deepEqual([timesMs.length, malformed, firstMalformed], [2, bad.length, 3]);
});

test('chunks may end anywhere, and the last line needs no end', async () => {
  const text = `\ufeff${line({})}${line({ startedAt: START + 7 })}`.trimEnd();
  for (const size of [1, 7, 100]) {
    const count = Math.ceil(text.length / size);
    const chunks = Array.from({ length: count }, (_, at) => text.slice(at * size, (at + 1) * size));
    const { timesMs, malformed } = await readTrace(chunks);
    assert.deepEqual([[...timesMs], malformed], [[0, 7], 0]);
  }
});

test('reading ends at the wanted number of requests, and closes its source', async () => {
  let closed = false;
  async function *endless(): AsyncGenerator<string> {
    try {
      // Few awaits: node:test tracks each.
      for (let from = START; ; from += 500) {
        const lines = Array.from({ length: 500 }, (_, at) => line({ startedAt: from + at }));
        yield await Promise.resolve(lines.join(''));
      }
    } finally {
      closed = true;
    }
  }
  const { timesMs, cut } = await readTrace(endless(), { most: 3_000 });
  assert.deepEqual([timesMs.length, cut, closed], [3_000, true, true]);
  assert.equal(timesMs.at(-1), 2_999);
});

test('a line without end does not fill the memory', async () => {
  function *long(): Generator<string> {
    for (let at = 0; at < 40; at++) yield 'x'.repeat(2 ** 16);
    yield `\n${line({})}`;
  }
  const { timesMs, malformed } = await readTrace(long());
  assert.deepEqual([timesMs.length, malformed], [1, 1]);
});

test('a log without requests gives none', async () => {
  const { timesMs, sizesMs } = await readTrace('');
  assert.deepEqual([timesMs.length, sizesMs], [0, undefined]);
});
