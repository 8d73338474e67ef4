import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Leave, LEAVES, STAGES } from '../support/aborts.ts';
import { get } from '../support/client.ts';
import { executions, watched } from '../support/fault-row.ts';
import { PLAIN, well } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { quiet } from '../support/quiet.ts';
import { neverConnects } from '../support/streams.ts';
import { play, startUpstream } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const NOTHING = /^$/;
/** Not the upstream's fault. */
const GONE = /^A ok DOWNSTREAM_GONE$/;
const GONE_FROM_RESPONSE = /^A ok 200 DOWNSTREAM_GONE$/;
/** One direction of a tunnel may end before the other: a FIN is an orderly end. */
const GONE_FROM_TUNNEL: Record<Leave, RegExp> = { FIN: /^A ok 101$/, RST: /^A ok 101 DOWNSTREAM_GONE$/ };

/** How the attempt that was under way settles. */
const TABLE: Readonly<Record<string, RegExp | Record<Leave, RegExp>>> = {
  'before its request head is complete': NOTHING,
  'while its upstream is being connected': GONE,
  'after its request head': GONE,
  'in the middle of its body': GONE,
  'while it floods an upstream that does not read': GONE,
  'while it waits': GONE,
  'in the middle of its response head': GONE,
  'after its response head': GONE_FROM_RESPONSE,
  'in the middle of its response body': GONE_FROM_RESPONSE,
  'in the middle of an early response body': GONE_FROM_RESPONSE,
  'while it does not read a large response': GONE_FROM_RESPONSE,
  'in a tunnel': GONE_FROM_TUNNEL,
  // libuv usually reports a reset after unread data as an end.
  'in a tunnel that it floods': /^A ok 101(?: DOWNSTREAM_GONE)?$/,
  'in a tunnel that floods it': GONE_FROM_TUNNEL,
  'in a tunnel that its upstream has half closed': GONE_FROM_TUNNEL,
  'in a tunnel that it has half closed': GONE_FROM_TUNNEL,
};

function expected(stage: string, leave: Leave): RegExp {
  const row = TABLE[stage];
  assert.ok(row !== undefined, `no row for ${stage}`);
  return row instanceof RegExp ? row : row[leave];
}

test('the table has a row for each stage, and no other', () => {
  assert.deepEqual(Object.keys(TABLE), STAGES.map(({ name }) => name));
});

for (const front of FRONTS) {
  for (const stage of STAGES) {
    describe(`a downstream that leaves ${stage.name}, through ${front.name}`, () => {
      for (const kind of stage.of) {
        for (const leave of stage.by ?? LEAVES) {
          test(`${kind}, by ${leave}`, async (t) => {
            quiet(t);
            const events: string[] = [];
            const left = gate();
            const script = stage.script?.(left.opened);
            const upstream = await startUpstream(t, (peer) => {
              return peer.number === 1 && script !== undefined ? play(peer, script) : well(peer);
            });
            let connects = 0;
            const under = await watched(t, {
              upstreams: [upstream],
              front,
              ejectAfter: 1,
              connect: () => script === undefined && ++connects === 1 ? neverConnects() : undefined,
            }, new Map([[upstream.origin, 'A']]), events);

            const client = await under.connect();
            await stage.reach({ client, asked: kind, under, upstream });
            if (leave === 'RST') client.reset();
            else client.end();
            left.open();
            await client.over();
            await under.settled(under.picks.length);
            assert.match(events.join(), expected(stage.name, leave));
            client.destroy();
            if (upstream.peers.length > 0) await upstream.gone(1);
            // Half an upload must not pass for a complete one.
            if (kind === 'POST' && stage.of.length === 1) assert.equal(upstream.requests.length, 0);
            assert.ok(executions([upstream], 'POST /x') <= 1, 'a POST was executed twice');
            const { text } = await (await under.connect()).exchange(get('/next'));
            assert.equal(text, PLAIN.body, 'the next request is served');
          });
        }
      }
    });
  }
}
