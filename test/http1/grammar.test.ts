import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CLASS, contentLength, FIELD_VALUE, listHas, nameIs, TARGET, TOKEN, trimmed,
} from '../../src/http1/grammar.ts';

const ALL = Array.from({ length: 256 }, (_, octet) => octet);

describe('the class of every octet', () => {
  const table: readonly [string, number, (octet: number) => boolean][] = [
    // RFC 9110 §5.6.2: tchar.
    ['token', TOKEN, (octet) => /^[A-Za-z0-9!#$%&'*+.^_`|~-]$/.test(String.fromCharCode(octet))],
    // RFC 9110 §5.5: field-vchar (with obs-text), SP and HTAB.
    ['field value', FIELD_VALUE, (octet) => octet === 0x09 || octet === 0x20 || isVisible(octet)],
    // No spaces, no controls, no fragment (RFC 9112 §3.2); ASCII alone, as in Node's parser.
    ['target', TARGET, (octet) => isVisible(octet) && octet < 0x80 && octet !== 0x23],
  ];
  for (const [name, bit, belongs] of table) {
    test(name, () => {
      assert.deepEqual(ALL.filter((octet) => ((CLASS[octet] ?? 0) & bit) !== 0), ALL.filter(belongs));
    });
  }
});

describe('nameIs ignores case', () => {
  const table: readonly [text: string, at: number, name: string, same: boolean][] = [
    ['host', 0, 'host', true],
    ['HOST', 0, 'host', true],
    ['hOsT: a', 0, 'host', true],
    ['x\r\nHost', 3, 'host', true],
    ['hos', 0, 'host', false],
    ['hosts', 1, 'host', false],
    ['', 0, 'host', false],
    ['anything', 3, '', true],
    ['x-a1!', 0, 'x-a1!', true],
    // One bit apart, as lower case is from upper case: ignoring the bit alone would make them equal.
    ['x\ra', 0, 'x-a', false],
    ['X\x0dA', 0, 'x-a', false],
    ['\x10', 0, '0', false],
    ['x@', 0, 'x`', false],
    ['x`', 0, 'x@', false],
    ['x^', 0, 'x~', false],
    ['x\xc9', 0, 'x\xe9', false],
  ];
  for (const [text, at, name, same] of table) {
    test(`${JSON.stringify(text)} at ${at} is ${same ? '' : 'not '}${name}`, () => {
      assert.equal(nameIs(text, at, name), same);
    });
  }
});

describe('trimmed takes spaces and tabs off both ends, and nothing else', () => {
  const table: readonly [text: string, from: number, to: number, expected: string][] = [
    ['value', 0, 5, 'value'],
    [' \t value \t ', 0, 11, 'value'],
    ['a b\tc', 0, 5, 'a b\tc'],
    ['x: v \r\n', 2, 5, 'v'],
    ['', 0, 0, ''],
    [' \t ', 0, 3, ''],
    ['abc', 1, 1, ''],
    ['\xa0v\xa0', 0, 3, '\xa0v\xa0'],
    ['\x0bv\x0c', 0, 3, '\x0bv\x0c'],
  ];
  for (const [text, from, to, expected] of table) {
    test(`${JSON.stringify(text)} from ${from} to ${to}`, () => {
      assert.equal(trimmed(text, from, to), expected);
    });
  }
});

describe('listHas finds a whole item of a list', () => {
  const table: readonly [list: string, token: string, has: boolean][] = [
    ['close', 'close', true],
    ['CLOSE', 'close', true],
    ['keep-alive, Close', 'close', true],
    ['close,keep-alive', 'close', true],
    ['a,\tclose\t ,b', 'close', true],
    [',,close,', 'close', true],
    ['close ', 'close', true],
    ['', 'close', false],
    ['clos', 'close', false],
    ['closed', 'close', false],
    ['xclose', 'close', false],
    ['close;q=1', 'close', false],
    ['clo,se', 'close', false],
    ['a close', 'close', false],
    ['"close"', 'close', false],
    // RFC 9110 §5.6.3: optional whitespace is SP and HTAB; a no-break space is a character of the item.
    ['\xa0close', 'close', false],
    ['a, close\xa0', 'close', false],
  ];
  for (const [list, token, has] of table) {
    test(`${JSON.stringify(list)} has ${has ? '' : 'no '}${token}`, () => {
      assert.equal(listHas(list, token), has);
    });
  }
});

describe('contentLength accepts only digits, as far as integers are exact', () => {
  const table: readonly [value: string, expected: number][] = [
    ['0', 0],
    ['5', 5],
    ['005', 5],
    ['1234567890', 1_234_567_890],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', -1],
    ['9007199254740993', -1],
    ['9999999999999999', -1],
    ['18446744073709551621', -1],
    ['', -1],
    [' 5', -1],
    ['5 ', -1],
    ['+5', -1],
    ['-5', -1],
    ['5.0', -1],
    ['5e0', -1],
    ['0x5', -1],
    ['1_0', -1],
    ['5,5', -1],
    ['5;', -1],
    ['"5"', -1],
    ['five', -1],
    ['\u0665', -1],
    ['\xb2', -1],
    ['5\0', -1],
  ];
  for (const [value, expected] of table) {
    test(JSON.stringify(value), () => {
      assert.equal(contentLength(value), expected);
    });
  }
});

/** VCHAR or obs-text. */
function isVisible(octet: number): boolean {
  return octet > 0x20 && octet !== 0x7f;
}
