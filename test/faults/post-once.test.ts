/**
 * A POST is never executed twice: the upstreams count by id, whatever goes wrong, and however many retries are allowed.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { executions } from '../support/fault-row.ts';
import { FAULTS, type Fault, PLAIN, well } from '../support/faults.ts';
import { type FrontKind, FRONTS } from '../support/fronts.ts';
import { Broken } from '../support/message.ts';
import { quiet } from '../support/quiet.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { failsWith } from '../support/streams.ts';
import { type Peer, play, request, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

const CLIENTS = 8;
const REQUESTS = 60;
const UPSTREAMS = 3;
/** The faults that end on their own; two of three connections meet one sooner or later. */
const DRAWN = FAULTS.filter(({ script, stalls }) => script !== undefined && !stalls);

type Rng = () => number;
const one = <T>(rng: Rng, choices: readonly T[]): T => choices[Math.floor(rng() * choices.length)] as T;

/** Serves some requests on a connection, then does what a fault drawn at random says. */
function stormy(rng: Rng): (peer: Peer) => Promise<void> {
  return async (peer) => {
    const fault: Fault = one(rng, DRAWN);
    const before = Math.floor(rng() * 4);
    for (let i = 0; i < before; i++) {
      await request(peer);
      peer.send(PLAIN.head + PLAIN.body);
    }
    await play(peer, fault.script?.({ ...PLAIN, stalled: () => undefined }) ?? []);
    if (peer.socket.writable) await well(peer);
  };
}

/** Sends one request, a POST in pieces, and reads what there is of an answer. Returns whether another can follow. */
async function run(client: Client, method: string, target: string, rng: Rng): Promise<boolean> {
  try {
    const framed = method === 'POST' && rng() < 0.8;
    client.send(get(target, framed ? 'Transfer-Encoding: chunked\r\n' : '', method));
    for (const piece of framed ? ['5\r\nhello\r\n', '6\r\n world\r\n', '0\r\n\r\n'] : []) {
      client.send(piece);
      await turns(Math.floor(rng() * 3));
    }
    const { head, text, status } = await client.response(method);
    if (status === 200) assert.ok(PLAIN.body.startsWith(text), `the answer to ${target} is ${text}`);
    return head.get('connection') !== 'close';
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause;
    return false;
  }
}

async function storm(t: TestContext, front: FrontKind, seed: number): Promise<void> {
  quiet(t);
  const rng = seededRandom(seed);
  const upstreams = await Promise.all(Array.from({ length: UPSTREAMS }, () => startUpstream(t, stormy(rng))));
  const under = await startBalancer(t, {
    upstreams,
    front,
    strategy: { name: 'drawn', pick: (candidates) => one(rng, candidates) },
    // Everything that can be repeated is repeated.
    retryOn: [500, 502, 503, 504], maxReplayBytes: 65_536, retryBudgetPercent: 100, minRetriesPerSecond: 1_000,
    ejectAfter: 0,
    connect: () => rng() < 0.05 ? failsWith('ECONNREFUSED') : undefined,
  });
  await Promise.all(Array.from({ length: CLIENTS }, async (_, lane) => {
    let client = await under.connect();
    for (let i = 0; i < REQUESTS; i++) {
      if (await run(client, rng() < 0.7 ? 'POST' : 'GET', `/${lane}-${i}`, rng)) continue;
      client.destroy();
      client = await under.connect();
    }
    client.destroy();
  }));
  await under.settled(under.picks.length);

  const asked = [...new Set(upstreams.flatMap(({ plainEvents }) => plainEvents))];
  const twice = (method: string): string[] => asked
    .filter((event) => event.startsWith(`${method} `) && executions(upstreams, event) > 1);
  assert.deepEqual(twice('POST'), [], 'executed more than once');
  // A POST could have been repeated in this storm: GETs were, and some POSTs failed.
  assert.ok(twice('GET').length > 0);
  assert.ok(under.outcomes.some(({ ok }) => !ok));
}

const seed = testSeed();

for (const front of FRONTS) {
  test(`in a storm of faults no POST is executed twice, through ${front.name} (EQUIPOISE_SEED=${seed})`, async (t) => {
    await storm(t, front, seed);
  });
}
