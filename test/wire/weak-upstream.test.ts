/**
 * An upstream that parses our bytes laxly finds only the requests that were sent to it.
 *
 * A reader without chunks, or that ends a chunked body before its trailers, misreads even honest requests. But the line
 * that it takes for the next request is our chunk size, or a trailer: never a request line. It can only give up.
 *
 * No proxy that reuses connections can prevent this: an upstream that takes a body of known length, which a downstream
 * may send with any method, for the next request (`bodiless`). See surplus.test.ts for what is promised then.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, FRONTS, NODE_HTTP } from '../support/fronts.ts';
import { type Attempt, ATTEMPTS, SMUGGLED } from '../support/smuggling.ts';
import { startUpstream } from '../support/upstream.ts';
import { gate, within } from '../support/wait.ts';
import { decode, LAXITIES, type Laxity, type Reading } from '../support/weak-decoder.ts';
import { BeforeWeakUpstream } from '../support/weak-upstream.ts';
import { groups } from '../support/wire-corpus.ts';
import type { RecordedMessage } from '../support/wire-decoder.ts';

const LAX = Object.keys(LAXITIES) as Laxity[];
/** They fail in chunks, and close: what they read before that is right. */
const LOSES_ITS_WAY: ReadonlySet<Laxity> = new Set(['te-ignored', 'last-chunk', 'bodiless']);
/** Whose parser skips spaces before a target. */
const OF_NODE: ReadonlySet<string> = new Set(['two-spaces-before-target', 'a request line split by "  "']);
const EVIL = `GET ${SMUGGLED} HTTP/1.1\r\nHost: evil.example\r\n\r\n`;
const BODILESS = /^(?:GET|HEAD|DELETE|OPTIONS)$/;

const KINDS: Readonly<Record<string, readonly Attempt[]>> = {
  ...ATTEMPTS,
  ...Object.fromEntries(groups().map(([group, cases]) => {
    return [`the corpus: ${group}`, cases.map(({ id, raw }) => ({ name: id, raw }))];
  })),
};

/** The bytes that went upstream over each connection, with their strict reading, and the front. */
const SENT = new Map<string, { readonly front: FrontKind; readonly strict: Reading; readonly from: string }>();

/** By laxity, the attempts in which its reader finds a request that a strict one does not. */
const DECEIVING = new Map(LAX.map((lax) => {
  const sees = ({ messages }: Reading): boolean => messages.some(({ target }) => target === SMUGGLED);
  const unseen = Object.values(ATTEMPTS).flat().filter(({ raw }) => !sees(decode(raw)));
  return [lax, unseen.filter(({ raw }) => sees(decode(raw, lax)))];
}));

test('each laxity is deceived by some of the attempts without a balancer', () => {
  const spared = LAX.filter((lax) => DECEIVING.get(lax)?.length === 0);
  assert.deepEqual(spared, []);
});

for (const front of FRONTS) {
  describe(`behind ${front.name}, whatever a downstream sends`, () => {
    const under = new BeforeWeakUpstream(front);
    before(() => under.start());
    after(() => under.end());

    for (const [kind, attempts] of Object.entries(KINDS)) {
      test(`a strict upstream gets only the requests that a strict reader finds there: ${kind}`, async () => {
        for (const attempt of attempts) {
          if (front === NODE_HTTP && OF_NODE.has(attempt.name)) continue;
          const { faults } = await under.send(attempt);
          assert.deepEqual(faults, [], attempt.name);
          const left = decode(attempt.raw).messages.map(({ method, target, body }) => shown(method, target, body));
          for (const bytes of under.taken) {
            const strict = decode(bytes);
            assert.equal(strict.fault, undefined, attempt.name);
            if (!SENT.has(bytes)) SENT.set(bytes, { front, strict, from: attempt.name });
            for (const { method, target, body } of strict.messages) {
              if (OWN.test(target)) continue;
              const at = left.indexOf(shown(method, target, body));
              assert.ok(at >= 0, `${attempt.name}: ${method} ${target} was made up`);
              left.splice(at, 1);
            }
          }
        }
      });
    }

    for (const [i, lax] of LAX.entries()) {
      test(`an upstream that ${LAXITIES[lax]} reads the same requests from the same bytes`, () => {
        assert.ok(SENT.size > 100);
        for (const [bytes, one] of SENT) {
          if (one.front !== front) continue;
          // Alone, and together with each other one.
          for (const other of [lax, ...LAX.slice(i + 1)]) judge(bytes, one.strict, [lax, other], one.from);
        }
      });
    }
  });

  describe(`behind ${front.name}, while serving: an upstream that`, () => {
    for (const lax of LAX) {
      test(LAXITIES[lax], async () => {
        const under = new BeforeWeakUpstream(front, lax);
        try {
          await under.start();
          const attempts = (DECEIVING.get(lax) ?? []).filter(({ name, raw }) => {
            return !(lax === 'bodiless' && hasBodyOf(decode(raw))) && !(front === NODE_HTTP && OF_NODE.has(name));
          });
          const step = Math.ceil(attempts.length / 12);
          for (const attempt of attempts.filter((_, i) => i % step === 0)) {
            const { decoded } = await under.send(attempt);
            const smuggled = decoded.filter(({ target }) => target === SMUGGLED).length;
            const honest = decode(attempt.raw).messages.filter(({ target }) => target === SMUGGLED).length;
            assert.ok(smuggled <= honest, `${attempt.name}: it has acted on ${SMUGGLED}`);
          }
        } finally {
          await under.end();
        }
      });
    }
  });
}

for (const front of FRONTS) {
  test(`through ${front.name} a chunk beyond 32 bits is passed on as it comes, in our own chunks`, async (t) => {
    const { opened, open } = gate();
    let came = '';
    const upstream = await startUpstream(t, async (peer) => {
      came = await peer.inbox.until(EVIL);
      open();
    });
    const under = await startBalancer(t, { upstreams: [upstream], front });
    const client = await under.connect();
    // A reader that keeps the size in 32 bits would find the end of the body after `hello`.
    client.send(`${get('/', 'Transfer-Encoding: chunked\r\n', 'POST')}100000005\r\nhello\r\n0\r\n\r\n${EVIL}`);
    await within(opened, () => 'the data of the chunk');
    const { messages, fault, begun } = decode(came, 'size-32');
    assert.deepEqual([messages, fault, begun?.method], [[], undefined, 'POST']);
    client.destroy();
    await under.settled(1);
  });
}

/** Targets of the requests that the test itself sends after each attempt. */
const OWN = /^\/(?:next-on-the-same|last-on-a-new)-connection$/;

/** Judges how a lax reader parses bytes that were sent upstream. */
function judge(bytes: string, strict: Reading, lax: readonly Laxity[], from: string): void {
  if (lax.includes('bodiless') && hasBodyOf(strict)) return;
  const seen = decode(bytes, ...lax);
  const lost = lax.some((each) => LOSES_ITS_WAY.has(each));
  const of = ({ method, target, body }: RecordedMessage): string => `${method} ${target} ${lost ? '' : body}`;
  const got = seen.messages.map(of);
  const wanted = strict.messages.map(of);
  // It does not even wait for the body that it cannot read.
  if (lost && strict.begun !== undefined) wanted.push(of({ ...strict.begun, body: '' }));
  if (lost && (seen.fault !== undefined || strict.begun !== undefined)) wanted.length = got.length;
  if (got.length === wanted.length && got.every((each, i) => each === wanted[i])) return;
  assert.deepEqual(got, wanted, `${lax.join(' and ')}: ${from}, which went upstream as ${JSON.stringify(bytes)}`);
}

function hasBodyOf({ messages }: Reading): boolean {
  return messages.some(({ method, body, fields }) => {
    return BODILESS.test(method) && body !== '' && fields.has('content-length');
  });
}

/** A request in the same form for both sides: a target in absolute form goes upstream in origin form. */
function shown(method: string, target: string, body: string): string {
  const origin = target.replace(/^https?:\/\/[^/?]*/i, '');
  const path = origin.startsWith('/') || origin === '*' ? origin : `/${origin}`;
  return `${method} ${path} ${body}`;
}
