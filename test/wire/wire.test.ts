import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Binary } from '../support/process-binary.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { exchange } from '../support/wire-client.ts';
import { corpus, faultOf, groups } from '../support/wire-corpus.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/wire-upstream.ts';

const seed = testSeed();

describe('the binary on a raw connection', () => {
  let upstream: RecordingUpstream;
  let binary: Binary;
  let port: number;

  const ends: (() => Promise<void>)[] = [];

  before(async () => {
    upstream = await startRecordingUpstream();
    ends.push(() => upstream.close());
    binary = new Binary(['--listen', '127.0.0.1:0', upstream.origin]);
    ends.push(() => binary.stop());
    port = await binary.port();
  });

  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  test('there are 216 cases, each with a unique id', () => {
    assert.equal(corpus.length, 216);
    assert.equal(new Set(corpus.map(({ id }) => id)).size, 216);
  });

  for (const [group, cases] of groups()) {
    describe(group, () => {
      for (const wire of cases) {
        test(`${wire.id}: ${wire.expect}${wire.status === undefined ? '' : ` ${wire.status.join(', ')}`}`, async () => {
          const seen = await exchange(wire, port, upstream);
          assert.equal(faultOf(wire, seen), undefined, wire.why);
          for (const { status, head } of seen.responses) {
            if (status === 200) continue;
            // RFC 9209: the answer is ours, and gives the reason.
            assert.match(head, /^proxy-status: equipoise; error=[a-z_]+\r?$/im);
            assert.match(head, /^connection: close\r?$/im);
          }
        });
      }
    });
  }

  for (const [group, cases] of groups()) {
    test(`${group}, in random pieces (EQUIPOISE_SEED=${seed})`, async () => {
      const rng = seededRandom(seed);
      for (const wire of cases) {
        const pieces = cut(wire.raw, rng);
        assert.equal(faultOf(wire, await exchange(wire, port, upstream, pieces)), undefined,
          `${wire.id} (${wire.why}) as ${JSON.stringify(pieces.map((piece) => piece.slice(0, 40)))}`);
      }
    });
  }

  test('none of this was a failure of the balancer', () => {
    assert.equal(binary.stderr, '');
  });
});

/** A text in up to six pieces. */
function cut(text: string, rng: () => number): string[] {
  const at = Array.from({ length: 1 + Math.floor(rng() * 5) }, () => Math.floor(rng() * text.length));
  const ends = [...new Set([0, ...at, text.length])].sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => text.slice(ends[i], end));
}
