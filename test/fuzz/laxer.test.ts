import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Draw } from './draw.ts';
import { FRONTS } from './front.ts';
import { RequestsFuzz } from './requests.ts';
import type { Tamper } from './requests-ours.ts';
import { ResponsesFuzz } from './responses.ts';
import type { Fuzz } from './session.ts';

/** How lax or sloppy readers change bytes before they read them. */
const LAX: readonly (readonly [what: string, lax: (text: string) => string])[] = [
  ['takes a bare LF for the end of a line', (text) => text.replace(/(?<!\r)\n/g, '\r\n')],
  ['takes a bare CR for the end of a line', (text) => text.replace(/\r(?!\n)/g, '\r\n')],
  ['overlooks spaces before a colon', (text) => text.replace(/^([\w-]+)[ \t]+:/gm, '$1:')],
  ['overlooks NUL', (text) => text.replaceAll('\0', '')],
  ['joins folded lines', (text) => text.replace(/\r\n[ \t]+/g, ' ')],
  ['reads a Content-Length as parseInt does', (text) => text.replace(/^(Content-Length:) *\+?(\d+).*$/gim, '$1 $2')],
  ['reads a chunk size as parseInt does', (text) => text.replace(/^[ \t+]+([0-9a-f]{1,2})\r$/gim, '$1\r')],
  ['reads a length that is one too many', (text) => text.replace(/^(Content-Length: *)5\r/gim, '$16\r')],
  ['loses a field', (text) => text.replace(/^X-A:.*\r\n/gim, '')],
  ['changes the case of values', (text) => text.replace(/caf\xe9/g, 'CAF\xe9')],
  ['reads on behind Connection: close', (text) => text.replace(/^Connection: *close\r\n/gim, '')],
];

/** The first fault when our side reads the bytes as changed by `lax`, and Node reads the original. */
async function firstFault(fuzz: Fuzz, lax: (text: string) => string): Promise<string | undefined> {
  for (let index = 0; index < 50_000; index++) {
    const [one] = fuzz.draw(new Draw(1, index));
    const text = one?.pieces.join('') ?? '';
    if (one === undefined || lax(text) === text) continue;
    const judgement = await fuzz.judge({ ...one, pieces: [lax(text)] }, [text]);
    if ('fault' in judgement) return judgement.fault;
  }
  return undefined;
}

/** What a balancer that mixes up, loses or makes up answers sends downstream. */
const WRONG: readonly (readonly [what: string, tamper: Tamper])[] = [
  ['answers out of step', (written) => {
    if (!written.includes('X-Mark: 0') || !written.includes('X-Mark: 1')) return written;
    return written.replace(/X-Mark: [01]/g, (mark) => mark.endsWith('0') ? 'X-Mark: 1' : 'X-Mark: 0');
  }],
  ['answers with what was for another', (written) => written.replace(/X-Mark: 0/, 'X-Mark: 7')],
  ['loses the last answer', (written) => written.replace(/HTTP\/1\.1 200 OK\r\n(?:(?!HTTP\/1)[^])*ok$/, '')],
  ['answers twice', (written) => written.replace(/HTTP\/1\.1 200 OK\r\n(?:(?!HTTP\/1)[^])*ok$/, '$&$&')],
  ['refuses what it served', (written) => `HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n${written}`],
];

/** Bytes that our side takes to be complete, or finished, and Node does not. */
const head = 'HTTP/1.1 200 OK\r\n';
const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`;
const ENDINGS: readonly (readonly [what: string, ours: string, node: string])[] = [
  ['ends what broke off in chunks', `${chunked}0\r\n\r\n`, chunked],
  ['ends what broke off in a chunk', `${chunked}0\r\n\r\n`, chunked.replace('hello\r\n', 'hel')],
  ['shortens a length', `${head}Content-Length: 5\r\n\r\nhello`, `${head}Content-Length: 6\r\n\r\nhello`],
  ['keeps a connection with more on it', `${head}Content-Length: 0\r\n\r\n`,
    `${head}Content-Length: 0\r\n\r\n${head}Content-Length: 0\r\n\r\n`],
];

for (const front of FRONTS) {
  for (const Kind of [RequestsFuzz, ResponsesFuzz]) {
    describe(`${Kind.name} through ${front} finds a balancer that`, () => {
      for (const [what, lax] of LAX) {
        test(what, async (t) => {
          const fuzz: Fuzz = new Kind(front);
          const fault = await firstFault(fuzz, lax);
          await fuzz.close();
          assert.notEqual(fault, undefined);
          t.diagnostic(fault ?? '');
        });
      }
    });
  }

  describe(`RequestsFuzz through ${front} finds a balancer that`, () => {
    for (const [what, tamper] of WRONG) {
      test(what, async (t) => {
        const fuzz = new RequestsFuzz(front, tamper);
        let fault: string | undefined;
        for (let index = 0; index < 2_000 && fault === undefined; index++) {
          const [one] = fuzz.draw(new Draw(1, index));
          const judgement = one && await fuzz.judge(one);
          if (judgement !== undefined && 'fault' in judgement) ({ fault } = judgement);
        }
        await fuzz.close();
        assert.notEqual(fault, undefined);
        t.diagnostic(fault ?? '');
      });
    }

    test('ends an aborted request', async () => {
      const fuzz = new RequestsFuzz(front);
      const text = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n';
      const judgement = await fuzz.judge({ pieces: [`${text}0\r\n\r\n`], eager: true }, [text]);
      await fuzz.close();
      assert.match('fault' in judgement ? judgement.fault : '', /forwarded whole; for Node it is not/);
    });
  });

  describe(`ResponsesFuzz through ${front} finds a balancer that`, () => {
    for (const [what, ours, node] of ENDINGS) {
      for (const reset of [false, true]) {
        test(`${what}${reset ? ', by a reset' : ''}`, async (t) => {
          const fuzz = new ResponsesFuzz(front);
          const one = { pieces: [ours], method: 'GET', minor: 1, upgrade: false, expect: false, reset } as const;
          const judgement = await fuzz.judge(one, [node]);
          await fuzz.close();
          assert.ok('fault' in judgement, JSON.stringify(judgement));
          t.diagnostic(judgement.fault);
        });
      }
    }
  });
}
