import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BodyFramer } from '../../src/http1/framer.ts';
import { CHUNKED, type Framing, LENGTH, NONE, UNTIL_CLOSE } from '../../src/http1/framing.ts';

describe('the framing around the data of a body, and whether its announced length was kept', () => {
  type Row = readonly [what: string, framing: Framing, length: number, data: readonly string[], trailers: string,
    sent: string, owes: boolean];
  const table: readonly Row[] = [
    ['no body', NONE, 0, [], '', '', false],
    ['a length, kept', LENGTH, 7, ['hello', ' w'], '', 'hello w', false],
    ['a length, too little', LENGTH, 7, ['hello'], '', 'hello', true],
    ['a length, too much', LENGTH, 3, ['hello'], '', 'hello', true],
    ['a length: trailers are dropped', LENGTH, 1, ['x'], 'X-T: 1\r\n', 'x', false],
    ['up to the end of the connection', UNTIL_CLOSE, 0, ['hello'], 'X-T: 1\r\n', 'hello', false],
    ['no chunk', CHUNKED, 0, [], '', '0\r\n\r\n', false],
    ['chunks', CHUNKED, 0, ['hello', 'x'.repeat(300)], '',
      `5\r\nhello\r\n12c\r\n${'x'.repeat(300)}\r\n0\r\n\r\n`, false],
    ['a chunk and trailers', CHUNKED, 0, ['x'], 'X-T: 1\r\nX-U:\r\n', '1\r\nx\r\n0\r\nX-T: 1\r\nX-U:\r\n\r\n', false],
  ];
  for (const [what, framing, length, data, trailers, sent, owes] of table) {
    test(what, () => {
      const framer = new BodyFramer();
      // Twice, so that a leftover of the first body would show in the second.
      for (let i = 0; i < 2; i++) {
        framer.start(framing, length);
        let text = '';
        for (const part of data) text += framer.before(part.length) + part + framer.after();
        text += framer.end(trailers);
        assert.equal(text, sent);
        assert.equal(framer.owes, owes);
        assert.equal(framer.end('X-T: 1\r\n'), '', 'it has ended already');
      }
    });
  }
});
