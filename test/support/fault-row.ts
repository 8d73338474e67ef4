/**
 * One row of the fault table: a request that meets a fault, and everything that happens then, in order.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from './balancer.ts';
import { type Client, get } from './client.ts';
import { type Answer, type Fault, faulty, PLAIN, SWITCHED, well } from './faults.ts';
import type { FrontKind } from './fronts.ts';
import { Broken, type Head, readBody } from './message.ts';
import { quiet } from './quiet.ts';
import { type ScriptedUpstream, startUpstream } from './upstream.ts';
import { gate, turns } from './wait.ts';

export type Kind = 'GET' | 'POST' | 'upgrade';
export const KINDS: readonly Kind[] = ['GET', 'POST', 'upgrade'];

export const UPGRADE = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
/** A body that comes in pieces: `somepiecesmore`. */
const PIECES = ['4\r\nsome\r\n', '6\r\npieces\r\n', '4\r\nmore\r\n', '0\r\n\r\n'];
/** All different, so that none fires in another's place. */
const TIMES = {
  connectTimeoutMs: 1_000, responseTimeoutMs: 20_000, idleTimeoutMs: 10_000, tunnelIdleTimeoutMs: 40_000,
  minBodyBytesPerSecond: 0,
} as const;
/** Longer than any of them. */
const PATIENCE_MS = 50_000;

/** The answer of a healthy upstream to a request of this kind. */
export function goodFor(kind: Kind): Answer {
  return kind === 'upgrade' ? SWITCHED : PLAIN;
}

/** Sends a request of this kind; a POST in pieces, with other things happening between them. */
export async function ask(client: Client, kind: Kind, target: string): Promise<void> {
  if (kind !== 'POST') {
    client.send(get(target, kind === 'upgrade' ? UPGRADE : ''));
    return;
  }
  client.send(get(target, 'Transfer-Encoding: chunked\r\n', 'POST'));
  for (const piece of PIECES) {
    client.send(piece);
    await turns(4);
  }
}

/** What a downstream sees of the answer: its status, and `whole`, or what was wrong with it. */
export async function see(client: Client): Promise<string> {
  let seen = '';
  try {
    let head: Head;
    do head = await client.head(); while (/ 10[0-9] /.test(head.line) && !head.line.includes(' 101 '));
    seen = head.line.split(' ')[1] ?? '';
    if (seen === '101') return await tunnel(client);
    const { bytes } = await readBody(client.inbox, head, true);
    const error = /error=(\S+)/.exec(head.get('proxy-status') ?? '')?.[1];
    if (error !== undefined) return `${seen} ${error}`;
    const text = bytes.toString('latin1');
    return text === PLAIN.body ? `${seen} whole` : `${seen} '${text}'`;
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause;
    return seen === '' ? `nothing, ${cause.how}` : `${seen} cut`;
  }
}

async function tunnel(client: Client): Promise<string> {
  let got = '';
  client.send('ping');
  try {
    while (got.length < SWITCHED.body.length) {
      const part = await client.inbox.some();
      if (part.length === 0) break;
      got += part.toString('latin1');
    }
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause;
  }
  client.end();
  return `101 ${got === SWITCHED.body ? 'whole' : `'${got}'`}, ${await client.over()}`;
}

/** How often upstreams read the head of this request: from then on they may act on it. */
export function executions(upstreams: readonly (ScriptedUpstream | undefined)[], asked: string): number {
  return upstreams.flatMap((upstream) => upstream?.plainEvents ?? []).filter((event) => event === asked).length;
}

/** Starts a balancer with named upstreams, and records its events. */
export async function watched(
  t: TestContext, options: TestOptions, named: ReadonlyMap<string, string>, events: string[],
): Promise<BalancerUnderTest> {
  const under = await startBalancer(t, { ...options, ...TIMES });
  const name = ({ origin }: { readonly origin: string }): string => named.get(origin) ?? origin;
  under.balancer
    .on('settled', ({ upstream, outcome: { ok, status, error } }) => {
      events.push([name(upstream), ok ? 'ok' : 'failed', status, error].filter((part) => part !== undefined).join(' '));
    })
    .on('retried', ({ upstream, attempt }) => {
      events.push(`${name(upstream)} retried after ${attempt}`);
    })
    .on('ejected', ({ upstream }) => {
      events.push(`${name(upstream)} ejected`);
    })
    .on('refused', ({ code }) => {
      events.push(`refused ${code}`);
    });
  return under;
}

/**
 * Plays one row: upstream A has the fault and is picked first; B is healthy. Returns the events up to what the client
 * saw; fails if anything is left open, or the next request is not served.
 */
export async function row(
  t: TestContext, fault: Fault, kind: Kind, front: FrontKind, options: Partial<TestOptions> = {},
): Promise<string[]> {
  quiet(t);
  const events: string[] = [];
  const stalled = gate();
  const script = faulty(fault, { ...goodFor(kind), stalled: stalled.open });
  const unconnected = fault.origin ?? (fault.connect === undefined ? undefined : 'http://black-hole.test');
  // The fault happens once: later connections to the same upstream are served.
  const a = unconnected === undefined
    ? await startUpstream(t, (peer) => peer.number === 1 ? (script as (one: typeof peer) => unknown)(peer) : well(peer))
    : undefined;
  const b = await startUpstream(t, well);
  const origin = a?.origin ?? unconnected ?? '';
  const under = await watched(t, {
    upstreams: [origin, b],
    front,
    ejectAfter: 1,
    ...options,
    ...(fault.connect === undefined ? {} : { connect: (to) => to.origin === origin ? fault.connect?.() : undefined }),
  }, new Map([[origin, 'A'], [b.origin, 'B']]), events);

  const client = await under.connect();
  if (fault.used) {
    assert.equal((await client.exchange(get('/warm'))).status, 200);
    await under.settled(1);
    events.length = 0;
  }
  const asking = ask(client, kind, '/x');
  const seeing = see(client);
  if (fault.stalls) {
    if (a === undefined) await under.picked(1);
    else await stalled.opened;
    // What was already sent arrives before time advances.
    await turns(20);
    await under.advance(PATIENCE_MS);
  }
  const seen = await seeing;
  await asking;
  client.destroy();
  await under.settled(under.picks.length);
  for (const { head, body } of b.requests) {
    events.push(`B got ${[head.line.replace(' HTTP/1.1', ''), body.bytes.toString('latin1')].join(' ').trim()}`);
  }
  events.push(`client: ${seen}`);
  const all = [...events];

  if (a !== undefined && all.some((event) => event.startsWith('A failed'))) await a.gone(1);
  if (kind === 'POST') assert.ok(executions([a, b], 'POST /x') <= 1, 'a POST was executed twice');
  assert.equal((await (await under.connect()).exchange(get('/next'))).text, PLAIN.body, 'the next request is served');
  return all;
}
