import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Draw } from './draw.ts';
import { RequestsFuzz } from './requests.ts';
import { ResponsesFuzz } from './responses.ts';
import type { Fuzz } from './session.ts';

/** What laxer, or sloppy, readers make of bytes before they read them. */
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

/** The first fault where our side reads what `lax` makes of the bytes that Node reads. */
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

for (const Kind of [RequestsFuzz, ResponsesFuzz]) {
  describe(`${Kind.name} finds out a balancer that`, () => {
    for (const [what, lax] of LAX) {
      test(what, async (t) => {
        const fuzz: Fuzz = new Kind();
        const fault = await firstFault(fuzz, lax);
        await fuzz.close();
        assert.notEqual(fault, undefined);
        t.diagnostic(fault ?? '');
      });
    }
  });
}
