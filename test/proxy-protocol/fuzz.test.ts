import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ParsedProxy } from '../../src/proxy-protocol/header.ts';
import { formatProxyHeader, parseProxyHeader } from '../../src/proxy-protocol/parse.ts';
import { seededRandom } from '../../src/testing/random.ts';
import { v2 } from '../support/proxy-headers.ts';

const CASES = 10_000;

test('random headers never throw, and read the same whole as octet by octet', (t) => {
  const seed = Number(process.env['EQUIPOISE_SEED'] ?? 20_261_126);
  t.diagnostic(`seed ${seed}`);
  const rng = seededRandom(seed);
  const below = (count: number): number => Math.floor(rng() * count);
  const kinds = { header: 0, partial: 0, invalid: 0 };
  for (let i = 0; i < CASES; i++) {
    const bytes = draw(below);
    const whole = parseProxyHeader(bytes);
    kinds[whole.kind]++;
    assert.deepEqual(stepwise(bytes), whole, `case ${i} of seed ${seed}: ${bytes.toString('hex')}`);
    if (whole.kind !== 'header') continue;
    const { header } = whole;
    if (header.source?.family === 'Unix') continue;
    const again = parseProxyHeader(formatProxyHeader(header));
    assert.deepEqual(again.kind === 'header' && again.header.source, header.source, `case ${i} of seed ${seed}`);
  }
  for (const [kind, count] of Object.entries(kinds)) assert.ok(count > CASES / 50, `${kind}: ${count}`);
});

/** What comes of the octets one by one: the first result that is not partial. */
function stepwise(bytes: Buffer): ParsedProxy {
  for (let length = 0; length <= bytes.length; length++) {
    const parsed = parseProxyHeader(bytes.subarray(0, length));
    if (parsed.kind !== 'partial') return parsed;
  }
  return { kind: 'partial' };
}

function draw(below: (count: number) => number): Buffer {
  const noise = (most: number): Buffer => Buffer.from(Array.from({ length: below(most) }, () => below(256)));
  let bytes: Buffer;
  switch (below(5)) {
    case 0:
      bytes = noise(64);
      break;
    case 1:
      bytes = Buffer.from(`PROXY TCP4 ${below(300)}.0.0.${below(260)} 10.0.0.1 ${below(70_000)} ${below(9)}\r\n`);
      break;
    case 2:
      bytes = Buffer.from(`PROXY TCP6 ${below(70_000).toString(16)}::${below(9)} ::1 ${below(70_000)} 443\r\nGET`);
      break;
    case 3:
      bytes = v2({
        command: below(4) === 0 ? below(256) : 0x20 + below(2),
        family: below(4) === 0 ? below(256) : [0x00, 0x11, 0x21, 0x31][below(4)] ?? 0,
        addresses: [...noise(300)],
      });
      break;
    default:
      bytes = v2({ tlvs: Array.from({ length: below(4) }, () => [[1, 2, 3, 4, 5, 0x20][below(6)] ?? 0, noise(20)]) });
  }
  const cut = below(3) === 0 ? bytes.subarray(0, below(bytes.length + 1)) : bytes;
  if (cut.length > 0 && below(4) === 0) cut.writeUInt8(below(256), below(cut.length));
  return cut;
}
