/**
 * The option `shadow` in layer 4: a second strategy that is asked at each pick, and never decides.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ShadowFigures } from '../../src/meter.ts';
import type { Outcome, PickContext, Strategy, Upstream } from '../../src/strategy.ts';
import { echo, rawUpstream, REFUSING, startTcp, type TcpUnderTest } from '../support/tcp.ts';

/** Picks the candidate at `at`, and keeps what it hears. */
class Listening implements Strategy {
  readonly name = 'listening';
  readonly heard: string[] = [];
  at = 0;

  pick(candidates: readonly Upstream[], context: PickContext): Upstream | undefined {
    const { attempt, remoteAddress, draining = [], serverName = 'no name' } = context;
    context.note = `note ${this.heard.length}`;
    this.heard.push(`pick ${this.at} of ${candidates.length}, ${draining.length} draining, attempt ${attempt} ` +
      `of ${remoteAddress} to ${serverName}`);
    return candidates[this.at];
  }

  settled({ origin }: Upstream, { ok, error, note }: Outcome): void {
    this.heard.push(`settled ${origin} ${ok ? 'ok' : 'failed'} ${error ?? ''}, ${String(note)}`);
  }
}

function figuresOf({ balancer }: TcpUnderTest): ShadowFigures {
  const shadow = balancer.pools['default']?.shadow;
  assert.ok(shadow);
  return shadow;
}

/** A connection from beginning to end. */
async function whole(under: TcpUnderTest): Promise<string> {
  const client = await under.connect();
  const text = await client.inbox.until('\n');
  const before = under.finished.length;
  client.end();
  await under.done(before + 1);
  return text;
}

describe('a strategy in the shadow of layer 4', () => {
  test('never decides, sees what the live one sees, and hears how a connection ended if both agreed', async (t) => {
    const [one, two] = [await rawUpstream(t, echo('one\n')), await rawUpstream(t, echo('two\n'))];
    const shadow = new Listening();
    const under = await startTcp(t, { upstreams: [one, two], shadow });
    assert.equal(await whole(under), 'one\n');
    shadow.at = 1;
    assert.equal(await whole(under), 'one\n');
    const seen = 'of 2, 0 draining, attempt 1 of 127.0.0.1 to no name';
    assert.deepEqual(shadow.heard, [
      `pick 0 ${seen}`, `settled ${one.origin} ok , note 0`,
      // Nobody knows what would have become of it: as if the client had left.
      `pick 1 ${seen}`, `settled ${two.origin} ok DOWNSTREAM_GONE, note 2`,
    ]);
    assert.equal(two.count, 0);
    const { picks, agreed, differed, declined, faults, estimate, upstreams } = figuresOf(under);
    assert.deepEqual({ picks, agreed, differed, declined, faults },
      { picks: 2, agreed: 1, differed: 1, declined: 0, faults: 0 });
    // A raw connection has no response whose time could be compared.
    assert.equal(estimate.requests, 0);
    assert.deepEqual(upstreams, [
      { origin: one.origin, live: 2, shadow: 1 }, { origin: two.origin, live: 0, shadow: 1 },
    ]);
  });

  test('is asked again after a failed connect, and hears of that if it agreed', async (t) => {
    const good = await rawUpstream(t, echo('good\n'));
    const shadow = new Listening();
    const under = await startTcp(t, { upstreams: [REFUSING, good], shadow });
    assert.equal(await whole(under), 'good\n');
    assert.deepEqual(shadow.heard.map((line) => line.replace(/ draining.* (attempt \d) .*/, ' $1')), [
      'pick 0 of 2, 0 attempt 1', `settled ${REFUSING} failed CONNECT_REFUSED, note 0`,
      'pick 0 of 1, 0 attempt 2', `settled ${good.origin} ok , note 2`,
    ]);
    assert.equal(figuresOf(under).agreed, 2);
  });

  test('sees drained upstreams, and may pick one', async (t) => {
    const [own, other] = [await rawUpstream(t, echo('own\n')), await rawUpstream(t, echo('other\n'))];
    const shadow: Strategy = {
      name: 'loyal', pick: (candidates, { draining = [] }) => draining[0] ?? candidates[0],
    };
    const under = await startTcp(t, { upstreams: [own, other], shadow });
    await under.balancer.drain(own.origin);
    assert.equal(await whole(under), 'other\n');
    const { differed, faults, upstreams } = figuresOf(under);
    assert.deepEqual([differed, faults], [1, 0]);
    assert.deepEqual(upstreams.map(({ origin, shadow: picks }) => [origin, picks]).sort(),
      [[other.origin, 0], [own.origin, 1]].sort());
  });

  test('that asks for the server name does not have the connection wait for it', async (t) => {
    const upstream = await rawUpstream(t, echo('hello\n'));
    const names: unknown[] = [];
    const shadow: Strategy = {
      name: 'by name',
      pick: ([first], { serverName }) => {
        names.push(serverName);
        return first;
      },
    };
    const under = await startTcp(t, { upstreams: [upstream], shadow });
    // The client sends nothing, and time stands still: had it been peeked at, nothing would come.
    assert.equal(await whole(under), 'hello\n');
    assert.equal(await whole(under), 'hello\n');
    assert.deepEqual(names, [undefined, undefined]);
  });

  test('sees the server name that the live one asked for', async (t) => {
    const upstream = await rawUpstream(t, echo());
    const shadow = new Listening();
    const live: Strategy = {
      name: 'by name', pick: ([one], { serverName = '' }) => (serverName === '' ? one : undefined),
    };
    const under = await startTcp(t, { upstreams: [upstream], strategy: live, shadow });
    const client = await under.connect();
    client.send('not TLS');
    assert.equal(await client.inbox.until('TLS'), 'not TLS');
    // The first pick of the live one came too early, and did not count.
    assert.equal(figuresOf(under).picks, 1);
    assert.equal(shadow.heard.length, 1);
  });

  test('that throws, declines or picks something else is counted, and harms nothing', async (t) => {
    const upstream = await rawUpstream(t, echo('hello\n'));
    const turns: readonly (() => Upstream | undefined)[] = [
      () => { throw new Error('oops'); }, () => undefined, () => ({}) as Upstream,
    ];
    let asked = 0;
    const under = await startTcp(t, {
      upstreams: [upstream], shadow: { name: 'wrong', pick: () => turns[asked++]?.() },
    });
    while (asked < turns.length) assert.equal(await whole(under), 'hello\n');
    const { picks, declined, faults } = figuresOf(under);
    assert.deepEqual({ picks, declined, faults }, { picks: 3, declined: 1, faults: 2 });
    assert.deepEqual(under.reports, ['STRATEGY_FAILED', 'STRATEGY_FAILED']);
    assert.ok(under.finished.every(({ status }) => status === 200));
  });
});
