import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answerBody, readAnswer, type ResponseAnswer } from '../../../src/exchange/hooks/response-answer.ts';
import { NotingSink, turns, unhandledDuring } from './body-sink.ts';

function head({ status, reason, fields, hasDate }: ResponseAnswer): unknown[] {
  return [status, reason, fields, hasDate];
}

describe('a Response as an answer', () => {
  const table: readonly [name: string, response: Response, head: unknown[]][] = [
    ['of text', new Response('no\n', { status: 401 }),
      [401, 'Unauthorized', 'content-type: text/plain;charset=UTF-8\r\n', false]],
    ['of nothing', new Response(null, { status: 204 }), [204, 'No Content', '', false]],
    ['with a reason of its own', new Response(null, { statusText: 'Fine' }), [200, 'Fine', '', false]],
    ['with a status that has no name', new Response(null, { status: 299 }), [299, '', '', false]],
    ['with cookies', new Response(null, { headers: [['set-cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['X-A', '1, 2']] }),
      [200, 'OK', 'set-cookie: a=1\r\nset-cookie: b=2\r\nx-a: 1, 2\r\n', false]],
    ['with a date', new Response(null, { headers: { Date: 'now' } }), [200, 'OK', 'date: now\r\n', true]],
    ['with octets', new Response(null, { headers: { x: 'caf\xe9' } }), [200, 'OK', 'x: caf\xe9\r\n', false]],
    ['that frames itself', new Response('abc', { headers: {
      'content-length': '5', 'transfer-encoding': 'chunked', 'connection': 'close', 'keep-alive': 'timeout=5',
      'te': 'x', 'upgrade': 'h2c', 'trailer': 'x', 'proxy-connection': 'close', 'content-type': 'a/b',
    } }), [200, 'OK', 'content-type: a/b\r\n', false]],
    ['that redirects', Response.redirect('http://a.example/x', 303),
      [303, 'See Other', 'location: http://a.example/x\r\n', false]],
    ['of JSON', Response.json({ a: 1 }), [200, 'OK', 'content-type: application/json\r\n', false]],
  ];
  for (const [name, response, expected] of table) {
    test(name, () => { assert.deepEqual(head(readAnswer(response, 'onRequest')), expected); });
  }

  test('its body is sent', async () => {
    const answer = readAnswer(new Response('hello'), 'onRequest');
    const sink = new NotingSink();
    const body = answerBody(answer, 'GET', sink);
    body?.resume();
    await sink.over;
    assert.deepEqual(sink.told, ['hello', 'end']);
  });

  test('without a body there is nothing to send', () => {
    assert.equal(answerBody(readAnswer(new Response(null), 'onRequest'), 'GET', new NotingSink()), undefined);
  });
});

describe('a body where the response has none is cancelled', () => {
  const table: readonly [method: string, status: number][] = [['HEAD', 200], ['GET', 204], ['GET', 205], ['GET', 304]];
  for (const [method, status] of table) {
    test(`${method} ${status}`, async () => {
      let cancelled = 0;
      const body = new ReadableStream({ cancel() { cancelled++; throw new Error('boom'); } });
      const response = { status, statusText: '', headers: new Headers(), body, bodyUsed: false };
      const sink = new NotingSink();
      const unhandled = await unhandledDuring(async () => {
        assert.equal(answerBody(readAnswer(response, 'onRequest'), method, sink), undefined);
        await turns();
      });
      assert.deepEqual([cancelled, sink.told, unhandled], [1, [], []]);
    });
  }
});

/** A Response of whatever parts. */
function made(parts: object): object {
  return { status: 200, statusText: '', headers: [], body: null, bodyUsed: false, ...parts };
}

describe('what cannot be sent, in words for the hook\'s author', async () => {
  const used = new Response('x');
  await used.text();
  const locked = new Response('x');
  locked.body?.getReader();
  const boom = (): never => { throw new Error('boom'); };
  const noResponse = 'TypeError: what onRequest returned must be a Response or undefined';
  const noStatus = 'RangeError: what onRequest returned must have a status from 200 to 599';
  const badBody = 'TypeError: the body of what onRequest returned';
  const badHeaders = 'TypeError: headers of what onRequest returned';
  const table: readonly [name: string, returned: unknown, message: string][] = [
    ['a text', 'no', `${noResponse} (got "no")`],
    ['null', null, `${noResponse} (got null)`],
    ['true', true, `${noResponse} (got true)`],
    ['an object', { status: '200' }, `${noResponse} (got {"status":"200"})`],
    ['an error', Response.error(), `${noStatus} (got 0)`],
    ['a 101', made({ status: 101 }), `${noStatus} (got 101)`],
    ['a 600', made({ status: 600 }), `${noStatus} (got 600)`],
    ['a half', made({ status: 200.5 }), `${noStatus} (got 200.5)`],
    ['a used body', used, `${badBody} was read already; return a new Response`],
    ['a locked body', locked, `${badBody} is locked: something reads it already`],
    ['a text as its body', made({ body: 'x' }), `${badBody} must be a ReadableStream (got "x")`],
    ['headers that are none', made({ headers: 5 }), `${badHeaders} must be Headers (got 5)`],
    ['an object of headers', made({ headers: { a: 'b' } }), `${badHeaders} must be Headers (got {"a":"b"})`],
    ['a line that is no pair', made({ headers: [5] }), `${badHeaders} must give pairs (got 5)`],
    ['a name that is none', made({ headers: [['a b', '']] }),
      `${badHeaders}: a header name must be a token such as 'x-user' (got "a b")`],
    ['a value with line ends', made({ headers: [['A', 'b\r\nc']] }),
      'TypeError: header "a" of what onRequest returned must not hold line ends (got \\u000d at 1)'],
    ['a value that is a number', made({ headers: [['a', 5]] }),
      'TypeError: header "a" of what onRequest returned must be a string (got 5)'],
    ['headers without an end', made({ headers: { * [Symbol.iterator]() { for (;;) yield ['a', 'b']; } } }),
      'RangeError: headers of what onRequest returned are more than 1048576 octets'],
    ['headers that throw', made({ headers: { [Symbol.iterator]: boom } }), 'Error: boom'],
    ['a getter that throws', { get status() { return boom(); } }, 'Error: boom'],
    ['a Proxy that throws', new Proxy({}, { get: boom }), 'Error: boom'],
  ];
  for (const [name, returned, message] of table) {
    test(name, () => {
      assert.throws(() => readAnswer(returned, 'onRequest'), (error) => {
        assert.equal(String(error), message);
        return true;
      });
    });
  }
  test('a reason that cannot be sent is replaced', () => {
    assert.equal(readAnswer(made({ statusText: 'a\r\nb' }), 'onRequest').reason, 'OK');
    assert.equal(readAnswer(made({ statusText: 5 }), 'onRequest').reason, 'OK');
  });
});
